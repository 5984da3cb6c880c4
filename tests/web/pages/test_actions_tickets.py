"""Where actions and their tickets meet: the list's column and filter, an action's panel, a regression after a closure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from app.core import clock
from app.core.database import Session
from app.features.connection.models import Connection, ConnectionStatus
from app.features.tickets.models import Ticket, TicketAction
from tests.factories.graph_payloads import DAY, days_before, keep, profile, score, snapshot
from tests.factories.system import System


def keep_ticket(
    session: Session, connection_id: UUID, number: str, control_id: str, made: datetime, state: str, **changes: Any
) -> UUID:
    ticket = Ticket(
        id=uuid4(), connection_id=connection_id, kind="incident", form_key=uuid4().hex, source="Microsoft recommendation",
        category="Identity", name=f"Fix {control_id}", description="Text", priority=3, due_date=DAY, requested_by_oid="oid",
        requested_by_name="Alex Wilber", created_at=made, record={}, delivery="shared", correlation_id=uuid4().hex,
        number=number, state=state, sys_id=uuid4().hex, state_label="Closed" if state == "7" else "In Progress", **changes,
    )  # fmt: skip
    session.add(ticket)
    session.add(TicketAction(ticket_id=ticket.id, control_id=control_id, title=control_id, points=9))
    return ticket.id


@pytest.fixture
async def regressed(system: System) -> System:
    """`Lost` fell on the newest day, `Kept` did not; each has a ticket that is done, made ten days before."""
    tenant_id = system.resources.config.tenant_id
    days = [
        snapshot(days_before(ago), [score("Lost", lost, lost * 10), score("Kept", 5, 50)], azureTenantId=tenant_id)
        for ago, lost in ((20, 2), (5, 9), (0, 1))
    ]
    profiles = [profile(key, azureTenantId=tenant_id) for key in ("Lost", "Kept")]
    await keep(system.resources.database, snapshots=days, profiles=profiles, tenant_id=tenant_id)
    connection = await system.connect()
    made = clock.now().replace(year=DAY.year, month=DAY.month, day=DAY.day) - timedelta(days=10)
    async with system.resources.database.transaction() as session:
        for number, (control_id, state) in enumerate((("Lost", "7"), ("Kept", "7"), ("Lost", "2"))):
            keep_ticket(session, connection.id, f"INC000000{number}", control_id, made, state)
    return system


@pytest.mark.fact("microsoft-graph edge-51")
async def test_a_regression_after_a_closed_ticket_is_said_and_a_linked_one_is_offered(
    regressed: System,
) -> None:
    async with await regressed.signed_in("sharer") as browser:
        lost = (await browser.get("/secure-score/actions/Lost")).text
        kept = (await browser.get("/secure-score/actions/Kept")).text
    assert "INC0000000: closed, but regressed on 19 Nov 2026." in lost
    assert "INC0000002: closed" not in lost
    assert "Reopen with a new linked ticket" in lost
    assert "/tickets/new?action=Lost" in lost
    assert "closed, but regressed" not in kept
    async with await regressed.signed_in("viewer") as browser:
        lost = (await browser.get("/secure-score/actions/Lost")).text
    assert "closed, but regressed" in lost
    assert "Reopen with a new linked ticket" not in lost
    # Nothing at another instance can be linked to it.
    async with regressed.resources.database.transaction() as session:
        await session.execute(update(Connection).values(status=ConnectionStatus.REMOVED))
    async with await regressed.signed_in("sharer") as browser:
        lost = (await browser.get("/secure-score/actions/Lost")).text
    assert "closed, but regressed" in lost
    assert "Reopen with a new linked ticket" not in lost


@pytest.mark.fact("microsoft-graph edge-51")
async def test_a_ticket_closed_after_the_fall_is_not_called_closed_but_regressed(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    days = [
        snapshot(days_before(ago), [score("Lost", lost, lost * 10)], azureTenantId=tenant_id)
        for ago, lost in ((20, 9), (8, 1), (0, 1))
    ]
    profiles = [profile("Lost", azureTenantId=tenant_id)]
    await keep(system.resources.database, snapshots=days, profiles=profiles, tenant_id=tenant_id)
    connection = await system.connect()
    made, closed = (datetime.combine(days_before(ago), time(), UTC) for ago in (9, 2))
    async with system.resources.database.transaction() as session:
        ticket_id = keep_ticket(session, connection.id, "INC0000000", "Lost", made, "7", state_since=closed)
    async with await system.signed_in("sharer") as browser:
        for address in (f"/tickets/{ticket_id}", "/secure-score/actions/Lost"):
            page = (await browser.get(address)).text
            assert "INC0000000" in page, address
            assert "closed, but regressed" not in page, address


async def test_the_list_shows_and_filters_by_tickets(regressed: System) -> None:
    tenant_id = regressed.resources.config.tenant_id
    bare = [profile("Bare", azureTenantId=tenant_id)]
    controls = [score("Lost", 1, 10), score("Kept", 5, 50), score("Bare", 1, 10)]
    scores = [snapshot(DAY, controls, azureTenantId=tenant_id)]
    await keep(regressed.resources.database, snapshots=scores, profiles=bare, tenant_id=tenant_id)
    async with await regressed.signed_in("viewer") as browser:
        whole = (await browser.get("/secure-score/actions")).text
        with_ticket = (await browser.get("/secure-score/actions?ticket=yes")).text
        without = (await browser.get("/secure-score/actions?ticket=no")).text
        file = (await browser.get("/secure-score/actions.csv")).text
    assert all(f"INC000000{number}" in whole for number in range(3))
    assert ("Title of Bare" in with_ticket, "Title of Lost" in with_ticket) == (False, True)
    assert ("Title of Bare" in without, "Title of Lost" in without) == (True, False)
    assert "INC0000000, INC0000002" in file or "INC0000002, INC0000000" in file


async def test_an_actions_page_lists_its_tickets(regressed: System) -> None:
    async with await regressed.signed_in("viewer") as browser:
        page = (await browser.get("/secure-score/actions/Kept")).text
    assert "INC0000001" in page
    assert "INC0000000" not in page
    assert "Alex Wilber" in page


async def test_the_ticket_filter_counts_the_actions_of_every_page(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    names = [f"C{number:03}" for number in range(120)]
    days = [snapshot(DAY, [score(name, 0, 0) for name in names], azureTenantId=tenant_id)]
    profiles = [profile(name, azureTenantId=tenant_id) for name in names]
    await keep(system.resources.database, snapshots=days, profiles=profiles, tenant_id=tenant_id)
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        for name in ("C000", "C060", "C110"):
            keep_ticket(session, connection.id, f"INC{name}", name, clock.now(), "2")
    async with await system.signed_in("viewer") as browser:
        page = (await browser.get("/secure-score/actions")).text
    assert re.findall(r'name="ticket" value="yes"><span>Yes <span class="quiet">(\d+)<', page) == ["3"]
