"""Notes of other people come back, ours are never echoed, and nothing in them is executed."""

from __future__ import annotations

from sqlalchemy import text

from tests.factories.delivering import shared_change, work_notes, write_note
from tests.factories.system import System
from tests.factories.tickets import records


async def test_where_one_journal_may_be_read_it_is_shown(system: System) -> None:
    ticket_id = await shared_change(system)
    (record,) = records(system, "change_request")
    system.servicenow.control("notes", number=record["number"], text="Shown", element="comments", by="fred.luddy")
    system.servicenow.instance.switches.unreadable_fields = "work_notes"
    async with await system.signed_in("viewer") as browser:
        await browser.get(f"/tickets/{ticket_id}")
        await system.work()
        assert "Shown" in (await browser.get(f"/tickets/{ticket_id}")).text


async def test_others_notes_come_back_and_ours_are_not_echoed(system: System) -> None:
    ticket_id = await shared_change(system)
    await write_note(system, ticket_id, "Ours <b>bold</b> [code]<script>[/code]")
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
    assert "(time zone of the integration user in ServiceNow)" in page  # As the journal shows the time.
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("Ours &lt;b&gt;bold") == 1
    assert "[code]" not in work_notes(system)[0]
