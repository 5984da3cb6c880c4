"""Checks our own side: the worker and its queue, tickets that do not move, and the age of the Secure Score."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from app.core import clock
from app.core.database import Session
from app.core.messages import T
from app.core.queue_health import queue_health
from app.features.provisioning.finding import Finding, State
from app.features.secure_score.reports.score_summary import score_card
from app.features.tickets.models import Ticket
from app.features.tickets.types import Delivery
from app.resources import Resources

# A job is taken up within seconds; one that has been due for so long is not being worked on.
STUCK_AFTER = timedelta(minutes=5)
# The import runs every six hours; Microsoft computes a score once a day.
STALE_AFTER = timedelta(hours=36)


async def check_queue(resources: Resources) -> Finding:
    """Whether a worker is alive and gets its work done."""
    async with resources.database.transaction() as session:
        return await judged_queue(session)


async def judged_queue(session: Session) -> Finding:
    """The same, for a page that cannot wait for a worker: reads rows only."""
    checked = T("Workers that have reported within a minute, and jobs that are due.")
    health = await queue_health(session)
    if not health.workers:
        return Finding(
            "no_worker", State.PROBLEM, checked,
            T("No worker is running, so nothing is sent or refreshed. Jobs due: %(due)s.", due=health.due),
            advice=T("Start one: python -m app worker"),
        )  # fmt: skip
    if health.oldest is not None and clock.now() - health.oldest > STUCK_AFTER:
        return Finding(
            "queue_stuck", State.PROBLEM, checked,
            T("The oldest job has been due for %(minutes)s minutes. Jobs due: %(due)s.",
              minutes=round((clock.now() - health.oldest).total_seconds() / 60), due=health.due),
            advice=T("Look at the worker’s log, and start another worker if it has too much to do."),
        )  # fmt: skip
    meaning = T("Workers: %(workers)s. Jobs due: %(due)s. Failed for good: %(failed)s.",
                workers=health.workers, due=health.due, failed=health.failed)  # fmt: skip
    return Finding("queue", State.GOOD, checked, meaning)


async def check_tickets(resources: Resources) -> Finding:
    """Whether tickets wait for a person."""
    checked = T("Tickets that wait for a person or for ServiceNow.")
    async with resources.database.transaction() as session:
        rows = await session.execute(select(Ticket.delivery, func.count()).group_by(Ticket.delivery))
        counts = {str(delivery): int(count) for delivery, count in rows}
    held, queued = counts.get(Delivery.HELD, 0), counts.get(Delivery.QUEUED, 0)
    if held:
        return Finding(
            "tickets_held", State.NOTE, checked,
            T("Tickets that wait for a person: %(held)s. On their way: %(queued)s.", held=held, queued=queued),
            advice=T("Open Tickets, show those that are held, and read what each one needs."),
        )  # fmt: skip
    return Finding("tickets", State.GOOD, checked, T("None is held. On their way: %(queued)s.", queued=queued))


async def check_import(resources: Resources) -> Finding:
    """Whether what is shared is fresh."""
    checked = T("When the Secure Score was last imported.")
    async with resources.database.transaction() as session:
        card = await score_card(session, resources.config.shown_tenant_id)
    synced = card.synced_at if card else None
    if synced is None:
        return Finding(
            "import_missing", State.NOTE, checked, T("No Secure Score has been imported from Microsoft yet."),
            advice=T("Open Secure Score > Imports, and press Sync now."),
        )  # fmt: skip
    age = clock.now() - synced
    hours = round(age.total_seconds() / 3600)
    if age > STALE_AFTER:
        return Finding(
            "import_stale", State.PROBLEM, checked,
            T("The Secure Score is %(hours)s hours old.", hours=hours),
            advice=T("Open Secure Score > Imports: the last runs say what went wrong."),
        )  # fmt: skip
    told = T("Imported %(hours)s hours ago.", hours=hours) if hours > 1 else T("Imported less than two hours ago.")
    return Finding("import", State.GOOD, checked, told)
