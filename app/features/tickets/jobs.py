"""Background jobs of tickets: names and schedules only, the work is done by the modules they call."""

from __future__ import annotations

from uuid import UUID

from app.core.jobs import TaskGroup
from app.core.logging import get_logger
from app.features.secure_score.sync.renames import FOLLOWERS
from app.features.tickets.delivery.deliver import deliver, tickets_without_job
from app.features.tickets.delivery.drain import drain_outbox
from app.features.tickets.delivery.hand_over import bring_again
from app.features.tickets.delivery.reconcile import reconcile
from app.features.tickets.notes.deliver_note import deliver_note, notes_without_job
from app.features.tickets.notes.fetch_notes import read_notes
from app.features.tickets.polling.poll import poll_states
from app.features.tickets.polling.state_choices import read_choices
from app.features.tickets.renamed_actions import follow_renames
from app.resources import Resources

log = get_logger(__name__)

tasks = TaskGroup("tickets")
# Secure Score is below tickets and knows none, so what has to follow its actions is handed down here.
FOLLOWERS.append(follow_renames)


@tasks.task("deliver")
async def deliver_ticket(resources: Resources, ticket_id: str) -> None:
    # One attempt for each run. RetryLater makes the queue run it again, so a waiting ticket occupies no worker.
    await deliver(resources, UUID(ticket_id))


@tasks.task("drain_outbox")
async def send_waiting_tickets(resources: Resources) -> None:
    await drain_outbox(resources)


@tasks.task("reconcile")
async def reconcile_ticket(resources: Resources, ticket_id: str) -> None:
    await reconcile(resources, UUID(ticket_id))


@tasks.task("deliver_note")
async def deliver_work_note(resources: Resources, note_id: str) -> None:
    await deliver_note(resources, UUID(note_id))


@tasks.task("fetch_notes")
async def fetch_notes(resources: Resources, ticket_id: str) -> None:
    await read_notes(resources, UUID(ticket_id))


# The highest frequency of polling. `poll_states` itself skips most runs while nothing moves and no page is open.
@tasks.task("poll", every="* * * * *")
async def poll_tickets(resources: Resources) -> None:
    await poll_states(resources)


# Hourly, so that a failed read is repeated soon. One that succeeded is not repeated for a day.
@tasks.task("state_choices", every="7 * * * *")
async def read_state_choices(resources: Resources) -> None:
    await read_choices(resources)


@tasks.task("sweep", every="* * * * *")
async def sweep(resources: Resources) -> None:
    """Queue tickets and notes again that nothing brings: they waited for the connection, or their job was lost."""
    queue = resources.queue
    async with resources.database.transaction() as session:
        worked_on = await queue.unfinished_values(session, "tickets.deliver", "ticket_id")
        tickets = await tickets_without_job(session, worked_on)
        await bring_again(session, queue, tickets)
        notes = await notes_without_job(
            session, await queue.unfinished_values(session, "tickets.deliver_note", "note_id")
        )
        for note_id, request_id in notes:
            await queue.defer(session, "tickets.deliver_note", request_id=request_id, note_id=str(note_id))
    if tickets or notes:
        log.info("ticket.sweep.queued", tickets=len(tickets), notes=len(notes))
