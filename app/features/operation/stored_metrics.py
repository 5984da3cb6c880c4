"""What the database knows, as metrics: queue, tickets, polling, consent, budget, score, sessions. Reads rows only.

Every web process exports the same values, so alerts take the maximum over them. What a process counts by itself stands
in core/metrics.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from app.core import clock
from app.core.database import Session
from app.core.metrics import PREFIX
from app.core.queue_health import queue_health
from app.features.accounts.models import WebSession
from app.features.connection.models import Connection, ConnectionStatus, InstanceThrottle
from app.features.connection.throttle import usage
from app.features.secure_score.models import ImportRun, ScoreSnapshot
from app.features.secure_score.sync.runs import RunStatus
from app.features.tickets.models import UNDELIVERED, PollCursor, Ticket
from app.features.tickets.types import Delivery

# Name without the prefix, to what it says. Seconds and days are counted from the moment of the scrape.
HELP = {
    "database_up": "1 when the database answered this scrape, 0 when it did not: then nothing else below is there.",
    "queue_due_jobs": "Jobs that are due and wait for a worker.",
    "queue_later_jobs": "Jobs that wait for their time.",
    "queue_failed_jobs": "Jobs that were given up: see the page of failed jobs.",
    "queue_oldest_due_seconds": "For how long the oldest due job has waited; 0 when none does.",
    "workers_alive": "Workers that have reported within a minute.",
    "tickets": "Tickets that are not delivered: queued or held.",
    "refresh_age_seconds": "Since when the tickets of this kind were last read from ServiceNow.",
    "connection_needs_attention": "1 when a person has to authorize the connection again, 0 when it works.",
    "consent_days_left": "Days until the consent for ServiceNow ends.",
    "budget_requests": "Requests per clock hour that polling may make.",
    "budget_used_requests": "Requests to ServiceNow of this clock hour.",
    "score_age_seconds": "Age of the newest Secure Score that Microsoft has computed.",
    "import_age_seconds": "Since when the last import of the Secure Score succeeded.",
    "sessions": "Sessions of signed-in people that have not ended.",
}


@dataclass(frozen=True)
class Reading:
    """One value of one metric. `label` is a pair of name and value, or None."""

    name: str
    value: float
    label: tuple[str, str] | None = None


async def read_metrics(session: Session, tenant_id: str) -> list[Reading]:
    """Every value that there is now; what is unknown (no connection, no import) is left out, and never zero."""
    return [
        Reading("database_up", 1),
        *await _queue(session),
        *await _tickets(session),
        *await _connection(session),
        *await _secure_score(session, tenant_id),
        await _sessions(session),
    ]


async def _queue(session: Session) -> list[Reading]:
    health = await queue_health(session)
    return [
        Reading("queue_due_jobs", health.due),
        Reading("queue_later_jobs", health.later),
        Reading("queue_failed_jobs", health.failed),
        Reading("queue_oldest_due_seconds", _age(health.oldest) if health.oldest else 0),
        Reading("workers_alive", health.workers),
    ]


async def _tickets(session: Session) -> list[Reading]:
    # Read from the partial index of undelivered tickets, however many others there are.
    query = select(Ticket.delivery, func.count()).where(UNDELIVERED).group_by(Ticket.delivery)
    counts = {str(delivery): int(count) for delivery, count in await session.execute(query)}
    return [
        Reading("tickets", counts.get(state, 0), ("delivery", state.value))
        for state in (Delivery.QUEUED, Delivery.HELD)
    ]


async def _connection(session: Session) -> list[Reading]:
    query = (
        select(Connection, InstanceThrottle)
        .outerjoin(InstanceThrottle, InstanceThrottle.connection_id == Connection.id)
        .where(Connection.status != ConnectionStatus.REMOVED)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return []
    connection, throttle = row
    needs = connection.status == ConnectionStatus.NEEDS_ATTENTION
    found = [Reading("connection_needs_attention", int(needs))]
    if connection.refresh_expires_at is not None:
        found.append(Reading("consent_days_left", -_age(connection.refresh_expires_at) / 86400))
    if throttle is not None:
        hour = usage(throttle)
        found += [Reading("budget_requests", hour.budget), Reading("budget_used_requests", hour.used)]
    cursors = select(PollCursor.kind, PollCursor.succeeded_at).where(PollCursor.connection_id == connection.id)
    for kind, succeeded_at in await session.execute(cursors):
        if succeeded_at is not None:
            found.append(Reading("refresh_age_seconds", _age(succeeded_at), ("kind", str(kind))))
    return found


async def _secure_score(session: Session, tenant_id: str) -> list[Reading]:
    newest = select(func.max(ScoreSnapshot.created_at)).where(ScoreSnapshot.tenant_id == tenant_id)
    succeeded = (RunStatus.DONE, RunStatus.PARTIAL)
    imported = select(func.max(ImportRun.finished_at)).where(
        ImportRun.tenant_id == tenant_id, ImportRun.status.in_(succeeded)
    )
    moments = {
        "score_age_seconds": (await session.execute(newest)).scalar_one(),
        "import_age_seconds": (await session.execute(imported)).scalar_one(),
    }
    return [Reading(name, _age(moment)) for name, moment in moments.items() if moment is not None]


async def _sessions(session: Session) -> Reading:
    query = select(func.count()).where(WebSession.expires_at > clock.now())
    return Reading("sessions", (await session.execute(query)).scalar_one())


def _age(moment: datetime) -> float:
    return (clock.now() - moment).total_seconds()


class _Read(Collector):
    def __init__(self, readings: Iterable[Reading]) -> None:
        self._readings = list(readings)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, text in HELP.items():
            readings = [reading for reading in self._readings if reading.name == name]
            if not readings:
                continue
            labels = [reading.label[0] for reading in readings[:1] if reading.label]
            family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
            for reading in readings:
                family.add_metric([reading.label[1]] if reading.label else [], reading.value)
            yield family


def as_text(readings: Iterable[Reading]) -> bytes:
    """The readings in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Read(readings))
    return generate_latest(registry)
