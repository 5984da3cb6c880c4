"""A restore brings every row back, or leaves the database empty."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from sqlalchemy import text

from app.core import migrations
from app.core.database import Database, make_engine
from app.core.table_copy import connect, table_shapes
from app.features.keeping import restore as restore_module
from app.features.keeping.backup import back_up, begin_snapshot, write_tables
from app.features.keeping.backup_file import BackupProblem, Manifest, new_backup
from app.features.keeping.kept_tables import KEPT, WITHOUT_ROWS
from app.features.keeping.restore import restore
from app.features.tickets.views.kept_beside import compare_kept
from app.features.tickets.views.ticket_tally import read_tally, recount_tally
from tests.factories.audit import entries, report_of, write
from tests.factories.system import System
from tests.factories.tickets import share_one, shared_ticket

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


def _all_rows(database_url: str, *, without: set[str] = frozenset()) -> dict[str, list[str]]:  # type: ignore[assignment]
    connection = connect(database_url)
    try:
        return {
            name: sorted(row[0] for row in connection.execute(text(f'SELECT to_jsonb(t)::text FROM "{name}" t')))  # noqa: S608 - our own tables.
            for name in set(KEPT) - set(WITHOUT_ROWS) - without
        }
    finally:
        connection.close()


def _run(database_url: str, *statements: str) -> None:
    connection = connect(database_url)
    with connection.begin():
        for statement in statements:
            connection.exec_driver_sql(statement)
    connection.close()


def _is_empty(database_url: str) -> bool:
    connection = connect(database_url)
    try:
        return table_shapes(connection) == []
    finally:
        connection.close()


async def test_every_row_comes_back_and_numbers_go_on(
    scored: System, stamped_url: str, empty_database: str, tmp_path: Path
) -> None:
    await scored.connect()
    await shared_ticket(scored)
    await (await scored.signed_in("manager")).aclose()
    back_up(stamped_url, tmp_path / "backup")
    report = restore(empty_database, tmp_path / "backup")
    before, after = (_all_rows(url, without={"procrastinate_workers"}) for url in (stamped_url, empty_database))
    assert after == before
    assert {"ticket", "control_score", "audit_entry", "person", "connection"} <= {name for name in after if after[name]}
    assert report.unsettled == 0
    restored = Database(make_engine(empty_database))
    async with restored.transaction() as session:
        assert [row.n for row in await read_tally(session)] == [1]
        assert await recount_tally(session) == []
        assert await compare_kept(session) == []
    await write(restored, 1)
    assert len(await entries(restored)) == len(before["audit_entry"]) + 1
    assert (await report_of(restored)).breaks == []
    await restored.close()


async def test_sessions_and_what_is_good_for_minutes_stay_behind(
    system: System, stamped_url: str, empty_database: str, tmp_path: Path
) -> None:
    await (await system.signed_in("viewer")).aclose()
    back_up(stamped_url, tmp_path / "backup")
    restore(empty_database, tmp_path / "backup")
    connection = connect(empty_database)
    assert connection.execute(text("SELECT count(*) FROM web_session")).scalar_one() == 0
    assert connection.execute(text("SELECT count(*) FROM person")).scalar_one() == 1
    connection.close()


async def test_jobs_that_ran_run_again_once(
    system: System, stamped_url: str, empty_database: str, tmp_path: Path
) -> None:
    await system.connect()
    await share_one(system)
    _run(
        stamped_url,
        "INSERT INTO procrastinate_workers DEFAULT VALUES",
        "UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT max(id) FROM procrastinate_workers)",
        "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, status) VALUES"
        " ('default', 'a', 'one', 'doing'), ('default', 'a', 'one', 'todo'),"
        " ('default', 'b', 'two', 'doing'), ('default', 'b', 'two', 'doing')",
    )
    back_up(stamped_url, tmp_path / "backup")
    assert restore(empty_database, tmp_path / "backup").jobs == 2
    connection = connect(empty_database)
    jobs = [
        tuple(row)
        for row in connection.execute(
            text("SELECT task_name, status::text, worker_id FROM procrastinate_jobs ORDER BY id")
        )
    ]
    workers = connection.execute(text("SELECT count(*) FROM procrastinate_workers")).scalar_one()
    connection.close()
    assert (jobs, workers) == ([("tickets.drain_outbox", "todo", None), ("a", "todo", None), ("b", "todo", None)], 0)


def test_a_backup_of_an_earlier_version_is_migrated(empty_database: str, tmp_path: Path) -> None:
    """The database of the earlier version is made where the restore goes next."""
    connection = connect(empty_database)
    with connection.begin():
        command.upgrade(migrations.alembic_config(connection), "0014")
        connection.exec_driver_sql(
            "INSERT INTO person VALUES (gen_random_uuid(), 't', 'o', 'Lee', 'lee@contoso.example', now());"
            "INSERT INTO web_session (id, token_hash, person_id, roles, created_at, expires_at, sid)"
            " SELECT gen_random_uuid(), 'h', id, '[]', now(), now(), '' FROM person"
        )
    begin_snapshot(connection)
    shapes = [table for table in table_shapes(connection) if table.name != "alembic_version"]
    assert write_tables(connection, tmp_path / "backup", shapes).revision == "0014"
    connection.rollback()
    with connection.begin():
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    connection.close()
    restore(empty_database, tmp_path / "backup")
    after = connect(empty_database)
    assert migrations.current_revision(after) == migrations.expected_revision()
    # A column of a later migration, filled for a row of the backup.
    assert after.execute(text("SELECT role_claims FROM web_session")).scalar_one() == "sent"
    after.close()


def test_a_database_that_is_not_empty_is_refused(stamped_url: str, tmp_path: Path) -> None:
    back_up(stamped_url, tmp_path / "backup")
    with pytest.raises(BackupProblem, match="not empty"):
        restore(stamped_url, tmp_path / "backup")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"revision": "9999"}, "made by a newer version", id="revision"),
        pytest.param({}, "does not know: strange", id="table"),
    ],
)
def test_a_backup_that_is_not_understood_leaves_the_database_empty(
    empty_database: str, tmp_path: Path, changes: dict[str, str], sentence: str
) -> None:
    with new_backup(tmp_path / "backup") as writer:
        writer.add("strange", ("id",), [b"1\n"])
        told = {"revision": migrations.expected_revision() or "", "version": "", "made_at": "", **changes}
        writer.finish(Manifest(tables=tuple(writer.tables), sequences={}, **told))  # type: ignore[arg-type]
    with pytest.raises(BackupProblem, match=sentence):
        restore(empty_database, tmp_path / "backup")
    assert _is_empty(empty_database)


def test_a_restore_that_dies_leaves_the_database_empty(
    stamped_url: str, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(stamped_url, tmp_path / "backup")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(restore_module, "take_back_running_jobs", die)
    with pytest.raises(KeyboardInterrupt):
        restore(empty_database, tmp_path / "backup")
    assert _is_empty(empty_database)
    monkeypatch.undo()
    restore(empty_database, tmp_path / "backup")


def test_rows_that_refer_to_none_are_refused(database_url: str, empty_database: str, tmp_path: Path) -> None:
    with new_backup(tmp_path / "backup") as writer:
        writer.add("home_layout", ("person_id", "cards"), [f"{uuid4()}\t[]\n".encode()])
        revision = migrations.expected_revision() or ""
        writer.finish(Manifest(revision, "", "", tuple(writer.tables), {}))
    with pytest.raises(BackupProblem, match="home_layout could not be filled: insert or update on table"):
        restore(empty_database, tmp_path / "backup")
    assert _is_empty(empty_database)
