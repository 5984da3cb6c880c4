"""An operator finds the cause of each accident in docs/operation.md by the log, the metrics and the commands alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from app import worker
from app.core import clock
from app.core.clock import SystemClock
from app.core.database_connection import ConnectionOptions
from app.core.process_reports import ProcessReport, write_report
from app.core.schema_guard import UnfitDatabase
from app.core.vault import Vault
from app.features.secure_score.jobs import request_sync, sync_now
from app.features.tickets.types import TicketKind
from app.integrations.microsoft.graph import GraphClient
from tests.factories.connecting import a_worker, expire, viewer_of, with_known_key
from tests.factories.logged import logged_lines
from tests.factories.microsoft import MANAGER
from tests.factories.operator import (
    documented_accidents,
    environment,
    has_moved,
    is_logged,
    run_command,
    scrape,
    with_metrics,
)
from tests.factories.outages import full_disk, marked_as, missing, proxied, with_database_at
from tests.factories.servers import free_port
from tests.factories.signing_in import sign_in
from tests.factories.system import System
from tests.factories.tickets import fill_and_send, run_due_and_waiting, share_one

pytestmark = pytest.mark.thorough

ACCIDENTS = documented_accidents()
# The product's own limits on a page, but for what would only make the test long.
QUICK = ConnectionOptions("security-center web", statement_seconds=1, pool_seconds=0.3, pool_size=3)
WITHOUT_KEY = Vault.new_key()


@dataclass
class Stage:
    """What the operator's commands find: other settings than those of the test, or a clock that is ahead."""

    settings: Mapping[str, str] = field(default_factory=dict)
    seconds_ahead: float = 0


Staging = Callable[[System, str], AbstractAsyncContextManager[Stage]]
STAGES: dict[str, Staging] = {}


def stages(title: str) -> Callable[[Callable[[System, str], AsyncIterator[Stage]]], None]:
    """The function stages the accident of this heading: it is over when the block ends."""

    def register(function: Callable[[System, str], AsyncIterator[Stage]]) -> None:
        STAGES[title] = asynccontextmanager(function)

    return register


async def look(browser: httpx.AsyncClient, status: int = 503) -> None:
    assert (await browser.get("/tickets")).status_code == status


@stages("PostgreSQL is down")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    browser = await system.signed_in("viewer")
    async with proxied(url) as (proxy, address), with_database_at(system, address, QUICK):
        await look(browser, 200)
        await proxy.refuse()
        await look(browser)
        yield Stage({"DATABASE_URL": address})


@stages("PostgreSQL hangs")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    browser = await system.signed_in("viewer")
    async with proxied(url) as (proxy, address), with_database_at(system, address, QUICK):
        await look(browser, 200)
        proxy.freeze()
        await look(browser)
        yield Stage({"DATABASE_URL": address})


@stages("The disk of PostgreSQL is full")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    browser = await system.signed_in("sharer")
    with full_disk(url, "ticket", "diagnosis_run"):
        answer = await fill_and_send(browser, "/tickets/new?action=AdminMFAV2", kind="incident")
        assert answer.status_code == 503
        yield Stage()


@stages("No worker runs")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    async with system.resources.database.transaction() as session:
        await session.execute(text("DELETE FROM procrastinate_workers"))
    browser = await system.signed_in("sharer")
    answer = await fill_and_send(browser, "/tickets/new?action=AdminMFAV2", kind="incident")
    assert answer.status_code == 303
    yield Stage({"WORKER_PORT": str(free_port())})


@stages("A worker has other VAULT_KEYS")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    other = replace(system.resources, vault=Vault([WITHOUT_KEY]))
    async with system.resources.database.transaction() as session:
        await write_report(session, ProcessReport("worker", other.vault.fingerprints, "0001"))
    await share_one(system, TicketKind.INCIDENT)
    await system.resources.queue.drain(other)
    yield Stage()


@stages("An upgrade was left half done")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    browser = await system.signed_in("viewer")
    with marked_as(url, "0014"), missing(url, "page_version"), missing(url, "ticket"):
        await look(browser)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(worker, "SCHEMA_CHECK_SECONDS", 0.1)
            with pytest.raises(UnfitDatabase):
                await worker.work_while_fit(system.resources)
        yield Stage()


@stages("The integration user has lost its role")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    system.servicenow.instance.switches.acl_refuses = "incident.create,incident.read,incident.write"
    await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, rounds=3)
    yield Stage()


@stages("The consent at ServiceNow has ended")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    system.servicenow.instance.switches.refresh_tokens_expired = True
    await expire(system)
    await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, rounds=2)
    yield Stage()


@stages("ServiceNow throttles")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    system.servicenow.instance.switches.rate_limit_per_hour = 1
    await share_one(system, TicketKind.INCIDENT)
    await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system)
    yield Stage()


@stages("The ServiceNow instance sleeps")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    system.servicenow.instance.switches.api_asleep = True
    await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system)
    yield Stage()


@stages("The client secret of Entra ID has expired")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    system.microsoft.tenant.edge_cases.secret_expired = True
    settings = system.microsoft.settings
    without_token = GraphClient(
        system.resources.microsoft, graph_url=system.microsoft.url, authority=system.microsoft.url,
        tenant_id=settings.tenant_id, client_id=settings.client_id, client_secret=settings.client_secret,
    )  # fmt: skip
    by = await viewer_of(system, await system.signed_in("manager"))
    async with system.resources.database.transaction() as session:
        await request_sync(session, system.resources, by=by)
    await sync_now.function(replace(system.resources, graph=without_token))
    async with system.client() as browser:
        await sign_in(browser, MANAGER)
    yield Stage()


@stages("A person probes")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    browser = await system.signed_in("viewer")
    for address in ("/servicenow/audit", "/servicenow/connect", "/servicenow/failed-jobs"):
        await browser.get(address)
    yield Stage()


@stages("A job is given up")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    async with system.resources.database.transaction() as session:
        await system.resources.queue.defer(session, "provisioning.diagnose", run_id="no id")
    await run_due_and_waiting(system, rounds=12)
    yield Stage()


@stages("The clock is wrong")
async def _(system: System, url: str) -> AsyncIterator[Stage]:
    before = clock.use(Ahead())
    try:
        async with system.client() as browser:
            answer = await sign_in(browser, MANAGER)
            assert answer.status_code != 303
        yield Stage(seconds_ahead=7200)
    finally:
        clock.use(before)


class Ahead(SystemClock):
    """Two hours ahead, as after a wrong time zone."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=2)


async def ready(system: System) -> str:
    """A connected system with a worker; the key of its vault."""
    key = with_known_key(system)
    with_metrics(system)
    await system.connect()
    await a_worker(system)
    return key


def test_each_accident_of_the_document_is_staged() -> None:
    assert list(STAGES) == list(ACCIDENTS)
    assert len(ACCIDENTS) >= 10


@pytest.mark.parametrize("title", STAGES)
async def test_the_signs_of_an_accident_appear(scored: System, database_url: str, title: str) -> None:
    key = await ready(scored)
    accident, before = ACCIDENTS[title], await scrape(scored)
    with logged_lines() as lines:
        async with STAGES[title](scored, database_url) as stage:
            after = await scrape(scored)
            values = environment(scored, key, **stage.settings)
            said = {
                name: await run_command(values, *name.split(), seconds_ahead=stage.seconds_ahead)
                for name in accident.commands
            }
    printed = {name: ended.stdout + ended.stderr for name, ended in said.items()}
    lacking = [sign for sign in accident.log if not is_logged(sign, lines)]
    lacking += [f"not {sign}" for sign in accident.not_logged if is_logged(sign, lines)]
    lacking += [sign for sign in accident.metrics if not has_moved(sign, before, after)]
    lacking += [sign for name, signs in accident.commands.items() for sign in signs if sign not in printed[name]]
    assert not lacking, (lines, printed)


async def test_nothing_is_said_of_an_accident_while_there_is_none(scored: System) -> None:
    key = await ready(scored)
    before = await scrape(scored)
    with logged_lines() as lines:
        await share_one(scored, TicketKind.INCIDENT)
        await scored.work()
        well = await run_command(environment(scored, key), "doctor")
        after = await scrape(scored)
    signs = [sign for accident in ACCIDENTS.values() for sign in accident.commands["doctor"] if sign.startswith("[")]
    assert well.returncode == 0, well.stdout + well.stderr
    assert [sign for sign in signs if sign in well.stdout] == []
    for title, accident in ACCIDENTS.items():
        seen = [sign for sign in accident.metrics if not has_moved(sign, before, after)]
        assert seen or not all(is_logged(sign, lines) for sign in accident.log), title
