"""Time that passes, sweeps, giving up, and work notes, for tests of delivery."""

from __future__ import annotations

import re
from uuid import UUID

from sqlalchemy import select, text, update

from app.features.connection.models import Connection
from app.features.tickets.models import TicketNote
from tests.factories.system import System
from tests.factories.tickets import share_one


async def let_time_pass(system: System) -> None:
    """End the time in which a create without an answer may still arrive."""
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket SET uncertain_until = now() - interval '1 second'"))


async def run_sweep(system: System) -> None:
    async with system.resources.database.transaction() as session:
        await system.resources.queue.defer(session, "tickets.sweep")
    await system.work()


async def set_status(system: System, status: str) -> None:
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(status=status))


async def give_up(system: System, ticket_id: UUID) -> str:
    """Press the button of the ticket's page; returns the page that follows."""
    async with await system.signed_in("sharer", follow_redirects=True) as browser:
        assert f"/tickets/{ticket_id}/give-up" in (await browser.get(f"/tickets/{ticket_id}")).text
        page = await browser.post(f"/tickets/{ticket_id}/give-up")
        assert page.status_code == 200
    return page.text


async def write_note(system: System, ticket_id: UUID, note: str, *, times: int = 1) -> None:
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


async def note_deliveries(system: System) -> list[str]:
    async with system.resources.database.transaction() as session:
        return [str(row[0]) for row in await session.execute(text("SELECT delivery FROM ticket_note"))]


async def note_row(system: System) -> TicketNote:
    async with system.resources.database.transaction() as session:
        return (await session.execute(select(TicketNote))).scalar_one()


async def shared_change(system: System) -> UUID:
    await system.connect()
    ticket_id = await share_one(system)
    await system.work()
    return ticket_id


def made_by_us(system: System, table: str = "incident") -> list[dict[str, str]]:
    """The records of our account in the sandbox, whatever became of their correlation ids."""
    return [row for row in system.servicenow.records(table) if row["sys_created_by"] == "m365.integration"]
