"""Run one piece of work with the product's resources open, as every command of the command line does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.bootstrap import open_resources, run_async
from app.core.database_trouble import DATABASE_ERRORS, no_database, trouble_of
from app.core.schema_guard import require_fit_database
from app.embedded_postgres import database_address
from app.resources import Resources
from app.settings import Settings

Result = TypeVar("Result")


def with_resources(
    settings: Settings,
    work: Callable[[Resources], Awaitable[Result]],
    *,
    any_schema: bool = False,
    patient: bool = False,
) -> Result:
    """Open the resources, await `work` and return what it returns. The embedded PostgreSQL runs for as long if it is used.

    `patient` is for work that reads whole tables.

    Raises UnfitDatabase when the tables are not this version's, unless `any_schema`; NoDatabase for a database that is away.
    """
    results: list[Result] = []

    async def run(database_url: str) -> None:
        async with open_resources(settings, database_url, patient=patient) as resources:
            if not any_schema:
                await require_fit_database(resources.database, resources.expected_revision)
            results.append(await work(resources))

    with database_address(settings) as database_url:
        try:
            run_async(lambda: run(database_url))
        except DATABASE_ERRORS as error:
            if trouble_of(error) is None:
                raise
            raise no_database(error) from error
    return results[0]
