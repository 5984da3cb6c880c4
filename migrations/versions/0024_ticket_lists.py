"""lists of tickets by keyset, search without an extension, and dates at actions of tickets"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

GRAMS = r"""
CREATE FUNCTION grams(given text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL RESTRICTED COST 10000 AS $$
DECLARE
    letters int := least(length(given), 8000);
    found text[] := '{}';
    part text;
BEGIN
    -- In parts, because substr() counts its way from the beginning.
    FOR start IN 1 .. letters BY 250 LOOP
        part := substr(given, start, least(252, letters - start + 1));
        found := found || array(SELECT substr(part, place, 3) FROM generate_series(1, length(part) - 2) AS place);
        IF octet_length(part) > length(part) THEN
            found := found || array(
                SELECT substr(part, place, 2) FROM generate_series(1, length(part) - 1) AS place
                 WHERE ascii(substr(part, place, 1)) > 591 AND ascii(substr(part, place + 1, 1)) > 591
            );
        END IF;
    END LOOP;
    RETURN found;
END $$
"""
WRITE_SEARCH = r"""
CREATE FUNCTION write_ticket_search(wanted uuid) RETURNS void LANGUAGE sql AS $$
    INSERT INTO ticket_search (ticket_id, created_at, search_text)
    SELECT t.id, t.created_at, left(lower(concat_ws(chr(31), t.name, t.number, t.requested_by_name, (
               SELECT string_agg(DISTINCT a.title, chr(31)) FROM ticket_action a
                WHERE a.ticket_id = t.id AND a.title <> t.name
           ))), 8000)
      FROM ticket t WHERE t.id = wanted
    ON CONFLICT (ticket_id) DO UPDATE SET search_text = EXCLUDED.search_text
     WHERE ticket_search.search_text <> EXCLUDED.search_text
$$
"""
SEARCH_TICKET = """
CREATE FUNCTION search_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        PERFORM pg_advisory_xact_lock(7240116);
    END IF;
    PERFORM write_ticket_search(NEW.id);
    RETURN NULL;
END $$
"""
SEARCH_TICKET_OF_ACTION = """
CREATE FUNCTION search_ticket_of_action() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7240116);
    PERFORM write_ticket_search(coalesce(NEW.ticket_id, OLD.ticket_id));
    RETURN NULL;
END $$
"""
DATE_ACTION = """
CREATE FUNCTION date_ticket_action() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT t.created_at, CASE WHEN t.delivery = 'shared' THEN t.created_at END
      INTO NEW.created_at, NEW.shared_created FROM ticket t WHERE t.id = NEW.ticket_id;
    RETURN NEW;
END $$
"""
DATE_ACTIONS = """
CREATE FUNCTION date_ticket_actions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE ticket_action SET shared_created = CASE WHEN NEW.delivery = 'shared' THEN NEW.created_at END
     WHERE ticket_id = NEW.id;
    RETURN NULL;
END $$
"""
TRIGGERS = (
    # At the commit: a ticket of a hundred actions has a hundred rows, each a statement, and its text is written once.
    """
    CREATE CONSTRAINT TRIGGER ticket_is_searched AFTER INSERT ON ticket
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION search_ticket()
    """,
    """
    CREATE CONSTRAINT TRIGGER ticket_is_searched_again AFTER UPDATE OF name, number, requested_by_name ON ticket
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.name, OLD.number, OLD.requested_by_name) IS DISTINCT FROM (NEW.name, NEW.number, NEW.requested_by_name))
    EXECUTE FUNCTION search_ticket()
    """,
    """
    CREATE CONSTRAINT TRIGGER ticket_action_is_searched AFTER INSERT OR DELETE OR UPDATE OF title ON ticket_action
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION search_ticket_of_action()
    """,
    """
    CREATE TRIGGER ticket_action_is_dated BEFORE INSERT ON ticket_action
    FOR EACH ROW EXECUTE FUNCTION date_ticket_action()
    """,
    """
    CREATE TRIGGER ticket_is_shared AFTER UPDATE OF delivery ON ticket FOR EACH ROW
    WHEN ((OLD.delivery = 'shared') <> (NEW.delivery = 'shared')) EXECUTE FUNCTION date_ticket_actions()
    """,
)
FUNCTIONS = (WRITE_SEARCH, SEARCH_TICKET, SEARCH_TICKET_OF_ACTION, DATE_ACTION, DATE_ACTIONS)


# Rows that exist are filled at once, before indexes and triggers are there: a million tickets take minutes, not hours.
FILL = (
    """
    UPDATE ticket_action a SET created_at = t.created_at,
           shared_created = CASE WHEN t.delivery = 'shared' THEN t.created_at END
      FROM ticket t WHERE t.id = a.ticket_id
    """,
    """
    INSERT INTO ticket_search (ticket_id, created_at, search_text)
    SELECT t.id, t.created_at, left(lower(concat_ws(chr(31), t.name, t.number, t.requested_by_name, a.titles)), 8000)
      FROM ticket t LEFT JOIN (
               SELECT a.ticket_id, string_agg(DISTINCT a.title, chr(31)) FILTER (WHERE a.title <> of.name) AS titles
                 FROM ticket_action a JOIN ticket of ON of.id = a.ticket_id GROUP BY a.ticket_id
           ) a ON a.ticket_id = t.id
    """,
)


def upgrade() -> None:
    op.add_column("ticket_action", sa.Column("created_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("ticket_action", sa.Column("shared_created", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "ticket_search",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["ticket.id"], name=op.f("fk_ticket_search_ticket_id_ticket"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("ticket_id", name=op.f("pk_ticket_search")),
    )
    # A table with triggers that wait for the commit cannot be altered.
    op.execute("ALTER TABLE ticket_action DISABLE TRIGGER USER")
    for statement in (GRAMS, *FILL):
        op.execute(statement)
    op.execute("ALTER TABLE ticket_action ENABLE TRIGGER USER")
    op.alter_column("ticket_action", "created_at", nullable=False)
    op.drop_index("ix_ticket_newest", table_name="ticket")
    op.create_index("ix_ticket_newest", "ticket", [sa.text("created_at DESC"), sa.text("id DESC")])
    order: list[str | sa.TextClause] = [sa.text("(absence = '')"), sa.text("created_at DESC"), sa.text("id DESC")]
    op.create_index("ix_ticket_of_class", "ticket", ["connection_id", "kind", "delivery", "state", *order])
    op.drop_index("ix_ticket_action_control_id", table_name="ticket_action")
    op.create_index("ix_ticket_action_newest", "ticket_action", ["control_id", sa.text("created_at DESC"), "ticket_id"])
    op.create_index(
        "ix_ticket_action_shared",
        "ticket_action",
        ["control_id", sa.text("shared_created DESC"), "ticket_id"],
        postgresql_where=sa.text("shared_created IS NOT NULL"),
    )
    op.create_index("ix_ticket_search_newest", "ticket_search", [sa.text("created_at DESC"), sa.text("ticket_id DESC")])
    op.create_index(
        "ix_ticket_search_grams",
        "ticket_search",
        [sa.text("grams(search_text)")],
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 512},
    )
    for statement in (*FUNCTIONS, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    for trigger in ("ticket_is_searched", "ticket_is_searched_again", "ticket_is_shared"):
        op.execute(f"DROP TRIGGER {trigger} ON ticket")
    for trigger in ("ticket_action_is_searched", "ticket_action_is_dated"):
        op.execute(f"DROP TRIGGER {trigger} ON ticket_action")
    for function in (
        "search_ticket",
        "search_ticket_of_action",
        "date_ticket_action",
        "date_ticket_actions",
        "write_ticket_search",
    ):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("ticket_search")
    op.execute("DROP FUNCTION grams")
    op.drop_index("ix_ticket_action_shared", table_name="ticket_action")
    op.drop_index("ix_ticket_action_newest", table_name="ticket_action")
    op.create_index("ix_ticket_action_control_id", "ticket_action", ["control_id"])
    op.drop_column("ticket_action", "shared_created")
    op.drop_column("ticket_action", "created_at")
    op.drop_index("ix_ticket_of_class", table_name="ticket")
    op.drop_index("ix_ticket_newest", table_name="ticket")
    op.create_index("ix_ticket_newest", "ticket", [sa.text("created_at DESC"), "id"])
