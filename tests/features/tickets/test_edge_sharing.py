"""Edge cases 49 to 52: sharing twice, the seven data items, tickets against the score, and a ticket system that is down."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from app.core import clock
from app.core.clock import SetClock
from app.features.connection.active_connection import active_connection
from app.features.secure_score.models import ImprovementAction
from app.features.tickets.sharing.record import Links, Requester, compose_record
from app.features.tickets.types import TicketKind
from app.features.tickets.views.outcomes import Outcome, ticket_results
from tests.factories.system import System
from tests.factories.tickets import (
    an_action,
    an_ask,
    calls,
    fill_and_send,
    know_actions,
    read_ticket,
    records,
    refresh_now,
    run_due_and_waiting,
    share_one,
    shared_ticket,
)

CLOSED = {"state": "7", "close_code": "Solution provided", "close_notes": "Done."}
FORM = "/tickets/new?action=AdminMFAV2"
DEFAULTS = {
    "kind": "incident", "priority_high": "2", "priority_moderate": "3", "priority_low": "4",
    "due_1": "7", "due_2": "14", "due_3": "30", "due_4": "60", "due_5": "90",
}  # fmt: skip


async def decide(system: System, after_done: str) -> None:
    """An administrator's setting."""
    async with await system.signed_in("manager") as browser:
        answer = await browser.post("/servicenow/settings/defaults", data={**DEFAULTS, "after_done": after_done})
        assert answer.status_code == 303, answer.text


async def closed_one(system: System) -> tuple[UUID, dict[str, str]]:
    """A ticket that somebody closed in ServiceNow."""
    ticket_id, record = await shared_ticket(system, action=an_action())
    system.servicenow.control("records", number=record["number"], fields=CLOSED)
    await refresh_now(system)
    return ticket_id, record


async def test_edge_49_an_open_ticket_is_offered_before_another_is_made(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    _, record = await shared_ticket(system, action=an_action())
    async with await system.signed_in("sharer") as browser:
        form = (await browser.get(FORM)).text
        assert record["number"] in form
        refused = await fill_and_send(browser, FORM)
    assert refused.status_code == 409
    assert record["number"] in refused.text
    assert "Share it again although a ticket is open" in refused.text
    await system.work()
    assert len(records(system, "incident")) == 1
    assert records(system, "change_request") == []


async def test_edge_49_after_a_closed_ticket_comes_a_new_linked_one_and_the_closed_one_is_left_alone(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    first, record = await closed_one(system)
    before = dict(system.servicenow.instance.store.get("incident", record["sys_id"]) or {})
    async with await system.signed_in("sharer") as browser:
        answer = await fill_and_send(browser, FORM, kind="incident")
    assert answer.status_code == 303
    await system.work()
    second = await read_ticket(system, UUID(answer.headers["location"].rpartition("/")[2]))
    assert second.predecessor_id == first
    assert f"Follows: {record['number']}" in second.record["description"]
    assert system.servicenow.instance.store.get("incident", record["sys_id"]) == before
    assert len(records(system, "incident")) == 2


async def test_edge_49_by_setting_a_closed_ticket_is_to_be_reopened_and_a_new_one_has_to_be_asked_for(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    await decide(system, "reopen")
    ticket_id, record = await closed_one(system)
    async with await system.signed_in("sharer") as browser:
        form = (await browser.get(FORM)).text
        assert "your organisation reopens such tickets" in form
        assert "Make a new ticket instead, which names the old one" in form
        refused = await fill_and_send(browser, FORM)
        assert refused.status_code == 409
        assert "nothing was sent" in refused.text
        assert record["number"] in refused.text
        several = (await browser.get("/tickets/new?action=AdminMFAV2&action=AdminMFAV2&as=each")).text
        assert "checked" not in several
        await system.work()
        assert len(records(system, "incident")) == 1
        system.servicenow.control("records", number=record["number"], fields={"state": "2"})  # Reopened over there.
        await refresh_now(system)
        assert (await read_ticket(system, ticket_id)).state == "2"
        assert "although a ticket is open" in (await browser.get(FORM)).text
        system.servicenow.control("records", number=record["number"], fields=CLOSED)
        await refresh_now(system)
        force_retry = await fill_and_send(browser, FORM, again="true")
        assert force_retry.status_code == 303
    second = await read_ticket(system, UUID(force_retry.headers["location"].rpartition("/")[2]))
    assert second.predecessor_id == ticket_id


async def test_edge_49_the_setting_is_kept_shown_and_checked(system: System) -> None:
    await system.connect()
    await decide(system, "reopen")
    async with await system.signed_in("manager") as browser:
        assert '<option value="reopen" selected>' in (await browser.get("/servicenow/settings")).text
        refused = await browser.post("/servicenow/settings/defaults", data={**DEFAULTS, "after_done": "rewrite"})
        assert refused.status_code == 422
    await decide(system, "new")
    async with await system.signed_in("manager") as browser:
        assert '<option value="new" selected>' in (await browser.get("/servicenow/settings")).text


@pytest.mark.parametrize("kind", list(TicketKind))
def test_edge_50_all_seven_data_items_are_in_the_record(kind: TicketKind) -> None:
    sender = Requester(None, "0f8fad5b-d9cb-469f-a165-70867728950e", "Megan Bowen", "megan@contoso.example")
    asked = an_ask(kind, name="Turn on MFA", description="Everybody needs it.", due_date=date(2030, 12, 31))
    composed = compose_record(asked, sender, Links("https://portal.example/t", []), "0" * 32)
    for line in (
        "user ID 0f8fad5b-d9cb-469f-a165-70867728950e",
        "Task name: Turn on MFA",
        "Everybody needs it.",
        "Priority: 2 - High",
        "Due date: 2030-12-31",
        "Recommendation source: Microsoft recommendation",
        "Recommendation category: Identity",
    ):
        assert line in composed.fields["description"], line


@pytest.mark.parametrize("field", ["kind", "name", "description", "priority", "due_date", "category"])
async def test_edge_50_what_is_required_is_asked_for_by_the_server(system: System, field: str) -> None:
    await system.connect()
    async with await system.signed_in("sharer") as browser:
        good = {
            "kind": "incident", "name": "Task", "description": "Do it.", "priority": "3", "category": "Apps",
            "due_date": "2030-12-31", "form_key": str(uuid4()),
        }  # fmt: skip
        refused = await browser.post("/tickets/new", data=good | {field: ""})
        assert refused.status_code == 422
        assert "field-error" in refused.text
        assert (await browser.post("/tickets/new", data=good)).status_code == 303
    await system.work()
    assert len(records(system, "incident")) == 1


async def _due(browser: httpx.AsyncClient, day: str) -> httpx.Response:
    good = {"name": "Task", "description": "Do it.", "category": "Apps", "priority": "3", "kind": "incident"}
    return await fill_and_send(browser, "/tickets/new", **good, due_date=day)


async def test_edge_50_a_due_date_may_be_today_and_neither_past_nor_absurd(system: System) -> None:
    await system.connect()
    today = clock.now().date()
    async with await system.signed_in("sharer") as browser:
        for day, sentence in (
            ((today - timedelta(days=2)).isoformat(), "This day has passed."),
            (f"{today.year + 11}-01-01", "more than 10 years away"),
            ("9999-12-31", "more than 10 years away"),
            ("2026-02-30", "This is not a date."),
            ("tomorrow", "This is not a date."),
        ):
            refused = await _due(browser, day)
            assert refused.status_code == 422, day
            assert sentence in refused.text, day
        assert (await _due(browser, today.isoformat())).status_code == 303
        assert (await _due(browser, f"{today.year + 10}-12-31")).status_code == 303


async def test_edge_50_what_is_still_today_in_another_time_zone_is_not_past(
    system: System, still_clock: SetClock
) -> None:
    """At two in the morning in UTC it is still the day before in America, and the day after's morning in New Zealand."""
    still_clock.move(-(clock.now() - clock.now().replace(hour=2, minute=0, second=0)).total_seconds())
    await system.connect()
    utc = clock.now().date()
    async with await system.signed_in("sharer") as browser:
        for day in (utc - timedelta(days=1), utc, utc + timedelta(days=1)):
            assert (await _due(browser, day.isoformat())).status_code == 303, day
        assert (await _due(browser, (utc - timedelta(days=2)).isoformat())).status_code == 422
    still_clock.move(12 * 3600)
    async with await system.signed_in("sharer") as browser:
        assert (await _due(browser, (utc - timedelta(days=1)).isoformat())).status_code == 422


@pytest.mark.parametrize(("hour", "earliest"), [(0, 24), (11, 24), (12, 25), (23, 25)])
def test_edge_50_a_day_is_past_once_it_is_over_everywhere(hour: int, earliest: int) -> None:
    assert clock.earliest_day(datetime(2026, 11, 25, hour, tzinfo=UTC)) == date(2026, 11, earliest)


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
        found = await ticket_results(session, system.resources.config.shown_tenant_id, connection)
    return [(line.outcome, str(line.sentence)) for line in found.lines]


async def test_edge_51_each_meeting_of_ticket_and_score_has_its_result_and_the_states_are_in_the_tickets_history(
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


@pytest.mark.parametrize("fault", ["hibernating", "unavailable", "dropped", "bad_gateway", "cancelled_after_commit"])
async def test_edge_52_a_ticket_system_that_is_down_or_slow_gets_the_ticket_later_and_once(
    system: System, fault: str
) -> None:
    await system.connect()
    system.servicenow.fault(fault, method="POST", path="/table/")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    waiting = await read_ticket(system, ticket_id)
    assert waiting.delivery == "queued"
    async with await system.signed_in("viewer") as browser:
        assert "On its way" in (await browser.get("/")).text
    await run_due_and_waiting(system, 4)
    await _let_time_pass(system)
    await run_due_and_waiting(system, 2)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, len(records(system, "incident"))) == ("shared", 1)
    assert calls(system, "GET")  # It looked before it sent a second time.


async def _let_time_pass(system: System) -> None:
    """A create of ours can no longer be at work over there."""
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket SET uncertain_until = now() - interval '1 second'"))


async def test_edge_52_the_card_says_how_old_its_data_is_and_why(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    await refresh_now(system)
    async with await system.signed_in("viewer") as browser:
        assert "As of" in (await browser.get("/cards/incident")).text
        system.servicenow.fault("hibernating", times=50)
        await refresh_now(system)
        card = (await browser.get("/cards/incident")).text
    assert "As of" in card
    assert "stale" in card
    assert "asleep" in card or "hibernat" in card
