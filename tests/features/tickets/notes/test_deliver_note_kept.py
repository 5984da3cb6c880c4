"""A note counts as delivered once the record's journal shows it, and what is not known is said."""

from __future__ import annotations

import pytest
from sqlalchemy import text as sql

from tests.factories.delivering import made_by_us, note_deliveries, note_row, shared_change, work_notes, write_note
from tests.factories.system import System
from tests.factories.tickets import calls, run_due_and_waiting, told


@pytest.mark.fact("servicenow 2.6")
async def test_a_note_that_servicenow_dropped_without_a_word_is_held_and_can_be_retried(system: System) -> None:
    ticket_id = await shared_change(system)
    system.servicenow.instance.switches.dropped_fields = "work_notes"
    await write_note(system, ticket_id, "Please schedule it for Friday.")
    await run_due_and_waiting(system, 3)
    note = await note_row(system)
    assert (note.delivery, work_notes(system)) == ("held", [])
    assert "ServiceNow did not keep this note" in await told(system, f"/tickets/{ticket_id}")
    system.servicenow.instance.switches.dropped_fields = ""
    async with await system.signed_in("sharer") as browser:
        await browser.post(f"/tickets/{ticket_id}/notes/{note.id}/retry")
    await run_due_and_waiting(system)
    assert await note_deliveries(system) == ["shared"]
    assert len(work_notes(system)) == 1


async def test_a_note_costs_one_look_besides_its_update(system: System) -> None:
    ticket_id = await shared_change(system)
    before = len(calls(system))
    await write_note(system, ticket_id, "Once, please.")
    await system.work()
    # The page that was opened reads the notes of others as well.
    made = [entry for entry in calls(system)[before:] if entry.method == "PATCH" or "work_notes" in entry.query]
    assert [entry.method for entry in made if entry.method == "PATCH"] == ["PATCH"]
    assert len(made) <= 3


@pytest.mark.fact("servicenow trap-15")
async def test_where_the_journal_may_not_be_read_the_page_says_what_is_unknown(system: System) -> None:
    ticket_id = await shared_change(system)
    system.servicenow.instance.switches.unreadable_fields = "work_notes"
    await write_note(system, ticket_id, "Once, please.")
    await run_due_and_waiting(system)
    note = await note_row(system)
    assert (note.delivery, note.confirmed) == ("shared", False)
    assert "cannot tell whether it was kept" in await told(system, f"/tickets/{ticket_id}")


async def test_a_look_after_the_update_that_fails_is_made_again_and_sends_no_second_note(system: System) -> None:
    ticket_id = await shared_change(system)
    await write_note(system, ticket_id, "Once, please.")
    system.servicenow.fault("bad_gateway", times=2, method="GET", path="/table/change_request")
    await run_due_and_waiting(system, 3)
    note = await note_row(system)
    assert (note.delivery, note.confirmed) == ("shared", True)
    assert len(work_notes(system)) == len(calls(system, "PATCH")) == 1


async def test_a_pasted_header_is_shown_as_text_of_its_true_author(system: System) -> None:
    """Also below an empty line: the journal's rows tell where an entry ends."""
    ticket_id = await shared_change(system)
    number = made_by_us(system, "change_request")[0]["number"]
    pasted = "From the chat:\n\n2026-11-20 08:00:00 - Some Approver (Work notes)\nI approve this."
    system.servicenow.control("notes", number=number, text="Earlier.", by="fred.luddy")
    system.servicenow.control("notes", number=number, text=pasted, by="fred.luddy")
    await told(system, f"/tickets/{ticket_id}")
    await system.work()
    page = await told(system, f"/tickets/{ticket_id}")
    assert page.count("Fred Luddy · ") == 2
    assert "· Some Approver ·" not in page
    assert "I approve this." in page


async def test_a_reply_that_quotes_our_note_is_shown(system: System) -> None:
    ticket_id = await shared_change(system)
    await write_note(system, ticket_id, "Please schedule it for Friday.")
    await system.work()
    quoted = "\n".join(f"> {line}" for line in work_notes(system)[0].split("\n"))
    number = made_by_us(system, "change_request")[0]["number"]
    text = f"Friday is a freeze day, Monday is fine.\n\nOn Friday the security center wrote:\n{quoted}"
    system.servicenow.control("notes", number=number, text=text, by="fred.luddy")
    async with system.resources.database.transaction() as session:
        await session.execute(sql("UPDATE ticket SET journal_read_at = NULL"))
    await told(system, f"/tickets/{ticket_id}")
    await system.work()
    assert "Monday is fine." in await told(system, f"/tickets/{ticket_id}")
