"""Work notes: ours arrive once under any fault, others' come back, ours are never echoed, and nothing is executed."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from app.core.messages import T
from app.features.tickets.models import TicketNote
from app.features.tickets.notes.deliver_note import deliver_note
from app.features.tickets.notes.journal_field import LONGEST_NOTE, compose_note, entries_of, reference_of
from app.integrations.http.errors import Forbidden
from app.integrations.servicenow.client import ServiceNowClient
from tests.factories.system import System
from tests.factories.tickets import records, run_due_and_waiting, share_one

NOTE = UUID("0123456789abcdef0123456789abcdef")


async def shared_ticket(system: System) -> UUID:
    await system.connect()
    ticket_id = await share_one(system)
    await system.work()
    return ticket_id


async def write(system: System, ticket_id: UUID, note: str, *, times: int = 1) -> None:
    async with await system.signed_in("sharer") as browser:
        page = await browser.get(f"/tickets/{ticket_id}")
        found = re.search(r'name="note_id" value="([^"]+)"', page.text)
        assert found
        for _ in range(times):
            answer = await browser.post(f"/tickets/{ticket_id}/notes", data={"note": note, "note_id": found[1]})
            assert answer.status_code == 303


def work_notes(system: System) -> list[str]:
    rows = system.servicenow.instance.store.rows("sys_journal_field")
    return [row["value"] for row in rows if row["element"] == "work_notes"]


async def deliveries(system: System) -> list[str]:
    async with system.resources.database.transaction() as session:
        return [str(row[0]) for row in await session.execute(text("SELECT delivery FROM ticket_note"))]


async def test_a_note_arrives_once_also_when_the_form_is_sent_twice(system: System) -> None:
    ticket_id = await shared_ticket(system)
    await write(system, ticket_id, "Please schedule it for Friday.", times=2)
    await system.work()
    (note,) = work_notes(system)
    assert note.startswith("Please schedule it for Friday.")
    assert "from the security center" in note


@pytest.mark.parametrize(
    "trouble",
    [
        "dropped_after_commit", "cancelled_after_commit", "refused_after_commit", "broken_json", "hibernating",
        "rate_limited", "acl_hiccup", "session_overflow", "signed_out",
    ],
)  # fmt: skip
async def test_a_note_arrives_once_whatever_happens_to_the_answer(system: System, trouble: str) -> None:
    ticket_id = await shared_ticket(system)
    system.servicenow.fault(trouble, method="PATCH")
    await write(system, ticket_id, "Once, please.")
    await run_due_and_waiting(system, 4)
    assert len(work_notes(system)) == 1
    assert await deliveries(system) == ["shared"]


async def test_a_note_that_may_still_land_is_looked_for_and_not_repeated(system: System) -> None:
    ticket_id = await shared_ticket(system)
    system.servicenow.fault("dropped_before", method="PATCH")
    await write(system, ticket_id, "Once, please.")
    await run_due_and_waiting(system, 3)
    assert work_notes(system) == []
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket_note SET uncertain_until = now() - interval '1 second'"))
    await run_due_and_waiting(system)
    assert len(work_notes(system)) == 1


@pytest.mark.parametrize("hidden", ["work_notes", "work_notes,comments"])
async def test_bug_67_a_note_is_not_doubled_where_the_journal_may_not_be_read(system: System, hidden: str) -> None:
    """A retried update doubles a note; and a journal that is hidden from us says nothing of what is in it."""
    ticket_id = await shared_ticket(system)
    system.servicenow.instance.switches.unreadable_fields = hidden
    system.servicenow.fault("dropped_after_commit", method="PATCH")
    await write(system, ticket_id, "Once, please.")
    await system.work()
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket_note SET uncertain_until = now() - interval '1 second'"))
    await run_due_and_waiting(system, 4)
    assert len(work_notes(system)) == 1
    assert await deliveries(system) == ["held"]
    async with await system.signed_in("sharer") as browser:
        page = (await browser.get(f"/tickets/{ticket_id}")).text
        assert "We cannot tell whether this note arrived, so it is not sent a second time." in page
        system.servicenow.instance.switches.unreadable_fields = ""
        async with system.resources.database.transaction() as session:
            note_id = (await session.execute(text("SELECT id FROM ticket_note"))).scalar_one()
        await browser.post(f"/tickets/{ticket_id}/notes/{note_id}/retry")
    await run_due_and_waiting(system)
    assert len(work_notes(system)) == 1
    assert await deliveries(system) == ["shared"]


async def test_where_one_journal_may_be_read_it_is_shown(system: System) -> None:
    ticket_id = await shared_ticket(system)
    (record,) = records(system, "change_request")
    system.servicenow.control("notes", number=record["number"], text="Shown", element="comments", by="fred.luddy")
    system.servicenow.instance.switches.unreadable_fields = "work_notes"
    async with await system.signed_in("viewer") as browser:
        await browser.get(f"/tickets/{ticket_id}")
        await system.work()
        assert "Shown" in (await browser.get(f"/tickets/{ticket_id}")).text


async def test_a_note_that_is_refused_is_held_and_can_be_retried(system: System) -> None:
    ticket_id = await shared_ticket(system)
    system.servicenow.instance.switches.acl_refuses = "change_request.write"
    await write(system, ticket_id, "Once, please.")
    await run_due_and_waiting(system, 3)
    assert await deliveries(system) == ["held"]
    system.servicenow.instance.switches.acl_refuses = ""
    async with system.resources.database.transaction() as session:
        note_id = (await session.execute(text("SELECT id FROM ticket_note"))).scalar_one()
    async with await system.signed_in("sharer") as browser:
        assert "Held" in (await browser.get(f"/tickets/{ticket_id}")).text
        assert (await browser.post(f"/tickets/{ticket_id}/notes/{note_id}/retry")).status_code == 303
    await run_due_and_waiting(system)
    assert len(work_notes(system)) == 1


async def test_others_notes_come_back_and_ours_are_not_echoed(system: System) -> None:
    ticket_id = await shared_ticket(system)
    await write(system, ticket_id, "Ours <b>bold</b> [code]<script>[/code]")
    await system.work()
    (record,) = records(system, "change_request")
    system.servicenow.control(
        "notes", number=record["number"], text="Theirs\n\n<script>alert(1)</script>", by="fred.luddy"
    )
    system.servicenow.control(
        "notes", number=record["number"], text="To the caller", element="comments", by="fred.luddy"
    )
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket SET journal_read_at = NULL"))
    async with await system.signed_in("viewer") as browser:
        await browser.get(f"/tickets/{ticket_id}")
        await system.work()
        page = (await browser.get(f"/tickets/{ticket_id}")).text
    assert "Theirs" in page
    assert "To the caller" in page
    assert "Fred Luddy" in page
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("Ours &lt;b&gt;bold") == 1
    assert "[code]" not in work_notes(system)[0]


async def test_a_reader_may_not_write_and_an_unsent_ticket_takes_no_note(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system)
    typed = {"note": "Hello", "note_id": str(uuid4())}
    async with await system.signed_in("viewer") as browser:
        assert (await browser.post(f"/tickets/{ticket_id}/notes", data=typed)).status_code == 403
    async with await system.signed_in("sharer") as browser:
        assert (await browser.post(f"/tickets/{ticket_id}/notes", data=typed)).status_code == 409
        await system.work()
        empty = await browser.post(f"/tickets/{ticket_id}/notes", data={**typed, "note": " "})
        assert empty.status_code == 422
        long = await browser.post(f"/tickets/{ticket_id}/notes", data={**typed, "note": "n" * 3501})
        assert long.status_code == 422
        assert "n" * 3501 in long.text
    assert TicketNote.__tablename__ == "ticket_note"


def test_entries_are_told_apart_in_any_date_format_and_language() -> None:
    shown = (
        "24.11.2026 15:42 - Fred Luddy (Arbeitsnotizen)\nZweite\n\nmit Absatz\n\n"
        "23.11.2026 09:00 - M365 Integration (Arbeitsnotizen)\n"
        f"Unsere\n\n– Megan, from the security center {reference_of(NOTE)}\n\n"
        "22.11.2026 08:00 - Ann - Marie (Ops) (Arbeitsnotizen)\nErste\n2026-01-01 00:00 - Somebody (else)\nnot a header\n\n"
    )
    found = entries_of({"work_notes": shown, "comments": ""})
    assert [(entry.who, entry.text.split("\n")[0]) for entry in found] == [
        ("Fred Luddy", "Zweite"),
        ("Ann - Marie (Ops)", "Erste"),
    ]
    assert found[0].text == "Zweite\n\nmit Absatz"
    assert "not a header" in found[1].text


@given(st.text(), st.text(max_size=200))
def test_any_note_fits_and_carries_its_reference_and_no_code(note: str, author: str) -> None:
    sent = compose_note(NOTE, note, author)
    assert len(sent.encode("utf-16-le")) // 2 <= LONGEST_NOTE
    assert reference_of(NOTE) in sent
    assert "[code]" not in sent.lower()


PIECES = st.sampled_from(
    [
        "2026-01-31 08:00:00 - Fred (Work notes)",
        "1 - x (y)",
        " - (",
        reference_of(NOTE),
        "[note 00]",
        "",
        "text",
        "\r\n",
    ]
)


@given(st.lists(PIECES | st.text()).map("\n".join))
def test_any_journal_text_is_taken_apart_without_an_accident(shown: str) -> None:
    for entry in entries_of({"work_notes": shown}):
        assert entry.who


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


async def note_row(system: System) -> TicketNote:
    async with system.resources.database.transaction() as session:
        return (await session.execute(select(TicketNote))).scalar_one()


async def forget_attempts_under_way(system: System) -> None:
    """Nothing that was sent can still arrive, and no attempt is taken for alive."""
    async with system.resources.database.transaction() as session:
        old = "uncertain_until = now() - interval '1 second', in_flight_since = now() - interval '76 seconds'"
        await session.execute(text(f"UPDATE ticket_note SET {old}"))  # noqa: S608 - our own text.


@pytest.mark.parametrize("late_refusals", [1, 2])
async def test_a_late_refusal_of_an_older_attempt_leaves_a_delivered_note_alone(
    system: System, monkeypatch: pytest.MonkeyPatch, late_refusals: int
) -> None:
    ticket_id = await shared_ticket(system)
    stalls = Stalls(monkeypatch, late_refusals)
    await write(system, ticket_id, "Once, please.")
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


async def test_a_delivered_note_shows_no_problem_on_the_page(system: System) -> None:
    ticket_id = await shared_ticket(system)
    await write(system, ticket_id, "Once, please.")
    await system.work()
    async with system.resources.database.transaction() as session:
        (await session.execute(select(TicketNote))).scalar_one().problem = T("Refused too late.").to_json()
    async with await system.signed_in("viewer") as browser:
        page = (await browser.get(f"/tickets/{ticket_id}")).text
    assert "Once, please." in page
    assert "Refused too late." not in page
