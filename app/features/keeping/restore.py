"""Fill an empty database from a backup, in one transaction: all of it or nothing. Sends nothing to ServiceNow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from app.core import clock
from app.core.messages import T
from app.core.migrations import alembic_config
from app.core.queue_rows import take_back_running_jobs
from app.core.table_copy import CopyFailed, TableShape, begin_copying, copy_in, empty, set_sequences, table_shapes
from app.features.keeping.backup import long_connection
from app.features.keeping.backup_file import BackupProblem, BackupReader, Manifest, open_backup
from app.features.tickets.delivery.after_restore import look_before_sending
from app.features.tickets.views.kept_beside import RIGHTED
from app.features.tickets.views.ticket_tally import REBUILD


@dataclass(frozen=True)
class RestoreReport:
    """`jobs` is how many jobs ran when the backup was made and run again, `unsettled` how many tickets and notes are
    looked for in ServiceNow before anything is sent of them.
    """

    manifest: Manifest
    jobs: int
    unsettled: int


def restore(database_url: str, path: Path) -> RestoreReport:
    """Raises BackupProblem; the database is as empty as before then."""
    with open_backup(path) as backup:
        _assert_known(backup.manifest.revision)
        with long_connection(database_url) as connection, connection.begin():
            return _fill(connection, backup)


def _fill(connection: Connection, backup: BackupReader) -> RestoreReport:
    begin_copying(connection)
    # Two restores at once: the second one finds the tables of the first.
    connection.execute(text("SELECT pg_advisory_xact_lock(7240115)"))
    if table_shapes(connection):
        raise BackupProblem(
            T("The database is not empty. Restore into an empty one: create it, and point DATABASE_URL at it.")
        )
    command.upgrade(alembic_config(connection), backup.manifest.revision)
    _fill_tables(connection, backup)
    set_sequences(connection, backup.manifest.sequences)
    command.upgrade(alembic_config(connection), "head")
    jobs = take_back_running_jobs(connection)
    unsettled = [connection.execute(statement).rowcount for statement in look_before_sending(clock.now())]
    # No trigger ran for the rows that were copied in.
    for statement in (*REBUILD, *map(text, RIGHTED.values())):
        connection.execute(statement)
    # Without it the planner knows nothing of the tables until autovacuum comes by.
    connection.execute(text("ANALYZE"))
    return RestoreReport(backup.manifest, jobs, sum(unsettled[:2]))


def _fill_tables(connection: Connection, backup: BackupReader) -> None:
    there = {table.name: set(table.columns) for table in table_shapes(connection)}
    for saved in backup.manifest.tables:
        shape = TableShape(saved.name, saved.columns)
        if not set(saved.columns) <= there.get(saved.name, set()):
            raise BackupProblem(
                T("The backup holds a table that this version does not know: %(table)s.", table=saved.name)
            )
        empty(connection, shape)
        try:
            copy_in(connection, shape, backup.pieces(saved))
        except CopyFailed as error:
            raise BackupProblem(
                T("Table %(table)s could not be filled: %(why)s.", table=saved.name, why=str(error))
            ) from error


def _assert_known(revision: str) -> None:
    try:
        ScriptDirectory.from_config(alembic_config()).get_revision(revision)
    except CommandError as error:
        raise BackupProblem(
            T(
                "The backup was made by a newer version (revision %(revision)s). Restore it with that version, or a later one.",
                revision=revision,
            )
        ) from error
