"""The main journey: an action is shared as each kind, its state comes back, and a lost answer makes no second record."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import update

from app.features.tickets.models import Ticket
from app.features.tickets.polling.poll import poll_states
from sandbox.faults import Fault
from tests.factories.system import System
from tests.factories.tickets import (
    an_action,
    calls,
    fill_and_send,
    know_actions,
    read_ticket,
    records,
    run_due_and_waiting,
)

TABLES = {"change": "change_request", "incident": "incident"}
MARKERS = {
    "change": "Microsoft 365 Security and Configuration Change Request",
    "incident": "Microsoft 365 Security and Configuration Incident",
}


@pytest.mark.parametrize("kind", ["change", "incident"])
async def test_an_action_is_shared_and_stands_on_the_home_page(
    system: System, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    async with await system.signed_in("sharer", follow_redirects=True) as browser:
        page = await fill_and_send(
            browser, "/tickets/new?action=AdminMFAV2", kind=kind, priority="2", due_date="2030-12-31"
        )
        assert page.status_code == 200
        assert "Queued" in page.text
        await system.work()

        (record,) = records(system, TABLES[kind])
        assert record["short_description"] == "Require multifactor authentication (AdminMFAV2)"
        assert record["priority"] == "2"
        assert record["due_date"] == "2030-12-31 12:00:00"
        assert record["correlation_display"] == MARKERS[kind]
        for line in (
            "Requested by: ",
            "Task name: Require multifactor authentication (AdminMFAV2)",
            "Priority: 2 - High",
            "Due date: 2030-12-31",
            "Recommendation source: Microsoft recommendation",
            "Recommendation category: Identity",
        ):
            assert line in record["description"]
        assert f"Ticket in the security center: {page.url}" in record["description"]

        home = await browser.get("/")
        assert record["number"] in home.text
        assert "Require multifactor authentication" in home.text
        ticket = await browser.get(str(page.url))
        assert "Open in ServiceNow" in ticket.text
        assert f"sys_id%3D{record['sys_id']}" in ticket.text
        assert "changed what you sent" not in ticket.text


async def test_a_free_task_is_a_user_recommendation_of_the_chosen_category(system: System) -> None:
    await system.connect()
    async with await system.signed_in("sharer", follow_redirects=True) as browser:
        page = await fill_and_send(
            browser, "/tickets/new?kind=incident", kind="incident", name="Patch the VPN", description="This week.",
            category="Infrastructure",
        )  # fmt: skip
        assert page.status_code == 200, page.text
    await system.work()
    (record,) = records(system, "incident")
    assert "Recommendation source: User recommendation" in record["description"]
    assert "Recommendation category: Infrastructure" in record["description"]


async def test_a_state_moved_in_servicenow_reaches_the_home_card(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    async with await system.signed_in("sharer") as browser:
        shared = await fill_and_send(browser, "/tickets/new?action=AdminMFAV2", kind="incident")
        await system.work()
        first = await browser.get("/cards/incident")
        assert "New" in first.text
        (record,) = records(system, "incident")
        instance = system.servicenow.instance
        moved = {"table": "incident", "sys_id": record["sys_id"], "state": "2"}
        with system.servicenow.browser() as agent:
            agent.post("/_sandbox/move", data=moved).raise_for_status()
        assert instance.store.get("incident", record["sys_id"])["state"] == "2"  # type: ignore[index]

        async with system.resources.database.transaction() as session:
            await system.resources.queue.defer(session, "tickets.poll")
        await system.work()

        card = await browser.get("/cards/incident")
        assert card.status_code == 200
        assert "In Progress" in card.text
        assert "As of " in card.text
        ticket = await browser.get(shared.headers["location"])
        assert "State changed from New to In Progress." in ticket.text


async def test_the_answer_to_a_create_is_lost_after_servicenow_stored_it_and_the_ticket_is_shared_once(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    system.servicenow.instance.orders.order(Fault("dropped_after_commit", 1, "POST", "/table/"))
    async with await system.signed_in("sharer") as browser:
        shared = await fill_and_send(browser, "/tickets/new?action=AdminMFAV2")
        await system.work()
        assert len(records(system, "change_request")) == 1
        waiting = await browser.get(shared.headers["location"])
        assert "we cannot know yet whether it was received" in waiting.text

        await run_due_and_waiting(system)
        (record,) = records(system, "change_request")
        ticket = await read_ticket(system, UUID(shared.headers["location"].rsplit("/", 1)[1]))
        assert (ticket.delivery, ticket.number, ticket.attempts) == ("shared", record["number"], 2)
        assert [entry.method for entry in calls(system)] == ["POST", "GET"]


async def test_while_a_lost_create_may_still_land_it_is_looked_for_and_not_sent_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    system.servicenow.instance.orders.order(Fault("dropped_before", 1, "POST", "/table/"))
    async with await system.signed_in("sharer") as browser:
        await fill_and_send(browser, "/tickets/new?action=AdminMFAV2")
    await run_due_and_waiting(system, 3)
    assert records(system, "change_request") == []
    assert [entry.method for entry in calls(system)] == ["POST", "GET", "GET"]

    async with system.resources.database.transaction() as session:
        await session.execute(update(Ticket).values(uncertain_until=None))
    await run_due_and_waiting(system)
    assert len(records(system, "change_request")) == 1


async def test_a_refresh_of_nothing_asks_nothing(system: System) -> None:
    await poll_states(system.resources)
    await system.connect()
    await poll_states(system.resources)
    assert calls(system) == []
