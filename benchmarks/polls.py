"""How many requests a poll costs, counted at the sandbox. Time is set forward a minute from poll to poll, on both sides.

Half of all tickets and records are incidents, half change requests. Steady state: 1,000 known tickets, of which none
changes, polled each minute of an hour while a page is open; the mean, so that the rolling scan is in it. Renewals of the
access token belong to no poll, and are counted beside them.
First look: the first poll after connecting, with 10,000 records that carry our marker and 10,000 others, changed two hours
ago. Busy account: the integration user made 5,000 records of other people's work within the last minute; counted are the
polls that follow.
"""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psycopg

from app.core import clock
from app.core.clock import SystemClock
from app.features.tickets.types import MARKERS, TABLES, TicketKind
from benchmarks.figures import number, say_figure, table
from benchmarks.ours import Ours, our_product
from benchmarks.stand_in import SandboxProcess, running_process
from tests.factories.database import fresh_database, running_test_server
from tests.factories.servicenow import INTEGRATION_USER

KNOWN, FIRST_KNOWN = 1_000, 200
IN_TABLE, OTHERS_JUST_MADE = 20_000, 5_000
POLLS, QUICK_POLLS = 60, 10
POLLS_AFTER = 3
# An open page is the sign that states are looked at; without one, polls become rarer.
VIEWED = "UPDATE instance_throttle SET last_viewed_at = %s"


class MovedClock(SystemClock):
    """The system's time, set forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


class Polling:
    """The product beside its sandbox, and the time of both."""

    def __init__(self, ours: Ours, sandbox: SandboxProcess, moved: MovedClock) -> None:
        self._ours, self._sandbox, self._moved = ours, sandbox, moved
        self._known: dict[TicketKind, list[dict[str, str]]] = {}
        self.renewals = 0

    def fill(self, total: int) -> None:
        """Half of the records carry our marker; all of them changed two hours ago."""
        for kind, marker in ((one, marker) for one in TicketKind for marker in (MARKERS[one], "")):
            fields = {"correlation_display": marker, "correlation_id": uuid4().hex[:24] + "{n}"}
            made = self._sandbox.control(
                "fill", table=TABLES[kind], count=total // 4, fields=fields, changed_hours_ago=2
            )
            if marker:
                truth = self._sandbox.truth(TABLES[kind])
                self._known[kind] = [truth[sys_id] for sys_id in made["sys_ids"]]

    async def begin(self, known: int) -> None:
        """As right after connecting, with so many known tickets."""
        await self._ours.forget()
        await self._ours.hold(self._sandbox.tokens())
        for kind, rows in self._known.items():
            await self._ours.know(rows[: known // 2], kind)

    async def poll(self) -> int:
        """One poll, a minute after the last one; returns its requests. Those for access tokens are added to `renewals`."""
        self._moved.ahead += timedelta(minutes=1)
        self._sandbox.control("clock", seconds=60)
        self._sandbox.control("journal")
        with psycopg.connect(self._ours.database_url, autocommit=True) as rows:
            rows.execute(VIEWED, [clock.now()])
        await self._ours.refresh()
        told = await self._ours.told()
        if told:
            raise RuntimeError("a poll was not answered as it should be")
        renewals = len(self._sandbox.tell("journal", text="/oauth_token.do"))
        self.renewals += renewals
        return self._sandbox.requests() - renewals

    async def steady(self, polls: int) -> list[int]:
        """Requests of polls in which nothing changed, after the first one."""
        await self.begin(KNOWN)
        await self.poll()
        return [await self.poll() for _ in range(polls)]

    async def first_look(self) -> int:
        await self.begin(FIRST_KNOWN)
        return await self.poll()

    async def busy_account(self, others: int) -> list[int]:
        """Requests of the polls after the integration user made so many other records."""
        await self.begin(FIRST_KNOWN)
        for _ in range(POLLS_AFTER):
            await self.poll()
        for table_name in TABLES.values():
            self._sandbox.control("fill", table=table_name, count=others // 2, by=INTEGRATION_USER)
        return [await self.poll() for _ in range(POLLS_AFTER)]


@asynccontextmanager
async def _polling() -> AsyncIterator[Polling]:
    moved = MovedClock()
    with (
        TemporaryDirectory() as folder,
        running_test_server(Path(folder) / "postgres") as server,
        fresh_database(server) as database_url,
        running_process() as sandbox,
    ):
        async with our_product(database_url, sandbox) as ours:
            before = clock.use(moved)
            try:
                yield Polling(ours, sandbox, moved)
            finally:
                clock.use(before)


async def run(*, quick: bool = False) -> None:
    """Print the table and the figures."""
    polls, others = (QUICK_POLLS, 500) if quick else (POLLS, OTHERS_JUST_MADE)
    async with _polling() as polling:
        polling.fill(2_000 if quick else IN_TABLE)
        steady = await polling.steady(polls)
        renewals = polling.renewals
        first = await polling.first_look()
        busy = await polling.busy_account(others)
    rows = [
        (
            f"{KNOWN:,} known, unchanged, {polls} polls",
            number(statistics.mean(steady)),
            str(min(steady)),
            str(max(steady)),
        ),
        ("first look after connecting", str(first), str(first), str(first)),
        (f"{others:,} others made by our account, 1st poll", str(busy[0]), str(busy[0]), str(busy[0])),
        (
            f"the {POLLS_AFTER - 1} polls after",
            number(statistics.mean(busy[1:])),
            str(min(busy[1:])),
            str(max(busy[1:])),
        ),
    ]
    print(f"{table(('poll', 'requests, mean', 'fewest', 'most'), rows)}\n")
    print(f"Beside the {polls} polls of the first line, {renewals} requests renewed the access token.\n")
    say_figure("poll_1000_unchanged_requests", statistics.mean(steady))
    say_figure("first_look_requests", first)
    say_figure("poll_busy_account_requests", max(busy))
    print()
