"""Functions and triggers that keep the rows by which lists find tickets: search texts, and dates at actions. No queries.

They run inside PostgreSQL, so that whatever writes a ticket keeps them too. Migration 0024 holds the same statements.
"""

from __future__ import annotations

# Stands between the fields of a search text, so that nothing is found across two of them. No search may hold it.
SEPARATOR = "\x1f"

# All sequences of three characters. Beyond Latin letters (U+024F) those of two as well: many Korean and Chinese words
# have no more. PostgreSQL's own pg_trgm is an extension, which not every server has. It takes some 30 µs, and its cost keeps
# plans from computing it for rows that the index finds. Restricted, because to start parallel processes takes longer than a
# search.
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
# Of a hundred titles of usual length, 8,000 characters leave none out. In lower case, so that LIKE finds what ILIKE would
# find in the fields themselves, without folding each text again.
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
# The lock of all commits before the row (app/core/page_versions.py): a transaction that has it already may want the same row,
# as an import that renames an action does. No other transaction knows the row of a new ticket.
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
