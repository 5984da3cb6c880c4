"""The connector's state in one answer, for a widget inside ServiceNow. Holds no secret and no ticket's content."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from app.core import clock
from app.core.database import Session
from app.core.queue_health import has_worker
from app.features.connection.connection_view import connection_view
from app.features.provisioning.list_steps import list_steps
from app.features.provisioning.readiness import readiness
from app.features.tickets.views.ticket_tally import read_tally


async def connector_status(session: Session) -> dict[str, Any]:
    """As JSON can hold it; times are ISO 8601 in UTC, texts in the current language. docs/status-in-servicenow.md."""
    connection = await connection_view(session)
    ready = await readiness(session)
    steps = [line for line in await list_steps(session) if not line.is_outcome]
    # Only of the active connection: the count must not include tickets of an instance that was removed.
    tickets: Counter[str] = Counter()
    for row in await read_tally(session, connection.id) if connection else ():
        tickets[row.delivery] += row.n
    return {
        "status": connection.status if connection else "not_connected",
        "instance": connection.instance_name if connection else None,
        "consented_as": connection.user_name if connection else None,
        "connected_at": connection.connected_at.isoformat() if connection else None,
        "consent_ends_at": _iso(connection.refresh_expires_at) if connection else None,
        "last_answer_at": _iso(connection.last_success_at) if connection else None,
        "attention": str(connection.attention) if connection and connection.attention else None,
        "ready_for": sorted(ready.kinds),
        "missing": [str(sentence) for sentence in ready.missing],
        "steps": [
            {"key": line.key, "title": str(line.title), "state": line.state, "checked_at": _iso(line.checked_at)}
            for line in steps
        ],
        # false: nothing is sent or refreshed until one is started.
        "worker_runs": await has_worker(session),
        # All four, also where there are none, so that a widget needs no defaults.
        "tickets": {name: tickets.get(name, 0) for name in ("queued", "shared", "held", "given_up")},
        "as_of": clock.now().isoformat(),
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
