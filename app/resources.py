"""The long-lived things, opened once per process and closed once. Holds them; does no work of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.core.database import Database
from app.core.jobs import Queue
from app.core.keyed_locks import KeyedLocks
from app.core.vault import Vault
from app.integrations.http.transport import Transport
from app.integrations.microsoft.entra import EntraClient
from app.integrations.microsoft.graph import GraphClient


@dataclass(frozen=True)
class ProductConfig:
    """What the rooms need to know of how this house is set up; `public_url` has no slash at the end."""

    public_url: str
    tenant_id: str
    shown_tenant_id: str
    servicenow_allowed_origins: tuple[str, ...]
    role_ids: Mapping[str, frozenset[str]]
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
    keyed_locks: KeyedLocks = field(default_factory=KeyedLocks)


@asynccontextmanager
async def closing(resources: Resources) -> AsyncIterator[Resources]:
    """Close everything at the end, whatever happened."""
    try:
        yield resources
    finally:
        await resources.microsoft.close()
        await resources.servicenow.close()
        await resources.database.close()
