"""Put a process together from its settings: resources, task groups, event loop. Contains no behavior of the product."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import app.features.models  # noqa: F401 - a foreign key resolves only when the other feature's tables are imported.
from app.core.database import Database, make_engine
from app.core.database_connection import ConnectionOptions
from app.core.jobs import Queue
from app.core.migrations import expected_revision
from app.core.process_reports import ProcessReport, reporting
from app.core.tracing import configure_tracing, stop_tracing
from app.core.vault import Vault
from app.embedded_postgres import database_address
from app.features.accounts.jobs import tasks as account_tasks
from app.features.connection.jobs import tasks as connection_tasks
from app.features.keeping.jobs import tasks as keeping_tasks
from app.features.provisioning.jobs import tasks as provisioning_tasks
from app.features.secure_score.jobs import tasks as secure_score_tasks
from app.features.tickets.jobs import tasks as ticket_tasks
from app.integrations.http.ssrf import AddressPolicy
from app.integrations.http.transport import Transport
from app.integrations.microsoft.entra import EntraClient
from app.integrations.microsoft.graph import GraphClient
from app.resources import KeptDays, ProductConfig, Resources, closing
from app.setting_notices import setting_notices
from app.settings import Settings

# PostgreSQL ends a transaction that takes so many times as long as one of its statements may (app/core/database_connection.py).
STATEMENTS_OF_TRANSACTION = 4
TASK_GROUPS = (
    account_tasks,
    secure_score_tasks,
    connection_tasks,
    ticket_tasks,
    provisioning_tasks,
    keeping_tasks,
)

__all__ = [
    "TASK_GROUPS",
    "connection_options",
    "database_address",
    "open_resources",
    "product_config",
    "reporting_as",
    "run_async",
    "traced",
]


def product_config(settings: Settings) -> ProductConfig:
    return ProductConfig(
        public_url=settings.public_url,
        tenant_id=settings.entra_tenant_id,
        shown_tenant_id=settings.shown_tenant_id,
        servicenow_allowed_origins=settings.servicenow_allowed_origins,
        role_ids=settings.role_ids,
        session_hours=settings.session_hours,
        session_idle_minutes=settings.session_idle_minutes,
        role_check_minutes=settings.role_check_minutes,
        secure_score_write_back=settings.secure_score_write_back,
        microsoft_cloud=str(settings.microsoft_cloud),
        metrics_token=settings.metrics_token.get_secret_value() if settings.metrics_token else "",
        kept_days=KeptDays(
            audit=settings.keep_audit_days,
            closed_tickets=settings.keep_closed_tickets_days,
            import_runs=settings.keep_import_runs_days,
            sessions=settings.keep_sessions_days,
            failed_jobs=settings.keep_failed_jobs_days,
        ),
        setting_notices=setting_notices(settings),
        database_answer_seconds=settings.database_answer_seconds,
    )


def connection_options(settings: Settings, process: str) -> ConnectionOptions:
    """Sizes and time-outs for connections of this process: "web", "worker" or the name of a command."""
    return ConnectionOptions(
        # At most 63 bytes: https://www.postgresql.org/docs/current/runtime-config-logging.html#GUC-APPLICATION-NAME
        application_name=f"security-center {process}",
        pool_size=settings.database_pool_size,
        queue_pool_size=settings.database_queue_pool_size,
        pool_seconds=settings.database_pool_seconds,
        connect_seconds=settings.database_connect_seconds,
        # A person waits for the web process.
        statement_seconds=settings.database_answer_seconds if process == "web" else settings.database_statement_seconds,
        idle_in_transaction_seconds=settings.database_idle_seconds,
        transaction_seconds=STATEMENTS_OF_TRANSACTION * settings.database_statement_seconds,
        network_seconds=settings.database_network_seconds,
    )


@asynccontextmanager
async def open_resources(
    settings: Settings, database_url: str, *, process: str = "command", patient: bool = False
) -> AsyncIterator[Resources]:
    """Open the long-lived objects; they are closed at the end of the block. `process` names its database connections.

    `patient`: statements and transactions may take as long as they need. Raises UnreadableAddress.
    """
    options = connection_options(settings, process)
    if patient:
        options = replace(options, statement_seconds=0, idle_in_transaction_seconds=0, transaction_seconds=0)
    microsoft = Transport("microsoft")
    registration: dict[str, Any] = {
        "authority": settings.authority,
        "tenant_id": settings.entra_tenant_id,
        "client_id": settings.entra_client_id,
        "client_secret": settings.entra_client_secret.get_secret_value(),
    }
    resources = Resources(
        config=product_config(settings),
        database=Database(make_engine(database_url, options)),
        vault=Vault([key.get_secret_value() for key in settings.vault_keys]),
        queue=Queue(database_url, TASK_GROUPS, options),
        microsoft=microsoft,
        # How many calls run at once is the gateway's to decide, over all processes: app/features/connection/slots.py
        servicenow=Transport("servicenow", address_policy=AddressPolicy(settings.servicenow_allowed_origins)),
        entra=EntraClient(microsoft, offline_access=settings.role_check_minutes > 0, **registration),
        graph=GraphClient(microsoft, graph_url=settings.graph, **registration),
        expected_revision=expected_revision(),
    )
    async with closing(resources):
        yield resources


@contextmanager
def traced(settings: Settings, process: str) -> Iterator[None]:
    """Trace what runs in the block, if OTEL_EXPORTER_OTLP_ENDPOINT is set; `process` is web or worker."""
    if settings.otel_exporter_otlp_endpoint:
        configure_tracing(settings.otel_exporter_otlp_endpoint, process=process)
    try:
        yield
    finally:
        stop_tracing()


def reporting_as(
    kind: str, resources: Resources, *, is_alive: Callable[[], bool] = lambda: True
) -> AbstractAsyncContextManager[None]:
    """Report this process as a running web or worker, with its keys and tables, for as long as the block lasts."""
    report = ProcessReport(kind, resources.vault.fingerprints, resources.expected_revision or "")
    return reporting(resources.database, report, is_alive=is_alive)


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
