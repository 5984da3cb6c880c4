"""The product's own way to do what other clients are asked to do: its features, its database, its queue. Measures nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import delete, func, insert, select

from app.core import clock
from app.core.database import Database, make_engine
from app.core.errors import RetryLater
from app.core.keyed_locks import KeyedLocks
from app.core.sealed_columns import context_of
from app.features.connection.gateway import call
from app.features.connection.models import Connection, ConnectionStatus, InstanceThrottle
from app.features.connection.tokens import store_tokens
from app.features.tickets.delivery.deliver import deliver
from app.features.tickets.delivery.drain import drain_outbox
from app.features.tickets.models import PollCursor, Ticket, TicketEvent
from app.features.tickets.polling.poll import poll_states
from app.features.tickets.sharing.share import ShareCommand, share
from app.features.tickets.ticket_fields import Requester, TicketRequest, TicketSource
from app.features.tickets.types import Delivery, TicketKind
from app.integrations.http.errors import RemoteError
from app.integrations.http.transport import Transport
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.schemas import RemoteUser, Tokens
from app.resources import Resources
from benchmarks.stand_in import SandboxProcess
from tests.factories.servicenow import INTEGRATION_USER, SandboxServiceNow
from tests.factories.system import PUBLIC_URL, System, open_system, running_sandbox

SENDER = Requester(None, str(uuid4()), "Megan Bowen", "megan@contoso.example")
DUE = date(2030, 12, 31)
# The number of jobs that the product's worker runs in parallel.
JOBS_AT_ONCE = 4
# What is not delivered after this time counts as failed.
PATIENCE_SECONDS = 240.0


@dataclass
class Ours:
    """The product over a database of its own, connected to the sandbox."""

    system: System
    connection: Connection
    database_url: str

    @property
    def resources(self) -> Resources:
        return self.system.resources

    async def forget(self) -> None:
        """Delete all tickets, and reset the throttle."""
        async with self.resources.database.transaction() as session:
            for table in (TicketEvent, Ticket, PollCursor, InstanceThrottle):
                await session.execute(delete(table))

    async def know(self, rows: Sequence[dict[str, str]], kind: TicketKind = TicketKind.INCIDENT) -> None:
        """Store a ticket for each of these records of one table: shared an hour ago, verified just before."""
        now = clock.now()
        shared = now - timedelta(hours=1)
        made = [
            {
                "id": uuid4(), "connection_id": self.connection.id, "kind": kind, "form_key": str(uuid4()),
                "source": TicketSource.MICROSOFT, "category": "Identity", "name": row["short_description"],
                "description": "", "priority": 2, "due_date": DUE, "requested_by_oid": SENDER.oid,
                "requested_by_name": SENDER.name, "created_at": shared, "record": {}, "delivery": Delivery.SHARED,
                "correlation_id": row["correlation_id"], "shared_at": shared, "sys_id": row["sys_id"],
                "number": row["number"], "state": row["state"], "verified_at": now,
            }
            for row in rows
        ]  # fmt: skip
        async with self.resources.database.transaction() as session:
            await session.execute(insert(Ticket), made)

    async def refresh(self) -> None:
        """One poll, as the worker runs it each minute."""
        await poll_states(self.resources)

    async def states(self) -> dict[str, str]:
        """The stored states by sys_id."""
        async with self.resources.database.transaction() as session:
            rows = (await session.execute(select(Ticket.sys_id, Ticket.state))).all()
        return {str(sys_id): state for sys_id, state in rows}

    async def told(self) -> int:
        """How many poll cursors report a problem, which cards show with the age of their data."""
        async with self.resources.database.transaction() as session:
            query = select(func.count()).select_from(PollCursor).where(PollCursor.problem.is_not(None))
            return (await session.execute(query)).scalar_one()

    async def create(self, count: int) -> tuple[list[str], int]:
        """Share `count` tickets and deliver them. Returns their correlation IDs and the number that is not delivered."""
        commands = [
            ShareCommand(
                TicketRequest(
                    TicketKind.INCIDENT, f"Made by us {n}", "One of many", 2, DUE, TicketSource.USER, "Identity"
                ),
                [],
                str(uuid4()),
            )
            for n in range(count)
        ]
        async with self.resources.database.transaction() as session:
            for command in commands:
                await share(session, self.resources.queue, command, SENDER, public_url=PUBLIC_URL)
        await drain_outbox(self.resources)
        async with self.resources.database.transaction() as session:
            # What is no clean answer to a first send has a job of its own.
            left = (await session.execute(select(Ticket.id).where(Ticket.delivery == Delivery.QUEUED))).scalars().all()
        jobs = asyncio.Semaphore(JOBS_AT_ONCE)
        await asyncio.gather(*(self._deliver(ticket_id, jobs) for ticket_id in left))
        async with self.resources.database.transaction() as session:
            rows = (await session.execute(select(Ticket.correlation_id, Ticket.delivery))).all()
        return [row[0] for row in rows], sum(delivery != Delivery.SHARED for _, delivery in rows)

    async def _deliver(self, ticket_id: UUID, jobs: asyncio.Semaphore) -> None:
        """Retry as the queue does: a job that has to wait gives its place to others."""
        until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while asyncio.get_running_loop().time() < until:
            async with jobs:
                try:
                    await deliver(self.resources, ticket_id)
                except RetryLater as wait:
                    pause = wait.seconds
                else:
                    return
            await asyncio.sleep(pause)

    async def hold(self, granted: dict[str, Any], *, expired: bool = False) -> None:
        """Store granted tokens, sealed, in the connection's row."""
        tokens = Tokens(granted["access_token"], granted["refresh_token"], granted["expires_in"], granted["scope"])
        async with self.resources.database.transaction() as session:
            connection = await session.get_one(Connection, self.connection.id)
            store_tokens(self.resources, connection, tokens)
            if expired:
                connection.access_expires_at = clock.now() - timedelta(minutes=1)

    async def workers(self, count: int) -> tuple[int, int]:
        """Run `count` callers that share the stored token, each with its own resources. Returns answers and failures."""
        async with AsyncExitStack() as opened:
            apart = [await opened.enter_async_context(self._apart()) for _ in range(count)]
            done = await asyncio.gather(*(self._ask(resources) for resources in apart))
        return sum(done), count - sum(done)

    @asynccontextmanager
    async def _apart(self) -> AsyncIterator[Resources]:
        """Resources that share only the database, as those of another process do."""
        alone = replace(
            self.resources,
            database=Database(make_engine(self.database_url)),
            servicenow=Transport("servicenow"),
            keyed_locks=KeyedLocks(),
        )
        try:
            yield alone
        finally:
            await alone.servicenow.close()
            await alone.database.close()

    async def _ask(self, resources: Resources) -> bool:
        async def work(client: ServiceNowClient) -> RemoteUser | None:
            return await client.whoami()

        try:
            return await call(resources, work) is not None
        except RemoteError:
            return False


@asynccontextmanager
async def our_product(database_url: str, sandbox: SandboxProcess) -> AsyncIterator[Ours]:
    with running_sandbox() as (microsoft, _):
        # A cast: only the address, settings and tokens are used, which SandboxProcess has too.
        async with open_system(database_url, microsoft, cast(SandboxServiceNow, sandbox)) as system:
            yield Ours(system, await _connect(system.resources, sandbox), database_url)


async def _connect(resources: Resources, sandbox: SandboxProcess) -> Connection:
    """Store a connection with real tokens, without the pages."""
    granted, settings = sandbox.tokens(), sandbox.settings
    connection = Connection(
        instance_name="contoso", origin=sandbox.url, status=ConnectionStatus.CONNECTED, client_id=settings.client_id,
        user_name=INTEGRATION_USER,
        connected_at=clock.now(), refresh_expires_at=clock.now() + timedelta(days=100),
    )  # fmt: skip
    place = context_of(connection, Connection.client_secret)
    connection.client_secret = resources.vault.seal(place, settings.client_secret)
    tokens = Tokens(granted["access_token"], granted["refresh_token"], granted["expires_in"], granted["scope"])
    store_tokens(resources, connection, tokens)
    async with resources.database.transaction() as session:
        session.add(connection)
    return connection
