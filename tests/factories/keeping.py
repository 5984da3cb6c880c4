"""A second system over a restored database, and a database that says which migration it has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.factories.system import System, open_system


@asynccontextmanager
async def system_over(database_url: str, like: System) -> AsyncIterator[System]:
    """The product over another database, with the keys and the sandbox of this system."""
    async with open_system(database_url, like.microsoft, like.servicenow) as opened:
        opened.resources = replace(opened.resources, vault=like.resources.vault)
        opened.app.state.resources = opened.resources
        yield opened
    like.app.state.resources = like.resources
