"""Pages say how old their data is and why; a view has it polled more often."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text, update

from app.core import clock
from app.core.messages import Message, T
from app.features.connection.models import Connection, ConnectionStatus, InstanceThrottle
from app.features.tickets.models import PollCursor
from app.features.tickets.polling.poll_status import PollStatus
from app.features.tickets.polling.schedule import STATES_STALE_AFTER
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


def status_of(
    *,
    connection: ConnectionStatus = ConnectionStatus.CONNECTED,
    attention: Message | None = None,
    paused_for: float = 0,
    polled: timedelta | None = timedelta(0),
    problem: Message | None = None,
    refused: int = 0,
) -> PollStatus:
    now = clock.now()
    return PollStatus(
        Connection(status=connection, attention=attention.to_json() if attention else None),
        InstanceThrottle(
            requests=0,
            paused_until=now + timedelta(seconds=paused_for),
            reason=T("Slow down.").to_json() if paused_for else None,
        ),
        {
            "incident": PollCursor(
                kind="incident",
                succeeded_at=None if polled is None else now - polled,
                problem=problem.to_json() if problem else None,
                changes_refused=refused,
            )
        },
    )


def problem_of(status: PollStatus) -> str | None:
    problem = status.fresh("incident").problem
    return None if problem is None else str(problem)


def test_fresh_data_needs_no_explanation() -> None:
    assert problem_of(status_of()) is None
    assert problem_of(status_of(polled=STATES_STALE_AFTER - timedelta(seconds=5))) is None
    assert problem_of(status_of(polled=None)) is None
    assert status_of().fresh("change").problem is None, "there is nothing to poll yet"


def test_each_cause_of_old_data_is_named() -> None:
    old = STATES_STALE_AFTER + timedelta(seconds=5)
    assert "background worker" in (problem_of(status_of(polled=old)) or "")
    assert "one after the other" in (problem_of(status_of(polled=old, refused=2)) or "")
    assert problem_of(status_of(problem=T("It sleeps."))) == "It sleeps."
    assert (problem_of(status_of(paused_for=60)) or "").startswith("Slow down. We ask again at ")
    attention = status_of(connection=ConnectionStatus.NEEDS_ATTENTION, attention=T("Expired."))
    assert problem_of(attention) == "Expired."
    assert "authorize the connection" in (problem_of(status_of(connection=ConnectionStatus.NEEDS_ATTENTION)) or "")
    assert "not connected" in (problem_of(status_of(connection=ConnectionStatus.REMOVED)) or "")


def test_the_cause_of_the_other_causes_is_named_first() -> None:
    everything = status_of(
        connection=ConnectionStatus.NEEDS_ATTENTION,
        attention=T("Expired."),
        paused_for=60,
        problem=T("It sleeps."),
        polled=STATES_STALE_AFTER * 2,
    )
    assert problem_of(everything) == "Expired."
    assert (problem_of(status_of(paused_for=60, problem=T("It sleeps."))) or "").startswith("Slow down.")
    assert problem_of(status_of(problem=T("It sleeps."), polled=STATES_STALE_AFTER * 2)) == "It sleeps."
