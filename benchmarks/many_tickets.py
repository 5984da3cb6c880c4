"""Fills a database with many tickets and ticket actions, made by PostgreSQL itself. Measures nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString, cast

import psycopg

# Small enough that what a transaction keeps up to date by triggers, row by row, stays short.
BATCH = 5_000
# Of a hundred tickets, so many are open, in work and closed, at every size.
TICKETS: LiteralString = """
INSERT INTO ticket (
    id, connection_id, kind, form_key, source, category, name, description, priority, due_date, requested_by_oid,
    requested_by_name, created_at, record, warnings, correlation_id, own_sys_id, sent_plain, sys_id, number, state,
    state_label, remote_priority, assigned_to, remote_updated_at, verified_at, absence, has_marker, state_since,
    differences, journal, change_type, delivery, attempts, refusals, turned_away, failures, failure_text, force_retry,
    attempted_at, sent_at, request_id, shared_at, has_own_job
)
SELECT
    md5('ticket' || n)::uuid, %(connection)s, kind, md5('form' || n), 'Microsoft recommendation',
    (ARRAY['Identity', 'Data', 'Device', 'Apps'])[1 + n %% 4],
    (ARRAY['Require multifactor authentication', 'Block legacy protocols', 'Turn on audit of mailboxes',
           'Limit external sharing', 'Rotate keys of applications'])[1 + n %% 5]
        || ' ' || (ARRAY['for administrators', 'for everyone', 'in the branch offices', 'of contractors'])[1 + n / 5 %% 4]
        || ' ' || n,
    repeat('What it is about, and why it matters to people. ', 8), 1 + n %% 4, current_date + 30,
    '0b7c1c8e-2222-4a6e-9c3e-5d1f0a000002', 'Megan Bowen', created,
    jsonb_build_object('short_description', 'Ticket ' || n, 'description', repeat('What it is about. ', 12)), '[]',
    md5('correlation' || n), '', false, md5('record' || n),
    CASE kind WHEN 'incident' THEN 'INC' ELSE 'CHG' END || lpad(n::text, 7, '0'),
    state,
    CASE kind || ' ' || state
        WHEN 'incident 1' THEN 'New' WHEN 'incident 2' THEN 'In Progress' WHEN 'incident 7' THEN 'Closed'
        WHEN 'change -5' THEN 'New' WHEN 'change -1' THEN 'Implement' ELSE 'Closed' END,
    '3', '', created, now(), '', true, created, '[]', '[]', '', 'shared', 1, 0, false, 0, '', false, created, created, '',
    created, false
FROM (
    SELECT n, kind, now() - n * interval '1 minute' AS created,
        CASE WHEN n / 2 %% 100 < 70 THEN CASE kind WHEN 'incident' THEN '7' ELSE '3' END
             WHEN n / 2 %% 100 < 85 THEN CASE kind WHEN 'incident' THEN '2' ELSE '-1' END
             ELSE CASE kind WHEN 'incident' THEN '1' ELSE '-5' END END AS state
    FROM (SELECT n, CASE n %% 2 WHEN 0 THEN 'incident' ELSE 'change' END AS kind
          FROM generate_series(%(first)s::bigint, %(last)s::bigint) n) numbered
) made
"""
# The nth row belongs to the nth newest ticket; more rows than tickets give some tickets a second action.
ACTIONS: LiteralString = """
INSERT INTO ticket_action (ticket_id, control_id, title, points, max_points)
SELECT md5('ticket' || %(offset)s::bigint + n %% %(tickets)s::bigint)::uuid,
    known.ids[1 + (n + n / %(tickets)s::bigint) %% cardinality(known.ids)], 'Title', 0, 10
FROM generate_series(%(first)s::bigint, %(last)s::bigint) n,
    (SELECT coalesce((SELECT array_agg(control_id ORDER BY control_id) FROM improvement_action),
                     (SELECT array_agg('Control' || m) FROM generate_series(0, 999) m)) AS ids) known
"""
INDEXES: LiteralString = """
SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid IN (to_regclass('ticket'), to_regclass('ticket_action'), to_regclass('ticket_search'))
    AND NOT i.indisunique
"""
# From so many rows on, indexes are made once after filling, which takes a fraction of keeping them.
MANY = 50_000


async def seed(database_url: str, tickets: int, actions: int) -> None:
    """Add so many delivered tickets and ticket actions to a database of the current version, and VACUUM ANALYZE it.

    They belong to its connection that is not removed; a made-up one is stored where there is none. Their actions are
    those that were imported, in turn; made-up ids where there are none. Triggers run as for any other row.
    """
    async with await psycopg.AsyncConnection.connect(
        database_url.replace("postgresql+psycopg:", "postgresql:"), autocommit=True
    ) as rows:
        await rows.execute("SET synchronous_commit = off")
        await rows.execute("SET maintenance_work_mem = '512MB'")
        connection = await _connection(rows)
        offset = await _one(rows, "SELECT count(*) FROM ticket") + 1
        async with _without_indexes(rows, drop=tickets + actions >= MANY):
            for first in range(0, tickets, BATCH):
                last = min(first + BATCH, tickets) - 1
                span = {"connection": connection, "first": offset + first, "last": offset + last}
                await rows.execute(TICKETS, span)
            for first in range(0, actions, BATCH):
                last = min(first + BATCH, actions) - 1
                await rows.execute(ACTIONS, {"offset": offset, "tickets": tickets, "first": first, "last": last})
        await rows.execute("VACUUM (ANALYZE)")


async def _connection(rows: psycopg.AsyncConnection[Any]) -> Any:
    found = await (await rows.execute("SELECT id FROM connection WHERE status <> 'removed'")).fetchone()
    if found:
        return found[0]
    made = await rows.execute(
        "INSERT INTO connection (id, instance_name, origin, status, client_id, token_version, scope, uses_pkce,"
        " sends_scope, renewal_refusals, expected_user_name, user_sys_id, user_name, user_display_name, user_email,"
        " release_family, release_build, connected_at) VALUES (gen_random_uuid(), 'contoso', 'http://127.0.0.1:1',"
        " 'connected', 'client', 0, '', true, true, 0, '', '', 'm365.integration', '', '', '', '', now()) RETURNING id"
    )
    return (await made.fetchone() or [None])[0]


async def _one(rows: psycopg.AsyncConnection[Any], query: LiteralString) -> int:
    return int((await (await rows.execute(query)).fetchone() or [0])[0])


@asynccontextmanager
async def _without_indexes(rows: psycopg.AsyncConnection[Any], *, drop: bool) -> AsyncIterator[None]:
    """Drop the indexes that keep no rule, and make them again afterwards."""
    found = await (await rows.execute(INDEXES)).fetchall() if drop else []
    for name, _ in found:
        await rows.execute(psycopg.sql.SQL("DROP INDEX {}").format(psycopg.sql.Identifier(name)))
    yield
    for _, definition in found:
        await rows.execute(cast(LiteralString, definition))
