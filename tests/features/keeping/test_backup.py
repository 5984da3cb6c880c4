"""A backup is of one moment, of every table, and of the version that the database has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from app.core.database_trouble import NoDatabase
from app.core.migrations import expected_revision
from app.core.table_copy import TableShape, connect, copy_out, table_shapes
from app.features.keeping.backup import back_up
from app.features.keeping.backup_file import BackupProblem, open_backup
from app.features.keeping.kept_tables import KEPT, WITHOUT_ROWS

PERSON = "INSERT INTO person VALUES (gen_random_uuid(), 't', :oid, 'Lee', 'lee@contoso.example', now())"


def _add_person(database_url: str, oid: str) -> None:
    connection = connect(database_url)
    with connection.begin():
        connection.execute(text(PERSON), {"oid": oid})
    connection.close()


def _rows(path: Path) -> dict[str, int]:
    with open_backup(path) as opened:
        return {table.name: table.rows for table in opened.manifest.tables}


def test_every_table_is_in_it(stamped_url: str, tmp_path: Path) -> None:
    report = back_up(stamped_url, tmp_path / "backup")
    assert set(_rows(tmp_path / "backup")) == set(KEPT) - set(WITHOUT_ROWS)
    assert report.left_out == ()


def test_what_is_written_meanwhile_is_not_in_it(
    stamped_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add_person(stamped_url, "before")

    def with_a_late_one(connection: Connection) -> list[TableShape]:
        _add_person(stamped_url, "late")
        return table_shapes(connection)

    monkeypatch.setattr("app.features.keeping.backup.table_shapes", with_a_late_one)
    back_up(stamped_url, tmp_path / "backup")
    assert _rows(tmp_path / "backup")["person"] == 1


def test_tables_of_others_are_left_out_and_named(empty_database: str, tmp_path: Path) -> None:
    connection = connect(empty_database)
    with connection.begin():
        connection.exec_driver_sql("CREATE TABLE theirs (id int)")
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": expected_revision()})
    connection.close()
    assert back_up(empty_database, tmp_path / "backup").left_out == ("theirs",)


def test_a_database_of_another_version_is_refused(empty_database: str, tmp_path: Path) -> None:
    with pytest.raises(BackupProblem, match="of another version"):
        back_up(empty_database, tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_not_there_is_said_with_what_to_check(tmp_path: Path) -> None:
    with pytest.raises(NoDatabase, match=r"does not answer: connection .*refused.*that DATABASE_URL is right"):
        back_up("postgresql://127.0.0.1:1/none", tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_is_not_found_is_not_named_for_it_may_be_a_piece_of_a_password(tmp_path: Path) -> None:
    with pytest.raises(NoDatabase, match="the host name in DATABASE_URL is not found") as refused:
        back_up("postgresql://user:change-me@rest-of-it.invalid/none", tmp_path / "backup")
    assert "rest-of-it" not in str(refused.value)


def test_a_connection_that_is_cut_leaves_no_file(
    stamped_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(connection: Connection, table: TableShape) -> Iterator[bytes]:
        other = connect(stamped_url)
        number = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": number})
        other.close()
        yield from copy_out(connection, table)

    monkeypatch.setattr("app.features.keeping.backup.copy_out", cut)
    with pytest.raises(BackupProblem, match=r"The database broke off: .*connection"):
        back_up(stamped_url, tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []
