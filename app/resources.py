"""The long-lived objects of a process: engine, queue, vault, HTTP clients. Holds them; does no work of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.core.database import Database
from app.core.jobs import Queue
from app.core.keyed_locks import KeyedLocks
from app.core.messages import Message
from app.core.vault import Vault
from app.integrations.http.transport import Transport
from app.integrations.microsoft.entra import EntraClient
from app.integrations.microsoft.graph import GraphClient


@dataclass(frozen=True)
class KeptDays:
    """How many days each kind of row is kept (docs/keeping.md); 0 is for ever, except for ended sessions."""

    audit: int = 730
    closed_tickets: int = 0
    import_runs: int = 90
    sessions: int = 1
    failed_jobs: int = 90


@dataclass(frozen=True)
class SettingNotice:
    """What is worth knowing of the settings in force. `is_problem`: a person should change it before others sign in."""

    message: Message
    is_problem: bool = False


@dataclass(frozen=True)
class ProductConfig:
    """The settings that features may know, without secrets. `public_url` has no slash at the end."""

    public_url: str
    tenant_id: str
    shown_tenant_id: str
    servicenow_allowed_origins: tuple[str, ...]
    role_ids: Mapping[str, frozenset[str]]
    session_hours: int
    session_idle_minutes: int = 60
    role_check_minutes: int = 60
    secure_score_write_back: bool = False
    microsoft_cloud: str = "global"
    # A secret all the same; empty where metrics are off.
    metrics_token: str = field(default="", repr=False)
    kept_days: KeptDays = field(default_factory=KeptDays)
    setting_notices: tuple[SettingNotice, ...] = ()
    database_answer_seconds: float = 4


@dataclass(frozen=True)
class Resources:
    """A function that takes `resources` may touch the network, and opens its own short transactions around each call."""

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
    try:
        yield resources
    finally:
        await resources.microsoft.close()
        await resources.servicenow.close()
        await resources.database.close()
