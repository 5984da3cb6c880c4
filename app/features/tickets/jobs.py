"""The tickets' background work: deliver one, refresh all each minute, take up what was forgotten."""

from __future__ import annotations

from uuid import UUID

from app.features.tickets.bring_note import deliver_note, forgotten_notes
from app.features.tickets.deliver import deliver, forgotten_tickets
from app.features.tickets.read_choices import read_choices
from app.features.tickets.read_notes import read_notes
from app.features.tickets.refresh import refresh_states
from app.features.tickets.settle import settle
from app.foundation.jobs import TaskGroup
from app.foundation.logs import get_logger
from app.resources import Resources

log = get_logger(__name__)

tasks = TaskGroup("tickets")
# Work in bulk lets single shares, and the refresh, go first.
BULK_PRIORITY = -10


@tasks.task("deliver")
async def deliver_ticket(resources: Resources, ticket_id: str) -> None:
    """Bring one ticket to ServiceNow; raises NotYet when it has to be tried again."""
    await deliver(resources, UUID(ticket_id))


@tasks.task("settle")
async def settle_ticket(resources: Resources, ticket_id: str) -> None:
    """See whether a ticket that was given up had arrived; raises NotYet when it has to be looked for again."""
    await settle(resources, UUID(ticket_id))


@tasks.task("bring_note")
async def bring_note(resources: Resources, note_id: str) -> None:
    """Bring one work note to ServiceNow; raises NotYet when it has to be tried again."""
    await deliver_note(resources, UUID(note_id))


@tasks.task("fetch_notes")
async def fetch_notes(resources: Resources, ticket_id: str) -> None:
    """Read what others wrote on one ticket."""
    await read_notes(resources, UUID(ticket_id))


@tasks.task("refresh", every="* * * * *")
async def refresh(resources: Resources) -> None:
    """Read the states of all tickets."""
    await refresh_states(resources)


@tasks.task("choices", every="7 * * * *")
async def choices(resources: Resources) -> None:
    """Read which states the instance knows; does so once a day."""
    await read_choices(resources)


@tasks.task("sweep", every="* * * * *")
async def sweep(resources: Resources) -> None:
    """Queue tickets again that wait without a job: those that waited for the connection, and any whose job was lost."""
    queue = resources.queue
    async with resources.database.transaction() as session:
        worked_on = await queue.in_hand_or_waiting(session, deliver_ticket, "ticket_id")
        tickets = await forgotten_tickets(session, worked_on)
        for ticket_id, in_bulk in tickets:
            priority = BULK_PRIORITY if in_bulk else 0
            await queue.defer(session, deliver_ticket, priority=priority, ticket_id=str(ticket_id))
        notes = await forgotten_notes(session, await queue.in_hand_or_waiting(session, bring_note, "note_id"))
        for note_id in notes:
            await queue.defer(session, bring_note, note_id=str(note_id))
    if tickets or notes:
        log.info("queued again", tickets=len(tickets), notes=len(notes))
