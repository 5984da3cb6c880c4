"""A work note arrives once under any fault, and an older attempt says nothing about it later."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from app.features.tickets.notes.deliver_note import deliver_note
from app.integrations.http.errors import Ambiguous, Forbidden
from app.integrations.servicenow.client import ServiceNowClient
from tests.factories.delivering import note_deliveries, note_row, shared_change, work_notes, write_note
from tests.factories.system import System
from tests.factories.tickets import run_due_and_waiting, told


@pytest.mark.thorough
@pytest.mark.fact("other-connectors bug-67")
@pytest.mark.parametrize(
    "trouble",
    [
        "dropped_after_commit", "cancelled_after_commit", "refused_after_commit", "broken_json", "hibernating",
        "rate_limited", "acl_hiccup", "session_overflow", "signed_out",
    ],
)  # fmt: skip
async def test_a_note_arrives_once_after_every_fault_of_the_answer(system: System, trouble: str) -> None:
    ticket_id = await shared_change(system)
    system.servicenow.fault(trouble, method="PATCH")
    await write_note(system, ticket_id, "Once, please.")
    await run_due_and_waiting(system, 4)
    assert len(work_notes(system)) == 1
    assert await note_deliveries(system) == ["shared"]


async def test_a_note_that_may_still_land_is_looked_for_and_not_repeated(system: System) -> None:
    ticket_id = await shared_change(system)
    system.servicenow.fault("dropped_before", method="PATCH")
    await write_note(system, ticket_id, "Once, please.")
    await run_due_and_waiting(system, 3)
    assert work_notes(system) == []
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket_note SET uncertain_until = now() - interval '1 second'"))
    await run_due_and_waiting(system)
    assert len(work_notes(system)) == 1


async def test_a_note_that_may_still_land_says_nothing_of_a_record_that_is_not_there(system: System) -> None:
    """That is a ticket's sentence. A note keeps what was said of its send."""
    ticket_id = await shared_change(system)
    system.servicenow.fault("dropped_before", method="PATCH")
    await write_note(system, ticket_id, "Once, please.")
    await run_due_and_waiting(system)
    said = (await note_row(system)).problem
    assert said == Ambiguous().message.to_json()
    await run_due_and_waiting(system, 2)
    note = await note_row(system)
    assert (note.delivery, note.problem) == ("queued", said)
    assert "the record is not there yet" not in await told(system, f"/tickets/{ticket_id}")


@pytest.mark.fact("other-connectors bug-67", "servicenow trap-15")
@pytest.mark.parametrize("hidden", ["work_notes", "work_notes,comments"])
async def test_a_note_is_not_doubled_where_the_journal_may_not_be_read(system: System, hidden: str) -> None:
    """A retried update doubles a note; and a journal that is hidden from us does not tell what is in it."""
    ticket_id = await shared_change(system)
    system.servicenow.instance.switches.unreadable_fields = hidden
    system.servicenow.fault("dropped_after_commit", method="PATCH")
    await write_note(system, ticket_id, "Once, please.")
    await system.work()
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket_note SET uncertain_until = now() - interval '1 second'"))
    await run_due_and_waiting(system, 4)
    assert len(work_notes(system)) == 1
    assert await note_deliveries(system) == ["held"]
    async with await system.signed_in("sharer") as browser:
        page = (await browser.get(f"/tickets/{ticket_id}")).text
        assert "We cannot tell whether this note arrived, so it is not sent a second time." in page
        system.servicenow.instance.switches.unreadable_fields = ""
        async with system.resources.database.transaction() as session:
            note_id = (await session.execute(text("SELECT id FROM ticket_note"))).scalar_one()
        await browser.post(f"/tickets/{ticket_id}/notes/{note_id}/retry")
    await run_due_and_waiting(system)
    assert len(work_notes(system)) == 1
    assert await note_deliveries(system) == ["shared"]


async def test_a_note_that_is_refused_is_held_and_can_be_retried(system: System) -> None:
    ticket_id = await shared_change(system)
    system.servicenow.instance.switches.acl_refuses = "change_request.write"
    await write_note(system, ticket_id, "Once, please.")
    await run_due_and_waiting(system, 3)
    assert await note_deliveries(system) == ["held"]
    system.servicenow.instance.switches.acl_refuses = ""
    async with system.resources.database.transaction() as session:
        note_id = (await session.execute(text("SELECT id FROM ticket_note"))).scalar_one()
    async with await system.signed_in("sharer") as browser:
        assert "Held" in (await browser.get(f"/tickets/{ticket_id}")).text
        assert (await browser.post(f"/tickets/{ticket_id}/notes/{note_id}/retry")).status_code == 303
    await run_due_and_waiting(system)
    assert len(work_notes(system)) == 1


class Stalls:
    """The first calls that add a note stall, and are refused once they go on; later ones get through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
        self.left, self.stalled, self.go_on = calls, asyncio.Event(), asyncio.Event()
        real = ServiceNowClient.add_note

        async def add_note(client: ServiceNowClient, *arguments: Any) -> None:
            if not self.left:
                return await real(client, *arguments)
            self.left -= 1
            self.stalled.set()
            await self.go_on.wait()
            raise Forbidden

        monkeypatch.setattr(ServiceNowClient, "add_note", add_note)


async def forget_attempts_under_way(system: System) -> None:
    """Nothing that was sent can still arrive, and no attempt is taken for alive."""
    async with system.resources.database.transaction() as session:
        old = "uncertain_until = now() - interval '1 second', in_flight_since = now() - interval '76 seconds'"
        await session.execute(text(f"UPDATE ticket_note SET {old}"))  # noqa: S608 - our own text.


@pytest.mark.parametrize("late_refusals", [1, 2])
async def test_a_late_refusal_of_an_older_attempt_leaves_a_delivered_note_alone(
    system: System, monkeypatch: pytest.MonkeyPatch, late_refusals: int
) -> None:
    ticket_id = await shared_change(system)
    stalls = Stalls(monkeypatch, late_refusals)
    await write_note(system, ticket_id, "Once, please.")
    note_id, older = (await note_row(system)).id, []
    for _ in range(late_refusals):
        stalls.stalled.clear()
        older.append(asyncio.create_task(deliver_note(system.resources, note_id)))
        await asyncio.wait_for(stalls.stalled.wait(), 10)
        await forget_attempts_under_way(system)
    await deliver_note(system.resources, note_id)
    stalls.go_on.set()
    await asyncio.gather(*older, return_exceptions=True)
    note = await note_row(system)
    assert (note.delivery, note.refusals, note.problem, note.next_try_at) == ("shared", 0, None, None)
    assert len(work_notes(system)) == 1
