"""Rows of tickets made by SQL, as many as a test needs, in all classes that the tally tells apart."""

from __future__ import annotations

import json
import random
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from app.core.database import Database

CONNECTION = text(
    """
    INSERT INTO connection (id, instance_name, origin, status, client_id, token_version, scope, uses_pkce, sends_scope,
        renewal_refusals, expected_user_name, user_sys_id, user_name, user_display_name, user_email, release_family,
        release_build, connected_at)
    VALUES (:id, :name, 'https://' || :name, :status, 'client', 0, '', true, true, 0, '', '', 'm365', '', '', '', '', now())
    """
)
TICKETS = text(
    """
    INSERT INTO ticket (id, connection_id, kind, form_key, source, category, name, description, priority, due_date,
        requested_by_oid, requested_by_name, created_at, record, warnings, correlation_id, own_sys_id, sent_plain, number,
        state, state_label, remote_priority, assigned_to, absence, has_marker, differences, journal, change_type, delivery,
        attempts, refusals, turned_away, failures, failure_text, force_retry, request_id, has_own_job)
    SELECT r.id, r.connection_id, r.kind, r.id, 'Microsoft', 'Identity', r.name, 'Text', 3, '2030-12-31', 'oid',
           r.requested_by_name, r.created_at, '{}', '[]', r.id, '', false, r.number, r.state, 'L' || r.state, '', '',
           r.absence, true, '[]', '[]', '', r.delivery, 1, 0, false, 0, '', false, '', false
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, connection_id uuid, kind text, name text, number text,
           requested_by_name text, created_at timestamptz, state text, absence text, delivery text)
    """
)


def chance_of(seed: int) -> random.Random:
    """The same rows each time."""
    return random.Random(seed)  # noqa: S311 - guards nothing.


async def add_connection(database: Database, *, name: str = "contoso", status: str = "connected") -> UUID:
    """A connection that nothing can be sent by."""
    connection_id = uuid4()
    async with database.transaction() as session:
        await session.execute(CONNECTION, {"id": connection_id, "name": name, "status": status})
    return connection_id


def ticket_row(connection_id: UUID, **changes: Any) -> dict[str, Any]:
    """A shared incident."""
    known: dict[str, Any] = {
        "id": str(uuid4()), "connection_id": str(connection_id), "kind": "incident", "name": "Require a second factor",
        "number": "INC0010001", "requested_by_name": "Megan Bowen", "created_at": "2026-11-20T09:00:00Z", "state": "2",
        "absence": "", "delivery": "shared",
    }  # fmt: skip
    return {**known, **changes}


def any_row(chance: random.Random, connection_ids: list[UUID], **changes: Any) -> dict[str, Any]:
    """A row of any class. Few moments, so that many tickets share one."""
    delivery = chance.choice(["shared", "shared", "shared", "queued", "held", "given_up"])
    known = {
        "id": str(UUID(int=chance.getrandbits(128))),
        "kind": chance.choice(["incident", "change"]),
        "created_at": f"2026-11-{chance.randint(1, 28):02}T09:00:00Z",
        "delivery": delivery,
        "state": chance.choice(["1", "2", "7", "-5", "odd"]) if delivery == "shared" else "",
        "absence": chance.choice(["", "", "", "deleted"]),
        "number": f"INC{chance.randint(1, 9999):07}",
    }
    return ticket_row(chance.choice(connection_ids), **{**known, **changes})


async def add_tickets(database: Database, rows: list[dict[str, Any]]) -> None:
    """Store them in one transaction."""
    async with database.transaction() as session:
        await session.execute(TICKETS, {"rows": json.dumps(rows)})
