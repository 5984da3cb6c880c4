"""Run one piece of work with the product's resources open, as every command of the command line does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.bootstrap import open_resources, run_async
from app.embedded_postgres import database_address
from app.resources import Resources
from app.settings import Settings

Result = TypeVar("Result")


def with_resources(settings: Settings, work: Callable[[Resources], Awaitable[Result]]) -> Result:
    """Open the resources, await `work` and return what it returns. The embedded PostgreSQL runs for as long if it is used."""
    results: list[Result] = []

    async def run(database_url: str) -> None:
        async with open_resources(settings, database_url) as resources:
            results.append(await work(resources))

    with database_address(settings) as database_url:
        run_async(lambda: run(database_url))
    return results[0]
