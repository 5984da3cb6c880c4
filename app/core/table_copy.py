"""Copy whole tables out of and into PostgreSQL in its text format, row by row. Decides nothing about what they mean.

https://www.postgresql.org/docs/current/sql-copy.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

import psycopg
from psycopg import sql
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from app.core.database_connection import ConnectionOptions, complete_url

# The server sends one row per message; they are handed on in pieces of about this many bytes.
PIECE = 65_536
# The text of a value depends on these. The time-outs are for pages: a large table takes longer.
# https://www.postgresql.org/docs/current/runtime-config-client.html
SESSION = """
    SET LOCAL client_encoding = 'UTF8';
    SET LOCAL timezone = 'UTC';
    SET LOCAL datestyle = 'ISO, YMD';
    SET LOCAL intervalstyle = 'postgres';
    SET LOCAL bytea_output = 'hex';
    SET LOCAL extra_float_digits = 1;
    SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = 0
"""
# Tables that an extension brought along are not the product's.
TABLES = """
    SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
       AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
       AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
     GROUP BY c.relname ORDER BY c.relname
"""
REFERENCES = """
    SELECT child.relname AS child, parent.relname AS parent
      FROM pg_constraint f JOIN pg_class child ON child.oid = f.conrelid JOIN pg_class parent ON parent.oid = f.confrelid
     WHERE f.contype = 'f' AND f.connamespace = current_schema()::regnamespace
"""
SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = current_schema()"


class CopyFailed(Exception):
    """PostgreSQL did not give or take the rows. The text is its main message, which holds no value of a row."""

    @classmethod
    def of(cls, error: psycopg.Error | DBAPIError) -> CopyFailed:
        cause = error.orig if isinstance(error, DBAPIError) else error
        primary = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
        # Without one it is libpq that speaks, of the connection.
        return cls(primary or str(cause).partition("\n")[0])


@dataclass(frozen=True)
class TableShape:
    """A table and its columns, without generated ones."""

    name: str
    columns: tuple[str, ...]


def connect(database_url: str) -> Connection:
    """A connection of its own, in no pool, for one long transaction. The caller closes it. Raises CopyFailed."""
    try:
        # A table may take long to copy, and a transaction waits between two of them.
        patient = ConnectionOptions(
            "security-center copy", statement_seconds=0, idle_in_transaction_seconds=0, transaction_seconds=0
        )
        return create_engine(complete_url(database_url, patient), poolclass=NullPool).connect()
    except DBAPIError as error:
        raise CopyFailed.of(error) from error


def begin_copying(connection: Connection) -> None:
    """Make the texts of values independent of the server's settings, until the transaction ends."""
    connection.execute(text(SESSION))


def empty(connection: Connection, table: TableShape) -> None:
    """Delete the rows that a migration has written into a new table."""
    name = connection.dialect.identifier_preparer.quote(table.name)
    if connection.execute(text(f"SELECT EXISTS (SELECT FROM {name})")).scalar_one():  # noqa: S608 - quoted.
        connection.execute(text(f"DELETE FROM {name}"))  # noqa: S608 - quoted.


def table_shapes(connection: Connection) -> list[TableShape]:
    """Every table of the current schema; a table comes after those that its foreign keys refer to."""
    found = {row.name: TableShape(row.name, tuple(row.columns)) for row in connection.execute(text(TABLES))}
    needs: dict[str, set[str]] = {name: set() for name in found}
    for child, parent in connection.execute(text(REFERENCES)):
        # A row may refer to another one of its own table: that is checked at the end of the whole copy.
        if child != parent and child in needs:
            needs[child].add(parent)
    return [found[name] for name in TopologicalSorter(needs).static_order()]


def sequence_values(connection: Connection) -> dict[str, int]:
    """The last number of each sequence that was used. Read after the tables: sequences are in no snapshot."""
    return {name: value for name, value in connection.execute(text(SEQUENCES)) if value is not None}


def set_sequences(connection: Connection, values: Mapping[str, int]) -> None:
    for name, value in values.items():
        connection.execute(text("SELECT setval(quote_ident(:name)::regclass, :value)"), {"name": name, "value": value})


def copy_out(connection: Connection, table: TableShape) -> Iterator[bytes]:
    """The rows as text, one line each, in pieces. Raises CopyFailed."""
    waiting, size = [], 0
    try:
        with _cursor(connection) as cursor, cursor.copy(_statement("COPY {} ({}) TO STDOUT", table)) as rows:
            for row in rows:
                waiting.append(bytes(row))
                size += len(row)
                if size >= PIECE:
                    yield b"".join(waiting)
                    waiting, size = [], 0
    except psycopg.Error as error:
        raise CopyFailed.of(error) from error
    if waiting:
        yield b"".join(waiting)


def copy_in(connection: Connection, table: TableShape, pieces: Iterable[bytes]) -> int:
    """Insert the rows, and return how many there were. Triggers of the table do not run; its constraints are checked.

    Raises CopyFailed, and what `pieces` raises: the rows that were copied before go when the transaction is rolled back.
    """
    name = sql.Identifier(table.name)
    try:
        with _cursor(connection) as cursor:
            cursor.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(name))
            with cursor.copy(_statement("COPY {} ({}) FROM STDIN", table)) as rows:
                for piece in pieces:
                    rows.write(piece)
            count = cursor.rowcount
            cursor.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(name))
    except psycopg.Error as error:
        raise CopyFailed.of(error) from error
    return count


def _statement(template: str, table: TableShape) -> sql.Composed:
    columns = sql.SQL(", ").join(sql.Identifier(column) for column in table.columns)
    return sql.SQL(template).format(sql.Identifier(table.name), columns)


def _cursor(connection: Connection) -> psycopg.Cursor[tuple[object, ...]]:
    raw = connection.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError("only psycopg can copy")
    return raw.cursor()
