"""What accidents happen to: a durable PostgreSQL behind a link, two worker processes, the sandbox, and people who share."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.features.tickets.sharing import held_tickets
from app.features.tickets.sharing.share import ShareCommand, share_many
from app.features.tickets.types import TicketKind
from tests.chaos.tcp_link import TcpLink, tcp_link
from tests.factories.chaos import Workers, assembled, running_workers
from tests.factories.connecting import viewer_of
from tests.factories.database import DurableServer, durable_postgres
from tests.factories.microsoft import SandboxMicrosoft
from tests.factories.servicenow import SandboxServiceNow
from tests.factories.system import PUBLIC_URL, System
from tests.factories.tickets import SENDER, an_ask, records

TABLES = {TicketKind.INCIDENT: "incident", TicketKind.CHANGE: "change_request"}
# Shares that wait: enough that workers never run out of work, few enough that they drain in seconds.
BACKLOG = 60
BATCH = 20
SHIFTED_WORKER = "tests.chaos.shifted_worker"


@dataclass
class Stage:
    """The running product. Its processes reach `postgres` through `link`, and those who cause accidents do not."""

    system: System
    workers: Workers
    link: TcpLink
    postgres: DurableServer
    clock_file: Path
    accepted: set[str] = field(default_factory=set)
    turned_down: int = 0

    @property
    def arrived(self) -> int:
        """How many records our shares have become in ServiceNow."""
        store = self.system.servicenow.instance.store
        return sum(len(store.tables.get(table, {})) for table in TABLES.values())

    def postgres_processes(self) -> list[psutil.Process]:
        """The server and its children."""
        server = psutil.Process(int((self.postgres.folder / "postmaster.pid").read_text().split()[0]))
        return [server, *server.children(recursive=True)]

    def connect(self) -> psycopg.Connection[TupleRow]:
        """A connection of the one who causes accidents: past the link."""
        return psycopg.connect(self.postgres.url, autocommit=True, connect_timeout=5)

    async def share(self, count: int) -> None:
        """Share as the web does. Shares whose transaction did not commit were turned down, and the person was told."""
        commands = [
            ShareCommand(an_ask(list(TABLES)[number % 2], name=f"Task {number}"), [], str(uuid4()), batch_id=uuid4())
            for number in range(count)
        ]
        try:
            async with asyncio.timeout(10), self.system.resources.database.transaction() as session:
                await share_many(session, self.system.resources.queue, commands, SENDER, public_url=PUBLIC_URL)
        except (SQLAlchemyError, psycopg.Error, TimeoutError, OSError):
            self.turned_down += count
            await asyncio.sleep(0.5)
        else:
            self.accepted |= {command.form_key for command in commands}

    async def keep_sharing(self) -> None:
        """Keep a backlog, until cancelled. What arrived is counted at ServiceNow, so this asks no database."""
        while True:
            self.workers.keep_up()
            while len(self.accepted) - self.arrived < BACKLOG:
                await self.share(BATCH)
            await asyncio.sleep(0.1)

    async def throughput(self, seconds: float) -> float:
        """Records per second that reach ServiceNow in this time."""
        started, before = time.monotonic(), self.arrived
        await asyncio.sleep(seconds)
        return (self.arrived - before) / (time.monotonic() - started)

    async def drain(self, seconds: float) -> None:
        """Wait until no ticket is on its way. Held ones are retried, as by the button on the page."""
        deadline = time.monotonic() + seconds
        viewer = None
        while time.monotonic() < deadline:
            self.workers.keep_up()
            try:
                counts = await self._counts()
                viewer = viewer or await viewer_of(self.system, await self.system.signed_in("sharer"))
                if counts["held"] and not counts["queued"]:
                    async with self.system.resources.database.transaction() as session:
                        await held_tickets.retry_all(session, self.system.resources.queue, viewer=viewer)
                elif not counts["queued"]:
                    return
            except (SQLAlchemyError, psycopg.Error, OSError):
                pass
            await asyncio.sleep(0.3)

    async def _counts(self) -> Counter[str]:
        async with self.system.resources.database.transaction() as session:
            rows = await session.execute(text("SELECT delivery, count(*) FROM ticket GROUP BY delivery"))
            return Counter({row[0]: row[1] for row in rows})

    def outcome(self) -> tuple[int, int, int]:
        """How many accepted shares are lost, doubled and stuck, as the tables and ServiceNow say together."""
        made = Counter(record["correlation_id"] for table in TABLES.values() for record in records(self.system, table))
        with self.connect() as connection:
            rows = connection.execute("SELECT form_key, correlation_id, delivery FROM ticket").fetchall()
        known = {form_key: (correlation_id, delivery) for form_key, correlation_id, delivery in rows}
        stuck = [one for one in self.accepted & known.keys() if known[one][1] != "shared"]
        arrived = [one for one in self.accepted & known.keys() if made[known[one][0]]]
        lost = len(self.accepted) - len(set(arrived) | set(stuck))
        return lost, sum(count - 1 for count in made.values() if count > 1), len(stuck)


@asynccontextmanager
async def staged(microsoft: SandboxMicrosoft, servicenow: SandboxServiceNow, folder: Path) -> AsyncIterator[Stage]:
    """A product that is connected and idle, with two workers."""
    microsoft.tenant.reset()
    servicenow.instance.reset()
    data = folder / "postgres" / "data"
    clock_file = folder / "clock"
    with durable_postgres(data) as postgres, tcp_link(str(data / ".s.PGSQL.5432")) as link:
        url = f"postgresql://postgres@127.0.0.1:{link.port}/postgres"
        async with assembled(url, microsoft, servicenow) as (system, environment):
            environment |= {"CLOCK_FILE": str(clock_file), "WORKER_PORT": "0"}
            with running_workers(environment, folder / "workers.log", module=SHIFTED_WORKER) as workers:
                await system.connect()
                yield Stage(system, workers, link, postgres, clock_file)
