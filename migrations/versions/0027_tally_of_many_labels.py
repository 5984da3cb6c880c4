"""the sums of a transaction stand in many settings, so that many labels do not cost their square"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0027"
down_revision: str | None = "0026"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

FUNCTIONS = (
    """
    CREATE FUNCTION note_ticket_place(place text, change int) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        parts text := coalesce(current_setting('security_center.tally', true), '');
        part text := hashtext(place) & 255;
        noted jsonb := '{}';
    BEGIN
        IF position('|' || part || '|' IN parts) > 0 THEN
            noted := current_setting('security_center.tally_' || part)::jsonb;
        ELSE
            PERFORM set_config('security_center.tally', parts || '|' || part || '|', true);
        END IF;
        noted := noted || jsonb_build_object(place, coalesce((noted ->> place)::bigint, 0) + change);
        PERFORM set_config('security_center.tally_' || part, noted::text, true);
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION note_ticket_tally() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            PERFORM note_ticket_place(jsonb_build_array(
                OLD.connection_id, OLD.kind, OLD.delivery, OLD.state, OLD.state_label, OLD.absence = '')::text, -1);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            PERFORM note_ticket_place(jsonb_build_array(
                NEW.connection_id, NEW.kind, NEW.delivery, NEW.state, NEW.state_label, NEW.absence = '')::text, 1);
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION settle_ticket_tally() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        parts text := coalesce(current_setting('security_center.tally', true), '');
    BEGIN
        IF parts <> '' THEN
            PERFORM pg_advisory_xact_lock(7240116);
            MERGE INTO ticket_tally AS tally
            USING (
                SELECT (place ->> 0)::uuid AS connection_id, place ->> 1 AS kind, place ->> 2 AS delivery,
                       place ->> 3 AS state, place ->> 4 AS state_label, (place ->> 5)::boolean AS shown, change
                  FROM (
                           SELECT key::jsonb AS place, value::bigint AS change
                             FROM unnest(string_to_array(trim('|' FROM parts), '||')) AS part
                            CROSS JOIN LATERAL jsonb_each_text(current_setting('security_center.tally_' || part)::jsonb)
                       ) AS each
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
)
BEFORE = (
    """
    CREATE OR REPLACE FUNCTION note_ticket_tally() RETURNS trigger LANGUAGE plpgsql AS $$
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
    CREATE OR REPLACE FUNCTION settle_ticket_tally() RETURNS trigger LANGUAGE plpgsql AS $$
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
)
# What one function has noted, the other one of the same version has to write: no transaction may be between the two.
WAIT = "LOCK TABLE ticket IN SHARE ROW EXCLUSIVE MODE"


def upgrade() -> None:
    for statement in (WAIT, *FUNCTIONS):
        op.execute(statement)


def downgrade() -> None:
    for statement in (WAIT, *BEFORE, "DROP FUNCTION note_ticket_place"):
        op.execute(statement)
