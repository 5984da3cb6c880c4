"""The long-lived things, opened once per process and closed once. Holds them; does no work of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.foundation.database import Database
from app.foundation.jobs import Queue
from app.foundation.turns import Turns
from app.foundation.vault import Vault
from app.remote.microsoft.entra import EntraClient
from app.remote.microsoft.graph import GraphClient
from app.remote.transport import Transport


@dataclass(frozen=True)
class ProductConfig:
    """What the rooms need to know of how this house is set up; `public_url` has no slash at the end."""

    public_url: str
    tenant_id: str
    shown_tenant_id: str
    servicenow_allowed_origins: tuple[str, ...]
    manager_roles: frozenset[str]
    sharer_roles: frozenset[str]
    viewer_roles: frozenset[str]
    session_hours: int
    secure_score_write_back: bool = False


@dataclass(frozen=True)
class Resources:
    """Handed to every verb that may touch the network. `servicenow` sends at most 4 calls at once."""

    config: ProductConfig
    database: Database
    vault: Vault
    queue: Queue
    microsoft: Transport
    servicenow: Transport
    entra: EntraClient
    graph: GraphClient
    expected_revision: str | None = None
    turns: Turns = field(default_factory=Turns)


@asynccontextmanager
async def closing(resources: Resources) -> AsyncIterator[Resources]:
    """Close everything at the end, whatever happened."""
    try:
        yield resources
    finally:
        await resources.microsoft.close()
        await resources.servicenow.close()
        await resources.database.close()
