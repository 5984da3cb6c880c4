"""Sharing an action that has a ticket already: an open one is offered, a closed one is followed or, by setting, reopened."""

from __future__ import annotations

from uuid import UUID

import pytest

from app.features.tickets.models import Ticket
from tests.factories.system import System
from tests.factories.tickets import (
    an_action,
    fill_and_send,
    know_actions,
    read_ticket,
    records,
    refresh_now,
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
    """A ticket that was closed in ServiceNow."""
    ticket_id, record = await shared_ticket(system, action=an_action())
    system.servicenow.control("records", number=record["number"], fields=CLOSED)
    await refresh_now(system)
    return ticket_id, record


async def set_absence(system: System, ticket_id: UUID, absence: str) -> None:
    async with system.resources.database.transaction() as session:
        (await session.get_one(Ticket, ticket_id)).absence = absence


@pytest.mark.fact("microsoft-graph edge-49")
async def test_an_open_ticket_is_offered_before_another_is_made(
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


@pytest.mark.fact("microsoft-graph edge-49")
async def test_after_a_closed_ticket_comes_a_new_linked_one_and_the_closed_one_is_left_alone(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    first, record = await closed_one(system)
    before = dict(system.servicenow.instance.store.get("incident", record["sys_id"]) or {})
    async with await system.signed_in("sharer") as browser:
        form = (await browser.get(FORM)).text
        answer = await fill_and_send(browser, FORM)
    assert f"The new ticket will say that it follows {record['number']}." in form
    assert answer.status_code == 303
    await system.work()
    second = await read_ticket(system, UUID(answer.headers["location"].rpartition("/")[2]))
    assert second.predecessor_id == first
    assert f"Follows: {record['number']}" in second.record["description"]
    assert system.servicenow.instance.store.get("incident", record["sys_id"]) == before
    assert len(records(system, "incident")) == 2


@pytest.mark.fact("microsoft-graph edge-49")
async def test_by_setting_a_closed_ticket_is_to_be_reopened_and_a_new_one_has_to_be_asked_for(
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
        # A record that is gone cannot be reopened, so no page asks for that.
        await set_absence(system, ticket_id, "deleted")
        assert "your organisation reopens such tickets" not in (await browser.get(FORM)).text
        assert "checked" in (await browser.get("/tickets/new?action=AdminMFAV2&action=AdminMFAV2&as=each")).text
        await set_absence(system, ticket_id, "")
        await system.work()
        assert len(records(system, "incident")) == 1
        system.servicenow.control("records", number=record["number"], fields={"state": "2"})  # Reopened in ServiceNow.
        await refresh_now(system)
        assert (await read_ticket(system, ticket_id)).state == "2"
        assert "although a ticket is open" in (await browser.get(FORM)).text
        system.servicenow.control("records", number=record["number"], fields=CLOSED)
        await refresh_now(system)
        force_retry = await fill_and_send(browser, FORM, again="true")
        assert force_retry.status_code == 303
    second = await read_ticket(system, UUID(force_retry.headers["location"].rpartition("/")[2]))
    assert second.predecessor_id == ticket_id


@pytest.mark.fact("microsoft-graph edge-49")
async def test_the_setting_is_kept_shown_and_checked(system: System) -> None:
    await system.connect()
    await decide(system, "reopen")
    async with await system.signed_in("manager") as browser:
        assert '<option value="reopen" selected>' in (await browser.get("/servicenow/settings")).text
        refused = await browser.post("/servicenow/settings/defaults", data={**DEFAULTS, "after_done": "rewrite"})
        assert refused.status_code == 422
    await decide(system, "new")
    async with await system.signed_in("manager") as browser:
        assert '<option value="new" selected>' in (await browser.get("/servicenow/settings")).text
