"""Pages say how old their data is and why; a view has it polled more often."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text, update

from app.core import clock
from app.core.messages import T
from app.features.connection.models import Connection, InstanceThrottle
from app.features.tickets.models import PollCursor
from app.features.tickets.polling.poll_status import PollStatus
from tests.factories.system import System
from tests.factories.tickets import (
    refresh_now,
    shared_ticket,
    told,
)


async def test_the_cards_say_why_they_are_stale(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    await refresh_now(system)
    assert "As of " in await told(system, "/")
    system.servicenow.instance.switches.api_asleep = True
    await refresh_now(system)
    assert "hibernating" in await told(system, "/")
    async with await system.signed_in("manager") as browser:
        page = (await browser.get("/servicenow")).text
    assert "hibernating" in page
    assert "ServiceNow is connected." not in page
    system.servicenow.instance.switches.api_asleep = False
    await refresh_now(system)
    assert "hibernating" not in await told(system, "/")
    async with system.resources.database.transaction() as session:
        await session.execute(
            update(PollCursor).values(succeeded_at=clock.now() - timedelta(minutes=8), tried_at=clock.now())
        )
    assert "The background worker has not asked ServiceNow since then." in await told(system, "/")
    async with system.resources.database.transaction() as session:
        sentence = T("The sign-in has expired.").to_json()
        await session.execute(update(Connection).values(status="needs_attention", attention=sentence))
    assert "The sign-in has expired." in await told(system, "/cards/incident")


async def test_a_view_after_a_break_starts_one_poll_at_once(system: System) -> None:
    await system.connect()
    _, record = await shared_ticket(system)
    await refresh_now(system)
    async with system.resources.database.transaction() as session:
        await session.execute(update(InstanceThrottle).values(last_viewed_at=clock.now() - timedelta(minutes=30)))
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await told(system, "/cards/incident")
    await told(system, "/cards/incident")
    async with system.resources.database.transaction() as session:
        query = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'tickets.poll'")
        assert (await session.execute(query)).scalar_one() == 1
    await system.work()
    assert "In Progress" in await told(system, "/cards/incident")


def test_without_a_connection_nothing_is_fresh() -> None:
    fresh = PollStatus(None, None, {}).fresh("change")
    assert fresh.as_of is None
    assert "not connected" in str(fresh.problem)
