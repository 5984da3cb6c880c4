"""The metrics that the database knows: right values, and nothing instead of a guess."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from app.core import clock
from app.core.database import Database
from app.core.metrics import PREFIX
from app.features.connection.models import Connection, ConnectionStatus
from app.features.operation.stored_metrics import HELP, Reading, as_text, read_metrics
from app.features.tickets.models import Ticket
from tests.factories.graph_payloads import TENANT
from tests.factories.statements import counted
from tests.factories.system import System
from tests.factories.ticket_rows import add_connection, add_tickets, ticket_row
from tests.factories.tickets import refresh_now, share_one, shared_ticket


async def read(database: Database, tenant_id: str = TENANT) -> dict[str, float]:
    """Metric, with its label's value after a colon, to value."""
    async with database.transaction() as session:
        readings = await read_metrics(session, tenant_id)
    return {one.name + (f":{one.label[1]}" if one.label else ""): one.value for one in readings}


async def test_a_new_database_has_counts_and_no_ages(database: Database) -> None:
    assert await read(database) == {
        "database_up": 1, "queue_due_jobs": 0, "queue_later_jobs": 0, "queue_failed_jobs": 0,
        "queue_oldest_due_seconds": 0, "workers_alive": 0, "tickets:queued": 0, "tickets:held": 0, "sessions": 0,
    }  # fmt: skip


async def test_the_queue_is_told_by_depth_age_and_failures(system: System) -> None:
    await system.connect()
    await share_one(system)
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE procrastinate_events SET at = now() - interval '90 seconds'"))
        failed = text(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, priority, attempts)"
            " VALUES ('default', 'tickets.deliver', '{}', 'failed', 0, 5)"
        )
        await session.execute(failed)
    found = await read(system.resources.database)
    assert (found["queue_due_jobs"], found["queue_failed_jobs"]) == (1, 1)
    assert 90 <= found["queue_oldest_due_seconds"] < 120


async def test_tickets_count_while_they_are_not_delivered(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    held, _ = await share_one(system), await share_one(system)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Ticket).where(Ticket.id == held).values(delivery="held"))
    found = await read(system.resources.database)
    assert (found["tickets:queued"], found["tickets:held"]) == (1, 1)


async def test_the_connection_is_told_by_consent_budget_and_age_of_the_data(system: System) -> None:
    connection = await system.connect()
    await shared_ticket(system)
    await refresh_now(system)
    async with system.resources.database.transaction() as session:
        ends = clock.now() + timedelta(days=12)
        await session.execute(update(Connection).values(refresh_expires_at=ends))
    found = await read(system.resources.database)
    assert found["connection_needs_attention"] == 0
    assert found["consent_days_left"] == pytest.approx(12, abs=0.1)
    assert found["budget_requests"] == 1000
    assert found["budget_used_requests"] >= 2
    assert 0 <= found["refresh_age_seconds:incident"] < 60
    async with system.resources.database.transaction() as session:
        lost = ConnectionStatus.NEEDS_ATTENTION.value
        await session.execute(update(Connection).where(Connection.id == connection.id).values(status=lost))
    assert (await read(system.resources.database))["connection_needs_attention"] == 1


async def test_score_import_and_sessions_are_told(scored: System) -> None:
    async with await scored.signed_in("viewer"):
        tenant = scored.resources.config.shown_tenant_id
        found = await read(scored.resources.database, tenant)
    assert found["sessions"] == 1
    assert found["score_age_seconds"] > 0
    assert 0 <= found["import_age_seconds"] < 60


async def test_the_number_of_statements_does_not_grow(system: System) -> None:
    await system.connect()
    for _ in range(3):
        await share_one(system)
    with counted(system.resources.database) as statements:
        await read(system.resources.database)
    assert len(statements) == 7


async def test_undelivered_tickets_are_counted_by_their_index(system: System) -> None:
    await system.connect()
    await share_one(system)
    database = system.resources.database
    other = await add_connection(database, name="old", status="removed")
    await add_tickets(database, [ticket_row(other) for _ in range(500)])
    async with database.transaction() as session:
        await session.execute(text("ANALYZE ticket"))
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        query = "SELECT delivery, count(*) FROM ticket WHERE delivery IN ('queued', 'held') GROUP BY delivery"
        plan = "\n".join((await session.execute(text(f"EXPLAIN {query}"))).scalars())
    assert "ix_ticket_undelivered" in plan


def test_every_reading_has_a_help_text_in_the_answer() -> None:
    text_of_one = as_text([Reading("tickets", 3, ("delivery", "held")), Reading("sessions", 2)]).decode()
    assert f"# HELP {PREFIX}sessions {HELP['sessions']}" in text_of_one
    assert f'{PREFIX}tickets{{delivery="held"}} 3.0' in text_of_one
