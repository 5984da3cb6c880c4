"""counts of tickets and version stamps of topics, kept by triggers at each commit"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TOPICS = ("tickets.change", "tickets.incident", "connection", "poll", "score", "plans")
FUNCTIONS = (
    """
    CREATE FUNCTION raise_page_version(raised text) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        done text := coalesce(current_setting('security_center.raised', true), '');
    BEGIN
        IF position('|' || raised || '|' IN done) > 0 THEN
            RETURN;
        END IF;
        PERFORM pg_advisory_xact_lock(7240116);
        INSERT INTO page_version AS stamp (topic, version)
            VALUES (raised, floor(extract(epoch FROM clock_timestamp()) * 1000000))
            ON CONFLICT (topic) DO UPDATE SET version = greatest(stamp.version + 1, excluded.version);
        PERFORM set_config('security_center.raised', done || '|' || raised || '|', true);
    END $$
    """,
    """
    CREATE FUNCTION bump_topic() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM raise_page_version(TG_ARGV[0]);
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION note_ticket_tally() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        noted jsonb := coalesce(nullif(current_setting('security_center.tally', true), ''), '{}')::jsonb;
        place text;
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            place := jsonb_build_array(
                OLD.connection_id, OLD.kind, OLD.delivery, OLD.state, OLD.state_label, OLD.absence = '')::text;
            noted := noted || jsonb_build_object(place, coalesce((noted ->> place)::bigint, 0) - 1);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            place := jsonb_build_array(
                NEW.connection_id, NEW.kind, NEW.delivery, NEW.state, NEW.state_label, NEW.absence = '')::text;
            noted := noted || jsonb_build_object(place, coalesce((noted ->> place)::bigint, 0) + 1);
        END IF;
        PERFORM set_config('security_center.tally', noted::text, true);
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION settle_ticket_tally() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        noted text := coalesce(current_setting('security_center.tally', true), '');
    BEGIN
        IF noted <> '' THEN
            PERFORM pg_advisory_xact_lock(7240116);
            MERGE INTO ticket_tally AS tally
            USING (
                SELECT (place ->> 0)::uuid AS connection_id, place ->> 1 AS kind, place ->> 2 AS delivery,
                       place ->> 3 AS state, place ->> 4 AS state_label, (place ->> 5)::boolean AS shown, change
                  FROM (SELECT key::jsonb AS place, value::bigint AS change FROM jsonb_each_text(noted::jsonb)) AS each
                 WHERE change <> 0
            ) AS sums
            ON (tally.connection_id, tally.kind, tally.delivery, tally.state, tally.state_label, tally.shown)
             = (sums.connection_id, sums.kind, sums.delivery, sums.state, sums.state_label, sums.shown)
            WHEN MATCHED AND tally.n + sums.change > 0 THEN UPDATE SET n = tally.n + sums.change
            WHEN MATCHED THEN DELETE
            WHEN NOT MATCHED AND sums.change > 0 THEN
                INSERT (connection_id, kind, delivery, state, state_label, shown, n)
                VALUES (sums.connection_id, sums.kind, sums.delivery, sums.state, sums.state_label, sums.shown, sums.change);
            PERFORM set_config('security_center.tally', '', true);
        END IF;
        IF TG_OP <> 'INSERT' THEN
            PERFORM raise_page_version('tickets.' || OLD.kind);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            PERFORM raise_page_version('tickets.' || NEW.kind);
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION empty_ticket_tally() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(7240116);
        DELETE FROM ticket_tally;
        PERFORM set_config('security_center.tally', '', true);
        PERFORM raise_page_version('tickets.change');
        PERFORM raise_page_version('tickets.incident');
        RETURN NULL;
    END $$
    """,
)
COUNTED = ("connection_id", "kind", "delivery", "state", "state_label", "absence")
TICKET_SHOWN = (
    "connection_id",
    "kind",
    "batch_id",
    "predecessor_id",
    "source",
    "category",
    "name",
    "priority",
    "due_date",
    "change_type",
    "requested_by_name",
    "created_at",
    "delivery",
    "problem",
    "shared_at",
    "sys_id",
    "number",
    "state",
    "state_label",
    "remote_priority",
    "assigned_to",
    "absence",
    "state_since",
)
CONNECTION_SHOWN = (
    "instance_name",
    "origin",
    "status",
    "attention",
    "client_id",
    "refresh_expires_at",
    "scope",
    "uses_pkce",
    "sends_scope",
    "status_changed_at",
    "next_renewal_at",
    "expected_user_name",
    "user_sys_id",
    "user_name",
    "user_display_name",
    "user_email",
    "account_since",
    "release_family",
    "release_build",
    "connected_at",
    "connected_by",
    "removed_at",
)
# Topic, table, the columns that are shown; all when there are none.
BUMPED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("connection", "connection", CONNECTION_SHOWN),
    ("connection", "ticket_preferences", ()),
    ("connection", "state_name", ()),
    ("connection", "state_choice", ()),
    ("connection", "provisioning_step", ()),
    ("poll", "poll_cursor", ("succeeded_at", "problem", "changes_refused")),
    ("poll", "instance_throttle", ("paused_until", "reason", "hourly_limit")),
    ("score", "score_snapshot", ()),
    ("score", "control_score", ()),
    ("score", "improvement_action", ()),
    ("score", "score_change", ()),
    ("score", "control_rename", ()),
    ("score", "score_zones", ()),
    ("score", "import_run", ()),
    ("plans", "action_plan", ()),
    ("plans", "status_change", ()),
    ("plans", "action_tag", ()),
    ("plans", "ticket_action", ()),
)
SEED = """
INSERT INTO page_version (topic, version)
SELECT topic, floor(extract(epoch FROM clock_timestamp()) * 1000000) FROM unnest(CAST(:topics AS text[])) AS topic
"""
# After the triggers: they hold a lock against writers until the migration is over, so no change is missed.
FILL = """
INSERT INTO ticket_tally (connection_id, kind, delivery, state, state_label, shown, n)
SELECT connection_id, kind, delivery, state, state_label, absence = '', count(*) FROM ticket GROUP BY 1, 2, 3, 4, 5, 6
"""


def upgrade() -> None:
    op.create_table(
        "page_version",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_page_version")),
    )
    op.create_table(
        "ticket_tally",
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("delivery", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_label", sa.Text(), nullable=False),
        sa.Column("shown", sa.Boolean(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("n > 0", name=op.f("ck_ticket_tally_counts_tickets")),
        sa.PrimaryKeyConstraint(
            "connection_id", "kind", "delivery", "state", "state_label", "shown", name=op.f("pk_ticket_tally")
        ),
    )
    op.create_index(
        "ix_ticket_newest_of_kind",
        "ticket",
        ["connection_id", "kind", sa.literal_column("created_at DESC"), "id"],
        unique=False,
        postgresql_where=sa.text("delivery <> 'given_up'"),
    )
    for statement in FUNCTIONS:
        op.execute(statement)
    for name, statement in triggers():
        op.execute(f"CREATE {name} {statement}")
    op.execute(sa.text(SEED).bindparams(topics=list(TOPICS)))
    op.execute(FILL)


def downgrade() -> None:
    for name, statement in triggers():
        table = statement.partition(" ON ")[2].split()[0]
        op.execute(f"DROP TRIGGER {name.split()[-1]} ON {table}")
    for name in (
        "bump_topic()",
        "note_ticket_tally()",
        "settle_ticket_tally()",
        "empty_ticket_tally()",
        "raise_page_version(text)",
    ):
        op.execute(f"DROP FUNCTION {name}")
    op.drop_index("ix_ticket_newest_of_kind", table_name="ticket")
    op.drop_table("ticket_tally")
    op.drop_table("page_version")


def triggers() -> Iterator[tuple[str, str]]:
    """What follows CREATE: the kind and name of each trigger, and the rest of its statement."""
    put_off = "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
    for topic, table, columns in BUMPED:
        run = f"EXECUTE FUNCTION bump_topic('{topic}')"
        changed = differs(columns)
        yield f"CONSTRAINT TRIGGER {table}_bump", f"AFTER INSERT OR DELETE ON {table} {put_off} {run}"
        yield f"CONSTRAINT TRIGGER {table}_bump_update", f"AFTER UPDATE ON {table} {put_off} WHEN ({changed}) {run}"
        yield f"TRIGGER {table}_bump_truncate", f"AFTER TRUNCATE ON {table} FOR EACH STATEMENT {run}"
    note, settle = "EXECUTE FUNCTION note_ticket_tally()", "EXECUTE FUNCTION settle_ticket_tally()"
    yield "TRIGGER ticket_tally_note", f"AFTER INSERT OR DELETE ON ticket FOR EACH ROW {note}"
    yield "TRIGGER ticket_tally_note_update", f"AFTER UPDATE ON ticket FOR EACH ROW WHEN ({differs(COUNTED)}) {note}"
    yield "CONSTRAINT TRIGGER ticket_tally_settle", f"AFTER INSERT OR DELETE ON ticket {put_off} {settle}"
    yield (
        "CONSTRAINT TRIGGER ticket_tally_settle_update",
        f"AFTER UPDATE ON ticket {put_off} WHEN ({differs(TICKET_SHOWN)}) {settle}",
    )
    yield (
        "TRIGGER ticket_tally_truncate",
        "AFTER TRUNCATE ON ticket FOR EACH STATEMENT EXECUTE FUNCTION empty_ticket_tally()",
    )


def differs(columns: tuple[str, ...]) -> str:
    if not columns:
        return "OLD.* IS DISTINCT FROM NEW.*"
    old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("OLD", "NEW"))
    return f"({old}) IS DISTINCT FROM ({new})"
