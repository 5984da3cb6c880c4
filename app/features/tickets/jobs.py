"""The tickets' background work: deliver one, refresh all each minute, take up what was forgotten."""

from __future__ import annotations

from uuid import UUID

from app.core.jobs import TaskGroup
from app.core.logging import get_logger
from app.features.tickets.delivery.deliver import deliver, tickets_without_job
from app.features.tickets.delivery.reconcile import reconcile
from app.features.tickets.notes.deliver_note import deliver_note, notes_without_job
from app.features.tickets.notes.fetch_notes import read_notes
from app.features.tickets.polling.poll import poll_states
from app.features.tickets.polling.state_choices import read_choices
from app.features.tickets.types import BULK_PRIORITY
from app.resources import Resources

log = get_logger(__name__)

tasks = TaskGroup("tickets")


@tasks.task("deliver")
async def deliver_ticket(resources: Resources, ticket_id: str) -> None:
    """Bring one ticket to ServiceNow; raises NotYet when it has to be tried again."""
    await deliver(resources, UUID(ticket_id))


@tasks.task("reconcile")
async def reconcile_ticket(resources: Resources, ticket_id: str) -> None:
    """See whether a ticket that was given up had arrived; raises NotYet when it has to be looked for again."""
    await reconcile(resources, UUID(ticket_id))


@tasks.task("deliver_note")
async def deliver_note_job(resources: Resources, note_id: str) -> None:
    """Bring one work note to ServiceNow; raises NotYet when it has to be tried again."""
    await deliver_note(resources, UUID(note_id))


@tasks.task("fetch_notes")
async def fetch_notes(resources: Resources, ticket_id: str) -> None:
    """Read what others wrote on one ticket."""
    await read_notes(resources, UUID(ticket_id))


@tasks.task("poll", every="* * * * *")
async def poll_tickets(resources: Resources) -> None:
    """Read the states of all tickets."""
    await poll_states(resources)


@tasks.task("state_choices", every="7 * * * *")
async def choices(resources: Resources) -> None:
    """Read which states the instance knows; does so once a day."""
    await read_choices(resources)


@tasks.task("sweep", every="* * * * *")
async def sweep(resources: Resources) -> None:
    """Queue tickets again that wait without a job: those that waited for the connection, and any whose job was lost."""
    queue = resources.queue
    async with resources.database.transaction() as session:
        worked_on = await queue.unfinished_values(session, "tickets.deliver", "ticket_id")
        tickets = await tickets_without_job(session, worked_on)
        for ticket_id, in_bulk in tickets:
            priority = BULK_PRIORITY if in_bulk else 0
            await queue.defer(session, "tickets.deliver", priority=priority, ticket_id=str(ticket_id))
        notes = await notes_without_job(
            session, await queue.unfinished_values(session, "tickets.deliver_note", "note_id")
        )
        for note_id in notes:
            await queue.defer(session, "tickets.deliver_note", note_id=str(note_id))
    if tickets or notes:
        log.info("queued again", tickets=len(tickets), notes=len(notes))
