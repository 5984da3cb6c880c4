"""Notes written on a ticket's page: one for each form, by those who may, and shown as they stand."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import select

from app.core.messages import T
from app.features.tickets.models import TicketNote
from tests.factories.delivering import shared_change, work_notes, write_note
from tests.factories.system import System
from tests.factories.tickets import share_one


async def test_a_note_arrives_once_also_when_the_form_is_sent_twice(system: System) -> None:
    ticket_id = await shared_change(system)
    await write_note(system, ticket_id, "Please schedule it for Friday.", times=2)
    await system.work()
    (note,) = work_notes(system)
    assert note.startswith("Please schedule it for Friday.")
    assert "from the security center" in note


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


async def test_a_delivered_note_shows_no_problem_on_the_page(system: System) -> None:
    ticket_id = await shared_change(system)
    await write_note(system, ticket_id, "Once, please.")
    await system.work()
    async with system.resources.database.transaction() as session:
        (await session.execute(select(TicketNote))).scalar_one().problem = T("Refused too late.").to_json()
    async with await system.signed_in("viewer") as browser:
        page = (await browser.get(f"/tickets/{ticket_id}")).text
    assert "Once, please." in page
    assert "Refused too late." not in page
