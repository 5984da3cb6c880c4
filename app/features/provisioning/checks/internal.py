"""Checks our own side: the worker and its queue, tickets that do not move, and the age of the Secure Score."""

from __future__ import annotations

import secrets
from datetime import date, datetime, timedelta

from app.core import clock
from app.core.database import Session
from app.core.database_trouble import DATABASE_ERRORS, cause_of, stores_nothing
from app.core.messages import T
from app.core.process_reports import running_processes
from app.core.queue_health import queue_health
from app.features.connection.key_rotation import keys_in_use
from app.features.provisioning.finding import Finding
from app.features.provisioning.finding_catalog import make_finding
from app.features.provisioning.models import DiagnosisRun
from app.features.secure_score.reports.freshness import age_in_days, is_stale
from app.features.secure_score.reports.score_summary import score_card
from app.features.tickets.types import Delivery
from app.features.tickets.views.ticket_tally import read_tally
from app.resources import Resources

# A job is taken up within seconds, since the worker is notified of new ones; one that has been due for this long is not
# being worked on.
STUCK_AFTER = timedelta(minutes=5)
# The import runs every six hours, and Microsoft computes a score once a day
# (docs/facts/microsoft-graph.md#1-8-freshness-change-history-outlook): a day, and two missed imports.
IMPORT_STALE_AFTER = timedelta(hours=36)
TRIED_BYTES = 200_000
QUEUE_EXAMINED = T("Workers that have reported within a minute, and jobs that are due.")


async def check_storage(resources: Resources) -> Finding:
    """Whether PostgreSQL stores what it is sent. Pages that only read show nothing of a full disk, nor of a read-only server."""
    try:
        async with resources.database.transaction() as session:
            # More than a page of PostgreSQL has free, and not to be compressed, so that it has to ask for space.
            tried = [secrets.token_hex(TRIED_BYTES // 2)]
            session.add(DiagnosisRun(asked_by="", started_at=clock.now(), findings=tried))
            await session.flush()
            await session.rollback()
    except DATABASE_ERRORS as error:
        # Anything else is no matter of storing: its own sentence says what it is.
        if not stores_nothing(error):
            raise
        return make_finding("storage_refused", cause=cause_of(error))
    return make_finding("storage")


async def check_keys(resources: Resources) -> Finding:
    """Whether every running web and worker holds the keys that sealed the connection's secrets; what runs is asked by its report.

    Another process than the one that checks may have been started with other settings, and its jobs then wait.
    """
    async with resources.database.transaction() as session:
        needed, processes = await keys_in_use(session), await running_processes(session)
    missing = {str(process): needed - set(process.keys) for process in processes if not needed <= set(process.keys)}
    if not missing:
        return make_finding("keys")
    keys = frozenset().union(*missing.values())
    return make_finding("keys_differ", processes=", ".join(missing), keys=", ".join(sorted(keys)))


async def check_queue(resources: Resources) -> Finding:
    """Whether a worker is alive and gets its work done."""
    async with resources.database.transaction() as session:
        return await queue_finding(session)


async def queue_finding(session: Session) -> Finding:
    """The finding of `check_queue`, for a page that cannot wait for a worker. Reads rows only."""
    health = await queue_health(session)
    if not health.workers:
        return make_finding("no_worker", due=health.due)
    if health.oldest is not None and clock.now() - health.oldest > STUCK_AFTER:
        minutes = round((clock.now() - health.oldest).total_seconds() / 60)
        return make_finding("queue_stuck", minutes=minutes, due=health.due)
    if health.failed:
        return make_finding("jobs_failed", workers=health.workers, due=health.due, failed=health.failed)
    return make_finding("queue", workers=health.workers, due=health.due, failed=health.failed)


async def check_tickets(resources: Resources) -> Finding:
    """Whether tickets wait for a person."""
    async with resources.database.transaction() as session:
        tally = await read_tally(session)
    held, queued = (sum(row.n for row in tally if row.delivery == one) for one in (Delivery.HELD, Delivery.QUEUED))
    return make_finding("tickets_held", held=held, queued=queued) if held else make_finding("tickets", queued=queued)


async def check_import(resources: Resources) -> Finding:
    """Whether the Secure Score was imported recently (see IMPORT_STALE_AFTER)."""
    async with resources.database.transaction() as session:
        card = await score_card(session, resources.config.shown_tenant_id)
    return evaluate_import(card.synced_at, card.day) if card else evaluate_import(None)


def evaluate_import(synced_at: datetime | None, day: date | None = None) -> Finding:
    """`synced_at` is when the last import ended, None where there was none; `day` is that of the newest score."""
    if synced_at is None:
        return make_finding("import_missing")
    age = clock.now() - synced_at
    hours = round(age.total_seconds() / 3600)
    if age > IMPORT_STALE_AFTER:
        return make_finding("import_stale", hours=hours)
    # Imports can succeed for weeks while Microsoft makes no new score.
    # docs/facts/microsoft-graph.md#1-8-freshness-change-history-outlook
    if day is not None and is_stale(day, clock.now()):
        return make_finding("score_stale", days=age_in_days(day, clock.now()))
    return make_finding("import", hours=hours) if hours > 1 else make_finding("import:fresh")
