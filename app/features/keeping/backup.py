"""Write every table into one file, as of one moment, while everything goes on. Changes no row, and opens no secret."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.core.database import Base
from app.core.database_trouble import no_database
from app.core.messages import T
from app.core.migrations import current_revision, expected_revision
from app.core.queue_rows import QUEUE_TABLES
from app.core.table_copy import CopyFailed, TableShape, begin_copying, connect, copy_out, sequence_values, table_shapes
from app.features.keeping.backup_file import BackupProblem, Manifest, new_backup
from app.features.keeping.kept_tables import WITHOUT_ROWS


@dataclass(frozen=True)
class BackupReport:
    """`left_out` are tables in the same schema that are not the product's."""

    manifest: Manifest
    left_out: tuple[str, ...]


def back_up(database_url: str, path: Path) -> BackupReport:
    """Raises BackupProblem. The file appears under its name only when it is whole."""
    with long_connection(database_url) as connection:
        begin_snapshot(connection)
        revision = current_revision(connection)
        if revision != expected_revision():
            raise BackupProblem(
                T(
                    "The database is of another version (%(found)s, and this version needs %(needed)s). Make the backup "
                    "with the version that uses the database, or migrate first.",
                    found=revision or "–",
                    needed=expected_revision() or "–",
                )
            )
        ours = {*Base.metadata.tables, *QUEUE_TABLES}
        found = table_shapes(connection)
        tables = [table for table in found if table.name in ours and table.name not in WITHOUT_ROWS]
        left_out = tuple(table.name for table in found if table.name not in ours and table.name not in WITHOUT_ROWS)
        return BackupReport(write_tables(connection, path, tables), left_out)


@contextmanager
def long_connection(database_url: str) -> Iterator[Connection]:
    """A connection for one backup or restore. What the database refuses, or that it goes away, becomes a BackupProblem.

    Raises NoDatabase when it cannot be reached to begin with.
    """
    try:
        connection = connect(database_url)
    except CopyFailed as error:
        raise no_database(error) from error
    try:
        try:
            yield connection
        finally:
            connection.close()
    except (CopyFailed, DBAPIError) as error:
        failed = CopyFailed.of(error) if isinstance(error, DBAPIError) else error
        raise BackupProblem(
            T("The database broke off: %(why)s. Nothing is left of what was begun.", why=str(failed))
        ) from error


def begin_snapshot(connection: Connection) -> None:
    """From here on the connection sees the database as it is now, and may change nothing."""
    # https://www.postgresql.org/docs/current/transaction-iso.html#XACT-REPEATABLE-READ
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    begin_copying(connection)


def write_tables(connection: Connection, path: Path, tables: Sequence[TableShape]) -> Manifest:
    """Write these tables and the manifest into a new file. One row is in memory at a time."""
    made_at = connection.execute(text("SELECT now()")).scalar_one().astimezone(UTC)
    with new_backup(path) as backup:
        for table in tables:
            backup.add(table.name, table.columns, copy_out(connection, table))
        manifest = Manifest(
            revision=current_revision(connection) or "",
            version=_version(),
            made_at=made_at.isoformat(),
            tables=tuple(backup.tables),
            sequences=sequence_values(connection),
        )
        backup.finish(manifest)
    return manifest


def _version() -> str:
    try:
        return version("security-center")
    except PackageNotFoundError:  # Run from its folder, not installed.
        return ""
