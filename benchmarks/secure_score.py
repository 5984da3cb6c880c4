"""Secure Score: the importer beside the bare minimum (parse, COPY), and what its largest pages cost. Prints two tables.

Run alone with `python -m benchmarks secure_score`. Works on a database of its own and talks to loopback only.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy import event

from app.core import clock
from app.core.database import Database, make_engine
from app.features.secure_score.sync.import_scores import import_from_files
from app.features.tickets.models import Ticket, TicketAction
from app.resources import ProductConfig
from tests.factories.database import fresh_database, running_test_server
from tests.factories.graph_payloads import TENANT, days_before, profile, score, snapshot
from tests.factories.system import System, open_system, running_sandbox

PROFILES, DAYS, CONTROLS = 500, 90, 250
ACTIONS, TICKETS = 1_000, 10_000
IMPORTS, READS = 5, 30
PAGES = {
    "actions list": "/secure-score/actions",
    "actions list, filtered, grouped, sorted": "/secure-score/actions?category=Identity&group=status&sort=impact&q=title",
    "actions list, page 20": "/secure-score/actions?page=20",
    "actions list, only with a ticket": "/secure-score/actions?ticket=yes",
    "one action": "/secure-score/actions/Control7",
    "one action, history": "/secure-score/actions/Control7?tab=history",
    "overview": "/secure-score",
    "home": "/",
}


def payloads(tenant_id: str, profiles: int, controls: int, days: int) -> tuple[str, str]:
    """Scores and profiles as Graph sends them, with texts of a usual length; points move a little every day."""
    text = "<p>" + "What it is about, and why it matters to people. " * 8 + "</p>"
    made = [
        snapshot(
            days_before(ago),
            [
                score(
                    f"Control{n}",
                    (n + ago // 7) % 11,
                    (n + ago // 7) % 11 * 10,
                    description=text,
                    implementationStatus=text,
                )
                for n in range(controls)
            ],
            azureTenantId=tenant_id,
        )
        for ago in range(days)
    ]
    catalog = [
        profile(f"Control{n}", remediation=text * 3, remediationImpact=text, rank=n % 40, azureTenantId=tenant_id)
        for n in range(profiles)
    ]
    return json.dumps({"value": made}), json.dumps({"value": catalog})


def copy_bare(url: str, scores: Path, profiles: Path) -> None:
    """The bare minimum: parse the same JSON and COPY the same rows into the same tables, unchecked."""
    now = clock.now()
    snapshots = json.loads(scores.read_bytes())["value"]
    catalog = json.loads(profiles.read_bytes())["value"]
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        columns = (
            "id, tenant_id, graph_id, day, created_at, points, max_points, control_count, enabled_services, comparisons, "
            "raw, imported_at"
        )
        with cursor.copy(f"COPY score_snapshot ({columns}) FROM STDIN") as copy:
            for number, item in enumerate(snapshots, 1):
                day = date.fromisoformat(item["createdDateTime"][:10])
                rows = len(item["controlScores"])
                copy.write_row(
                    (number, TENANT, item["id"], day, item["createdDateTime"], item["currentScore"], item["maxScore"], rows,
                     json.dumps(item["enabledServices"]), json.dumps(item["averageComparativeScores"]), json.dumps(item), now)
                )  # fmt: skip
        with cursor.copy("COPY control_score (snapshot_id, control_id, points, percent) FROM STDIN") as copy:
            for number, item in enumerate(snapshots, 1):
                for entry in item["controlScores"]:
                    copy.write_row((number, entry["controlName"], entry["score"], entry["scoreInPercentage"]))
        columns = (
            "tenant_id, control_id, first_seen_at, has_profile, title, service, category, category_raw, max_points, rank, tier, "
            "user_impact, implementation_cost, action_type, action_url, threats, remediation, remediation_impact, deprecated, "
            "state, state_by, state_comment, profile_raw, profile_hash, scored, description, implementation_status"
        )
        with cursor.copy(f"COPY improvement_action ({columns}) FROM STDIN") as copy:
            for item in catalog:
                copy.write_row(
                    (TENANT, item["id"], now, True, item["title"], item["service"], item["controlCategory"],
                     item["controlCategory"], item["maxScore"], item["rank"], item["tier"], "low", "low", item["actionType"],
                     item["actionUrl"], json.dumps(item["threats"]), item["remediation"], item["remediationImpact"], False,
                     "", "", "", json.dumps(item), "", True, "", "")
                )  # fmt: skip


@contextmanager
def peak_memory(into: list[int]) -> Iterator[None]:
    """Python's own peak within the block, in bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
    finally:
        into.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()


async def ours(url: str, scores: Path, profiles: Path) -> None:
    """Our importer, from the same files."""
    database = Database(make_engine(url))
    config: Any = type("Config", (), {"shown_tenant_id": TENANT})
    shown: ProductConfig = config
    try:
        await import_from_files(database, shown, scores=scores, profiles=profiles)
    finally:
        await database.close()


async def timed(work: Callable[[], Awaitable[None]]) -> float:
    """The duration in seconds."""
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


async def measure_import(server: str, folder: Path, *, quick: bool) -> list[str]:
    """Rows of the table about imports."""
    many_profiles, days, controls, imports = (60, 10, 60, 1) if quick else (PROFILES, DAYS, CONTROLS, IMPORTS)
    scores, profiles = folder / "scores.json", folder / "profiles.json"
    for path, content in zip((scores, profiles), payloads(TENANT, many_profiles, controls, days), strict=True):
        path.write_text(content, encoding="utf-8")
    first, again, bare, peaks = [], [], [], list[int]()
    for _ in range(imports):
        with fresh_database(server) as url:
            first.append(await timed(lambda url=url: ours(url, scores, profiles)))  # type: ignore[misc]
            again.append(await timed(lambda url=url: ours(url, scores, profiles)))  # type: ignore[misc]
        with fresh_database(server) as url:
            bare.append(await timed(lambda url=url: asyncio.to_thread(copy_bare, url, scores, profiles)))  # type: ignore[misc]
    for work in (ours, None):
        with fresh_database(server) as url, peak_memory(peaks):
            if work:
                await work(url, scores, profiles)
            else:
                copy_bare(url, scores, profiles)
    base = statistics.median(bare)
    size = (scores.stat().st_size + profiles.stat().st_size) / 2**20
    rows = [
        f"Import of {many_profiles} profiles and {days} days of {controls} controls ({size:.1f} MiB of JSON), "
        f"median of {imports}:",
        "",
        "| | seconds | ratio | peak memory |",
        "| --- | ---: | ---: | ---: |",
        f"| parse and COPY, nothing else | {base:.2f} | 1.0 | {peaks[1] / 2**20:.0f} MiB |",
    ]
    for name, times, peak in (
        ("ours, first import", first, f"{peaks[0] / 2**20:.0f} MiB"),
        ("ours, the same again", again, ""),
    ):
        middle = statistics.median(times)
        rows.append(f"| {name} | {middle:.2f} | {middle / base:.1f} | {peak} |")
    return rows


async def fill(system: System, folder: Path, actions: int, tickets: int) -> None:
    """Store so many improvement actions and tickets."""
    tenant_id = system.resources.config.tenant_id
    scores, profiles = folder / "many-scores.json", folder / "many-profiles.json"
    for path, content in zip((scores, profiles), payloads(tenant_id, actions, actions, 30), strict=True):
        path.write_text(content, encoding="utf-8")
    await import_from_files(system.resources.database, system.resources.config, scores=scores, profiles=profiles)
    connection = await system.connect()
    now = clock.now()
    async with system.resources.database.transaction() as session:
        for number in range(tickets):
            ticket = Ticket(
                id=uuid4(), connection_id=connection.id, kind=("incident", "change")[number % 2], form_key=uuid4().hex,
                source="Microsoft recommendation", category="Identity", name=f"Ticket {number}", description="Text",
                priority=3, due_date=now.date() + timedelta(days=30), requested_by_oid="oid",
        requested_by_name="Alex", created_at=now,
                record={}, delivery="shared", correlation_id=uuid4().hex, number=f"INC{number:07}", state="2",
                state_label="In Progress", sys_id=uuid4().hex,
            )  # fmt: skip
            session.add(ticket)
            session.add(TicketAction(ticket_id=ticket.id, control_id=f"Control{number % actions}", title="Title"))


async def measure_pages(server: str, folder: Path, *, quick: bool) -> list[str]:
    """Rows of the table about pages."""
    actions, tickets, reads = (500, 500, 3) if quick else (ACTIONS, TICKETS, READS)
    rows = [
        f"Pages with {actions} actions and {tickets} tickets, median of {reads}, within one process:",
        "",
        "| page | ms | of it our own processor time | SQL statements |",
        "| --- | ---: | ---: | ---: |",
    ]
    with fresh_database(server) as url, running_sandbox() as (microsoft, servicenow):
        async with open_system(url, microsoft, servicenow) as system:
            await fill(system, folder, actions, tickets)
            seen: list[str] = []
            engine = system.resources.database.engine.sync_engine
            event.listen(engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: seen.append(statement))
            async with await system.signed_in("manager") as browser:
                for name, path in PAGES.items():
                    times, busy = [], []
                    for _ in range(reads):
                        seen.clear()
                        started, worked = time.perf_counter(), time.process_time()
                        answer = await browser.get(path)
                        times.append((time.perf_counter() - started) * 1000)
                        busy.append((time.process_time() - worked) * 1000)
                        if answer.status_code != 200:
                            raise SystemExit(f"{path} answered {answer.status_code}")
                    took, own = statistics.median(times), statistics.median(busy)
                    rows.append(f"| {name} | {took:.0f} | {own:.0f} | {len(seen)} |")
    return rows


async def run(*, quick: bool = False) -> None:
    """Print both tables as Markdown; `quick` imports little and reads each page a few times only."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with running_test_server(folder / "postgres") as server:
            for table in (
                await measure_import(server, folder, quick=quick),
                await measure_pages(server, folder, quick=quick),
            ):
                print("\n".join(table), end="\n\n", flush=True)
