"""A ticket's way through the score: each meeting of the two has its outcome, and the ticket's history has the states."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.core import clock
from app.features.connection.active_connection import active_connection
from app.features.secure_score.models import ImprovementAction
from app.features.tickets.views.outcomes import Outcome, ticket_results
from tests.factories.system import System
from tests.factories.tickets import an_action, refresh_now, shared_ticket

CLOSED = {"state": "7", "close_code": "Solution provided", "close_notes": "Done."}


async def _scored(system: System, **changes: Any) -> None:
    tenant = system.resources.config.shown_tenant_id
    known = {"points": 0.0, "max_points": 10.0, "scored": True, "title": "Require MFA", "service": "AzureAD"}
    async with system.resources.database.transaction() as session:
        row = await session.get(ImprovementAction, (tenant, "AdminMFAV2"))
        if row is None:
            row = ImprovementAction(tenant_id=tenant, control_id="AdminMFAV2", first_seen_at=clock.now(), **known)
            session.add(row)
        for name, value in changes.items():
            setattr(row, name, value)


async def _outcomes(system: System) -> list[tuple[Outcome, str]]:
    async with system.resources.database.transaction() as session:
        connection = await active_connection(session)
        found = await ticket_results(
            session, system.resources.config.shown_tenant_id, connection.id if connection else None
        )
    return [(line.outcome, str(line.sentence)) for line in found.lines]


@pytest.mark.fact("microsoft-graph edge-51")
async def test_each_meeting_of_ticket_and_score_has_its_result_and_the_states_are_in_the_tickets_history(
    system: System,
) -> None:
    await system.connect()
    await _scored(system)
    ticket_id, record = await shared_ticket(system, action=an_action())
    assert await _outcomes(system) == []
    await _scored(system, points=10.0, percent=100.0)
    assert await _outcomes(system) == [(Outcome.STILL_OPEN, "Points achieved, ticket still open")]
    await _scored(system, points=0.0, percent=0.0)
    system.servicenow.control("records", number=record["number"], fields=CLOSED)
    await refresh_now(system)
    [(outcome, sentence)] = await _outcomes(system)
    assert outcome is Outcome.NO_POINTS
    assert "Microsoft usually needs until" in sentence
    await _scored(system, points=10.0, percent=100.0)
    assert await _outcomes(system) == [(Outcome.EFFECTIVE, "Effective: +10 points")]
    await _scored(system, points=0.0, percent=0.0, regressed_on=clock.now().date() + timedelta(days=1))
    [(outcome, sentence)] = await _outcomes(system)
    assert outcome is Outcome.REGRESSED
    assert "closed, but regressed on" in sentence
    async with await system.signed_in("viewer") as browser:
        page = (await browser.get(f"/tickets/{ticket_id}")).text
        assert "from New to Closed" in page
        assert "closed, but regressed on" in page
        assert "Reopen by a new linked ticket" not in page
    async with await system.signed_in("sharer") as browser:
        assert "Reopen by a new linked ticket" in (await browser.get(f"/tickets/{ticket_id}")).text
        second, _ = await shared_ticket(system, action=an_action(points=0.0))
        for number in (ticket_id, second):  # The newest ticket is the one that counts, and it is still open.
            assert "In the score" not in (await browser.get(f"/tickets/{number}")).text
        await _scored(system, points=10.0, percent=100.0, regressed_on=None)
        assert "Points achieved, ticket still open" in (await browser.get(f"/tickets/{second}")).text
        assert "In the score" not in (await browser.get(f"/tickets/{ticket_id}")).text
