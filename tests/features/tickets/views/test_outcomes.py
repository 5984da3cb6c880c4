"""Each ticket against the score, by the newest ticket of its action."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.core import clock
from app.features.secure_score.models import ImprovementAction
from app.features.secure_score.reports.current_points import Points
from app.features.tickets.models import Ticket
from app.features.tickets.types import StateCategory, TicketKind
from app.features.tickets.views.outcomes import ActionTicket, Outcome, TicketOutcome, evaluate, ticket_results
from app.features.tickets.views.ticket_list import TicketLine
from tests.factories.system import System
from tests.factories.tickets import an_action, share_one

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


DONE_AT = NOW - timedelta(days=1)


LINE = TicketLine(
    id=uuid4(), kind="change", number="CHG1", name="n", state_name="Closed", state_category="done", delivery="shared",
    priority="High", due_date=None, created_at=NOW, requested_by_name="Megan", verified_at=None,
)  # fmt: skip


SHARED = ActionTicket("mfa", "MFA", 2.0, StateCategory.DONE, DONE_AT, LINE)


POINTS = Points(
    control_id="mfa", title="MFA", points=2.0, max_points=10.0, is_full=False, scored=True, as_of=NOW.date(),
    regressed_on=None, regressed_from=None, usual_delay=timedelta(hours=48),
)  # fmt: skip


def verdict(shared: dict[str, Any], points: dict[str, Any]) -> TicketOutcome | None:
    return evaluate(replace(SHARED, **shared), replace(POINTS, **points), NOW)


async def action_in_score(system: System, control_id: str, **changes: Any) -> None:
    known = {"points": 0.0, "max_points": 10.0, "scored": True, "title": f"Action {control_id}", "service": "EXO"}
    tenant = system.resources.config.shown_tenant_id
    async with system.resources.database.transaction() as session:
        session.add(
            ImprovementAction(tenant_id=tenant, control_id=control_id, first_seen_at=NOW, **{**known, **changes})
        )


async def close(system: System, ticket_id: UUID) -> None:
    async with system.resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id)
        ticket.state, ticket.state_label, ticket.state_since = "7", "Closed", clock.now()


@pytest.mark.parametrize(
    ("shared", "points", "outcome", "sentence"),
    [
        ({}, {}, Outcome.NO_POINTS, "Done in ServiceNow, no points yet. Microsoft usually needs until 21 Nov 2026"),
        ({}, {"usual_delay": timedelta(days=31)}, Outcome.NO_POINTS, "until 20 Dec 2026"),
        ({"since": NOW - timedelta(days=5)}, {}, Outcome.OVERDUE, "no points yet, 5 days after"),
        ({}, {"points": 10.0, "is_full": True}, Outcome.EFFECTIVE, "Effective: +8 points"),
        ({}, {"points": 3.0}, Outcome.EFFECTIVE, "Effective: +1 point"),
        ({}, {"points": 4.5}, Outcome.EFFECTIVE, "Effective: +2.5 points"),
        ({"points_then": None}, {"points": 10.0, "is_full": True}, Outcome.EFFECTIVE, "Effective: all points achieved"),
        ({"points_then": None}, {"points": 4.0}, Outcome.NO_POINTS, "no points yet"),
        ({}, {"points": None}, Outcome.NO_POINTS, "no points yet"),
        ({}, {"regressed_on": NOW.date()}, Outcome.REGRESSED, "closed, but regressed on 20 Nov 2026"),
        ({}, {"regressed_on": date(2026, 10, 1)}, Outcome.NO_POINTS, "no points yet"),
        ({}, {"regressed_on": DONE_AT.date(), "regressed_from": 8.0}, Outcome.NO_POINTS, "no points yet"),
        ({"since": NOW - timedelta(days=5)}, {"as_of": date(2026, 11, 17)}, Outcome.NO_POINTS, "until 17 Nov 2026"),
        ({"since": NOW - timedelta(days=5)}, {"as_of": date(2026, 11, 18)}, Outcome.OVERDUE, "5 days after"),
        ({"since": NOW - timedelta(days=5)}, {"as_of": None}, Outcome.NO_POINTS, "no points yet"),
        (
            {"category": StateCategory.PROGRESS}, {"points": 10.0, "is_full": True},
            Outcome.STILL_OPEN, "Points achieved, ticket still open",
        ),
        ({"category": StateCategory.UNKNOWN}, {"points": 10.0, "is_full": True}, Outcome.STILL_OPEN, "ticket still open"),
    ],
)  # fmt: skip
def test_each_case_has_its_outcome(
    shared: dict[str, Any], points: dict[str, Any], outcome: Outcome, sentence: str
) -> None:
    result = verdict(shared, points)
    assert result is not None
    assert result.outcome is outcome
    assert sentence in str(result.sentence)
    assert result.may_reopen is (outcome is Outcome.REGRESSED)


def test_a_ticket_of_another_instance_gets_no_linked_ticket() -> None:
    result = verdict({"ticket": replace(LINE, archived_at="old")}, {"regressed_on": NOW.date()})
    assert result is not None
    assert (result.outcome, result.may_reopen) == (Outcome.REGRESSED, False)


@pytest.mark.parametrize(
    ("shared", "points"),
    [
        ({"category": StateCategory.NEW}, {}),
        ({"category": StateCategory.CANCELED}, {"points": 10.0, "is_full": True}),
        ({"category": StateCategory.NEW, "points_then": 10.0}, {"points": 10.0, "is_full": True}),
        ({"category": StateCategory.NEW}, {"regressed_on": NOW.date()}),
        ({"category": StateCategory.UNKNOWN, "since": None}, {}),
        ({"since": NOW - timedelta(days=20)}, {"points": None, "scored": False}),
    ],
)
def test_where_the_score_says_nothing_there_is_no_outcome(shared: dict[str, Any], points: dict[str, Any]) -> None:
    assert verdict(shared, points) is None


async def test_the_home_page_shows_them_as_one_card_and_offers_to_reopen(system: System) -> None:
    await system.connect()
    today = clock.now().date()
    await action_in_score(system, "lost", regressed_on=today + timedelta(days=1), regressed_from=10.0)
    await action_in_score(system, "won", points=10.0, percent=100.0)
    await action_in_score(system, "untouched")
    tickets = {
        name: await share_one(system, TicketKind.INCIDENT, action=an_action(name))
        for name in ("lost", "won", "untouched")
    }
    await system.work()
    await close(system, tickets["lost"])
    await close(system, tickets["won"])
    async with await system.signed_in("sharer") as browser:
        for address in ("/", "/tickets-and-results"):
            page = (await browser.get(address)).text
            assert "Tickets and results" in page
            assert "closed, but regressed on" in page
            assert 'href="/tickets/new?action=lost"' in page
            assert "Effective: +10 points" in page
            assert "Action untouched" not in page
    async with await system.signed_in("viewer") as browser:
        assert 'href="/tickets/new?action=lost"' not in (await browser.get("/")).text


async def test_a_newer_ticket_takes_the_older_ones_place(system: System) -> None:
    connection = await system.connect()
    await action_in_score(system, "lost", regressed_on=clock.now().date() + timedelta(days=1), regressed_from=10.0)
    first = await share_one(system, TicketKind.INCIDENT, action=an_action("lost"))
    await system.work()
    await close(system, first)
    await share_one(system, TicketKind.INCIDENT, action=an_action("lost"))
    await system.work()
    async with system.resources.database.transaction() as session:
        results = await ticket_results(session, system.resources.config.shown_tenant_id, connection.id)
    assert results.lines == []


async def test_without_a_connection_there_are_no_outcomes(system: System) -> None:
    async with system.resources.database.transaction() as session:
        assert (await ticket_results(session, "nobody", None)).lines == []
