"""The failed jobs as a manager reads them, and Retry. What a job does is decided by its own feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app.core.database import Session
from app.core.errors import Conflict
from app.core.job_failures import (
    FailedJob,
    TakenJob,
    failed_job_count,
    is_under_way,
    newest_failed_jobs,
    take_failed_jobs,
)
from app.core.jobs import Queue
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.tickets.models import Ticket, TicketNote

log = get_logger(__name__)

# More are not listed; "Retry all" takes them all the same.
MOST_LISTED = 100
NAMES = {
    "accounts.audit_head": T("Write the newest entry of the audit log into the worker’s log"),
    "accounts.check_roles": T("Ask Microsoft for the roles of people who are signed in"),
    "accounts.forget_unsent_forms": T("Delete forms that were kept after a session had ended"),
    "keeping.remove_ended": T("Delete sessions that are over"),
    "keeping.remove_old": T("Delete what has been kept long enough"),
    "connection.sweep": T("Tidy up after connections that were removed"),
    "connection.recover": T("Get access to ServiceNow back"),
    "tickets.deliver": T("Send a ticket to ServiceNow"),
    "tickets.drain_outbox": T("Send the waiting tickets to ServiceNow"),
    "tickets.reconcile": T("Look whether a ticket that was given up has arrived"),
    "tickets.deliver_note": T("Send a work note to ServiceNow"),
    "tickets.fetch_notes": T("Read a ticket’s notes in ServiceNow"),
    "tickets.poll": T("Ask ServiceNow what changed"),
    "tickets.state_choices": T("Read the states that ServiceNow knows"),
    "tickets.sweep": T("Look for tickets and notes that wait without a job"),
    "provisioning.start": T("Check a connection that was just made"),
    "provisioning.check": T("Check the steps of ticket provisioning"),
    "provisioning.recheck": T("Check again what failed in ticket provisioning"),
    "provisioning.diagnose": T("Check the connection"),
    "secure_score.scheduled_sync": T("Import the Secure Score on schedule"),
    "secure_score.sync_now": T("Import the Secure Score at once"),
    "secure_score.send_state": T("Write the status of an action to Microsoft"),
}
NO_REASON = T("No reason was kept. An operator finds it in the worker’s log under the number of this job.")
GONE = T("This job does not wait here any more: it was retried already, or this version does not know it.")


@dataclass(frozen=True)
class FailedJobLine:
    """One failed job. `name` says in words what it does, `ticket` links to what it was for, if that is a ticket."""

    number: int
    name: Message
    failed_at: datetime | None
    reason: Message
    can_retry: bool
    ticket: UUID | None = None
    ticket_name: str = ""


@dataclass(frozen=True)
class FailedJobList:
    """The newest failed jobs, and how many there are in all."""

    lines: Sequence[FailedJobLine]
    count: int


async def list_failed_jobs(session: Session, queue: Queue) -> FailedJobList:
    jobs = await newest_failed_jobs(session, MOST_LISTED)
    tickets = await _tickets_of(session, jobs)
    lines = [_line(job, queue, tickets.get(job.number)) for job in jobs]
    return FailedJobList(lines, await failed_job_count(session))


async def retry_failed_job(session: Session, queue: Queue, number: int, *, viewer: Viewer) -> None:
    """Queue it again. Raises Conflict when it is not there any more."""
    taken = await take_failed_jobs(session, queue.task_names, number=number)
    if not taken:
        raise Conflict(GONE)
    for job in taken:
        await _queue_again(session, queue, job)
        await log_action(
            session, viewer, T("Failed job retried"), job=job.number, task=job.task, first_request=job.correlation_id
        )


async def retry_failed_jobs(session: Session, queue: Queue, *, viewer: Viewer) -> int:
    """Queue all of them again that this version knows, and return how many."""
    taken = await take_failed_jobs(session, queue.task_names)
    for job in taken:
        await _queue_again(session, queue, job)
    await log_action(session, viewer, T("All failed jobs retried"), jobs=len(taken))
    return len(taken)


async def _queue_again(session: Session, queue: Queue, job: TakenJob) -> None:
    # As a new job: its attempts are counted from none, and what may have been sent is known by the ticket and not by the job.
    if await is_under_way(session, job.task, job.ids):
        log.info("job.retry.unneeded", job=job.number, task=job.task, first_request=job.correlation_id)
        return
    was_queued = await queue.defer(
        session,
        job.task,
        lock=job.lock,
        queueing_lock=job.queueing_lock,
        priority=job.priority,
        # The log lines of the new attempts follow those of the failed ones; the person's own request names both.
        request_id=job.correlation_id,
        **job.ids,  # type: ignore[arg-type]  # Ids are texts, and none is named like an option.
    )
    # Where a newer one waits with the same queueing lock, that one does what this one would have done.
    log.info("job.retried", job=job.number, task=job.task, first_request=job.correlation_id, queued=was_queued)


async def _tickets_of(session: Session, jobs: Sequence[FailedJob]) -> dict[int, Ticket]:
    """The ticket that each job was for, by the job's number."""
    by_ticket = {job.number: _id(job.ids.get("ticket_id")) for job in jobs}
    by_note = {job.number: _id(job.ids.get("note_id")) for job in jobs}
    notes = await session.execute(
        select(TicketNote.id, TicketNote.ticket_id).where(TicketNote.id.in_(set(filter(None, by_note.values()))))
    )
    ticket_of_note = {row.id: row.ticket_id for row in notes}
    wanted = {number: ticket_id or ticket_of_note.get(by_note[number]) for number, ticket_id in by_ticket.items()}
    rows = await session.execute(select(Ticket).where(Ticket.id.in_(set(filter(None, wanted.values())))))
    tickets = {ticket.id: ticket for ticket in rows.scalars()}
    return {number: tickets[ticket_id] for number, ticket_id in wanted.items() if ticket_id in tickets}


def _id(value: str | None) -> UUID | None:
    try:
        return UUID(value) if value else None
    except ValueError:
        return None


def _line(job: FailedJob, queue: Queue, ticket: Ticket | None) -> FailedJobLine:
    return FailedJobLine(
        number=job.number,
        name=NAMES.get(job.task) or T("%(task)s (of another version)", task=job.task),
        failed_at=job.failed_at,
        reason=job.reason or NO_REASON,
        can_retry=job.task in queue.task_names,
        ticket=ticket.id if ticket else None,
        ticket_name=(ticket.number or ticket.name) if ticket else "",
    )
