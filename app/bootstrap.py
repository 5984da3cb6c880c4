"""Put a process together from its settings: resources, task groups, event loop. Contains no behavior of the product."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import app.features.models  # noqa: F401 - a foreign key resolves only when the other feature's tables are imported.
from app.core.database import Database, make_engine
from app.core.jobs import Queue
from app.core.migrations import expected_revision
from app.core.vault import Vault
from app.embedded_postgres import database_address
from app.features.accounts.jobs import tasks as account_tasks
from app.features.connection.jobs import tasks as connection_tasks
from app.features.provisioning.jobs import tasks as provisioning_tasks
from app.features.secure_score.jobs import tasks as secure_score_tasks
from app.features.tickets.jobs import tasks as ticket_tasks
from app.integrations.http.ssrf import AddressPolicy
from app.integrations.http.transport import Transport
from app.integrations.microsoft.entra import EntraClient
from app.integrations.microsoft.graph import GraphClient
from app.resources import ProductConfig, Resources, closing
from app.settings import Settings

TASK_GROUPS = (account_tasks, secure_score_tasks, connection_tasks, ticket_tasks, provisioning_tasks)

__all__ = ["TASK_GROUPS", "database_address", "open_resources", "product_config", "run_async"]


def product_config(settings: Settings) -> ProductConfig:
    return ProductConfig(
        public_url=settings.public_url,
        tenant_id=settings.entra_tenant_id,
        shown_tenant_id=settings.shown_tenant_id,
        servicenow_allowed_origins=settings.servicenow_allowed_origins,
        role_ids=settings.role_ids,
        session_hours=settings.session_hours,
        secure_score_write_back=settings.secure_score_write_back,
        microsoft_cloud=str(settings.microsoft_cloud),
    )


@asynccontextmanager
async def open_resources(settings: Settings, database_url: str) -> AsyncIterator[Resources]:
    """Open the long-lived objects; they are closed at the end of the block."""
    microsoft = Transport("microsoft")
    registration = {
        "authority": settings.authority,
        "tenant_id": settings.entra_tenant_id,
        "client_id": settings.entra_client_id,
        "client_secret": settings.entra_client_secret.get_secret_value(),
    }
    resources = Resources(
        config=product_config(settings),
        database=Database(make_engine(database_url)),
        vault=Vault([key.get_secret_value() for key in settings.vault_keys]),
        queue=Queue(database_url, TASK_GROUPS),
        microsoft=microsoft,
        # How many calls run at once is the gateway's to decide, over all processes: app/features/connection/slots.py
        servicenow=Transport("servicenow", address_policy=AddressPolicy(settings.servicenow_allowed_origins)),
        entra=EntraClient(microsoft, **registration),
        graph=GraphClient(microsoft, graph_url=settings.graph, **registration),
        expected_revision=expected_revision(),
    )
    async with closing(resources):
        yield resources


def run_async(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run on uvloop, or on the selector loop on Windows."""
    factory: Callable[[], asyncio.AbstractEventLoop]
    if sys.platform == "win32":
        factory = (
            asyncio.SelectorEventLoop
        )  # psycopg does not support the proactor loop: https://www.psycopg.org/psycopg3/docs/advanced/async.html
    else:
        from uvloop import new_event_loop  # noqa: PLC0415 - not there on Windows.

        factory = new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work())
