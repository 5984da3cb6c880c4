"""How old a list with tickets of both kinds is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.features.connection.models import Connection
from app.features.tickets.models import PollCursor
from app.features.tickets.polling.poll_status import PollStatus


def test_a_list_of_both_kinds_is_as_old_as_its_older_half() -> None:
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    connection = Connection(status="active")
    fresh, older = (PollCursor(kind=kind, succeeded_at=now - age, problem=None)
                    for kind, age in (("change", timedelta()), ("incident", timedelta(hours=1))))  # fmt: skip
    both = PollStatus(connection, None, {"change": fresh, "incident": older})
    assert both.overall().as_of == older.succeeded_at
    assert PollStatus(connection, None, {"change": fresh}).overall().as_of is None
