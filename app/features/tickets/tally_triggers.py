"""The triggers that keep `ticket_tally` and the stamps of tickets, as SQL. Run when tables are made of the models.

docs/decisions/0011-read-model.md
"""

from __future__ import annotations

from app.core.page_versions import differs

# What cards, lists and results show of a ticket. A change of any other column raises no version.
SHOWN = (
    "connection_id", "kind", "batch_id", "predecessor_id", "source", "category", "name", "priority", "due_date",
    "change_type", "requested_by_name", "created_at", "delivery", "problem", "shared_at", "sys_id", "number", "state",
    "state_label", "remote_priority", "assigned_to", "absence", "state_since",
)  # fmt: skip
# Two steps, so that a transaction locks nothing before it commits, and writes each row of the tally once however many of
# its tickets changed: a row that one transaction changes a thousand times has a thousand versions to step over. Each change
# is added up in settings that end with the transaction (and that a savepoint takes back); at the commit the first trigger
# that was put off writes the sums, and the others find none left. Each change reads and writes a whole setting, so there are
# many: with one, a transaction over ten thousand labels would take the time of their square. One more lists those in use.
TALLY_TICKETS = (
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
    CREATE FUNCTION note_ticket_tally() RETURNS trigger LANGUAGE plpgsql AS $$
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
    CREATE FUNCTION settle_ticket_tally() RETURNS trigger LANGUAGE plpgsql AS $$
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
    """
    CREATE TRIGGER ticket_tally_note AFTER INSERT OR DELETE ON ticket
    FOR EACH ROW EXECUTE FUNCTION note_ticket_tally()
    """,
    f"""
    CREATE TRIGGER ticket_tally_note_update AFTER UPDATE ON ticket
    FOR EACH ROW WHEN ({differs(("connection_id", "kind", "delivery", "state", "state_label", "absence"))})
    EXECUTE FUNCTION note_ticket_tally()
    """,
    """
    CREATE CONSTRAINT TRIGGER ticket_tally_settle AFTER INSERT OR DELETE ON ticket
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION settle_ticket_tally()
    """,
    f"""
    CREATE CONSTRAINT TRIGGER ticket_tally_settle_update AFTER UPDATE ON ticket
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ({differs(SHOWN)}) EXECUTE FUNCTION settle_ticket_tally()
    """,
    """
    CREATE TRIGGER ticket_tally_truncate AFTER TRUNCATE ON ticket
    FOR EACH STATEMENT EXECUTE FUNCTION empty_ticket_tally()
    """,
)
