"""Version stamps: one number for each topic of what pages show, which rises in the transaction that changes its rows.

Who keeps something that was made of rows reads the stamp first and the rows afterwards: what is kept may then be newer than
its stamp, never older. Models say with `bump_on_change` which of their tables and columns belong to which topic.
docs/decisions/0011-read-model.md
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import DDL, BigInteger, event
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base


class PageVersion(Base):
    """The version of one topic. It never falls and never repeats; how far it rises says nothing."""

    __tablename__ = "page_version"

    topic: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)


# Once per transaction and topic: the list of those that are done is a setting that ends with the transaction, and that a
# savepoint which is rolled back takes back as well. All stamps wait for one lock, so that no two transactions can each
# hold what the other one wants. Microseconds of the clock, so that a database that was set back to an earlier state (a
# backup of its files) gives no number out again that a process may remember with other content.
RAISE_VERSION = """
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
"""
BUMP_TOPIC = """
CREATE FUNCTION bump_topic() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM raise_page_version(TG_ARGV[0]);
    RETURN NULL;
END $$
"""


def on_schema_created(statements: Iterable[str]) -> None:
    """Have statements run once all tables were made of the models, as the tests make them; migrations have their own."""
    for statement in statements:
        event.listen(Base.metadata, "after_create", DDL(statement))  # type: ignore[no-untyped-call]


def bump_on_change(topic: str, *tables: type[Base], columns: Iterable[str] = ()) -> None:
    """Raise the topic's version when rows of these tables change, in any column or in one of `columns`."""
    for table in tables:
        on_schema_created(bump_triggers(topic, table.__tablename__, tuple(columns)))


def bump_triggers(topic: str, table: str, columns: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The statements that make the triggers.

    Constraint triggers can wait for the commit, so that the stamp is locked for that moment only:
    https://www.postgresql.org/docs/current/sql-createtrigger.html. WHEN is looked at at once: other updates queue nothing.
    """
    run = f"EXECUTE FUNCTION bump_topic('{topic}')"
    return (
        f"""CREATE CONSTRAINT TRIGGER {table}_bump AFTER INSERT OR DELETE ON {table}
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW {run}""",
        f"""CREATE CONSTRAINT TRIGGER {table}_bump_update AFTER UPDATE ON {table}
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ({differs(columns)}) {run}""",
        f"CREATE TRIGGER {table}_bump_truncate AFTER TRUNCATE ON {table} FOR EACH STATEMENT {run}",
    )


def differs(columns: tuple[str, ...]) -> str:
    """The condition of a trigger that an update changed one of these columns, or any when there are none."""
    if not columns:
        return "OLD.* IS DISTINCT FROM NEW.*"
    old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("OLD", "NEW"))
    return f"({old}) IS DISTINCT FROM ({new})"


on_schema_created((RAISE_VERSION, BUMP_TOPIC))
