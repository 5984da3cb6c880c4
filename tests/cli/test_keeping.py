"""The commands of keeping, as an operator types them: what they say, and their exit status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from app.__main__ import main
from app.core import clock
from app.core.clock import SetClock
from app.core.database import Database, make_engine
from app.core.migrations import expected_revision
from app.core.vault import Vault
from app.settings import Settings
from tests.factories.audit import write
from tests.factories.outages import marked_as

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
PERSON = "0f8fad5b-d9cb-469f-a165-70867728950e"
ADD_PERSON = (
    "INSERT INTO person (id, tid, oid, display_name, email, last_signed_in_at)"
    " VALUES (%s, 't', 'o', 'Lee', 'lee@contoso.example', now())"
)
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command on a database; gives its exit status and what it said."""
    monkeypatch.chdir(tmp_path)
    given = {
        "ENTRA_TENANT_ID": "d3d9b0a6-9a4f-4c7c-8a53-3b1f6f6e0001",
        "ENTRA_CLIENT_ID": "d3d9b0a6-9a4f-4c7c-8a53-3b1f6f6e0002",
        "ENTRA_CLIENT_SECRET": "change-me",
        "VAULT_KEYS": Vault.new_key(),
    }
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    def run(database_url: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setenv("DATABASE_URL", database_url)
        status = main(list(arguments))
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return run


def _execute(database_url: str, statement: str, *values: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url) as connection:
        cursor = connection.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


async def _write_entry(database_url: str) -> None:
    database = Database(make_engine(database_url))
    await write(database, 1)
    await database.close()


def test_a_backup_is_made_restored_and_verified(database_url: str, empty_database: str, on: Command) -> None:
    _execute(database_url, ADD_PERSON, PERSON)
    with marked_as(database_url, expected_revision()):
        status, said = on(database_url, "backup", "saved")
        assert status == 0
        assert "The backup is in saved: 0 tickets, 1 rows in" in said
        status, said = on(database_url, "backup", "saved")
        assert (status, said) == (1, "saved is there already. Name a file that is not.\n")
        status, said = on(database_url, "restore", "saved")
        assert (status, "not empty" in said) == (1, True)
    status, said = on(empty_database, "restore", "saved")
    assert status == 0
    assert "the old system must be stopped" in said
    assert _execute(empty_database, "SELECT display_name FROM person") == [("Lee",)]
    status, said = on(empty_database, "verify", "saved")
    assert (status, said) == (0, "The database is whole. So is the backup.\n")
    _execute(empty_database, "DELETE FROM person")
    status, said = on(empty_database, "verify", "saved")
    assert (status, said) == (1, "person holds 0 rows, and the backup 1.\n")
    assert on(empty_database, "verify")[0] == 0


def test_a_recount_says_how_much_was_wrong(database_url: str, on: Command) -> None:
    _execute(
        database_url,
        "INSERT INTO ticket_tally VALUES (gen_random_uuid(), 'change', 'shared', '1', 'New', true, 5)",
    )
    with marked_as(database_url, expected_revision()):
        status, said = on(database_url, "verify")
        assert status == 1
        assert said.startswith(
            "ticket_tally says 5 and there are 0: change, shared, state 1 (New), shown by ServiceNow."
        )
        for count in (1, 0):
            assert on(database_url, "recount") == (
                0,
                f"Numbers of ticket_tally that were wrong and are corrected: {count}.\n"
                "Rows of ticket_search that were wrong and are corrected: 0.\n"
                "Rows of ticket_action that were wrong and are corrected: 0.\n",
            )
        assert on(database_url, "verify") == (0, "The database is whole.\n")


def test_a_person_is_erased_only_when_it_is_confirmed(database_url: str, on: Command, tmp_path: Path) -> None:
    _execute(database_url, ADD_PERSON, PERSON)
    status, said = on(database_url, "erase", "lee@contoso.example", "--dry-run")
    assert (status, "person: 1 rows" in said, "Nothing was changed" in said) == (0, True, True)
    status, said = on(database_url, "erase", "lee@contoso.example")
    assert (status, "add --yes" in said) == (2, True)
    assert _execute(database_url, "SELECT display_name FROM person") == [("Lee",)]
    status, said = on(database_url, "erase", "lee@contoso.example", "--yes")
    assert (status, "Out of reach" in said, "ServiceNow" in said) == (0, True, True)
    assert len(list(tmp_path.glob(f"person-{PERSON}-*.json"))) == 1
    assert _execute(database_url, "SELECT display_name, email FROM person") == [("Removed person", "")]
    status, said = on(database_url, "erase", PERSON, "--yes", "--export", "again.json")
    assert (status, "has been removed before" in said) == (0, True)
    status, said = on(database_url, "erase", "lee@contoso.example", "--yes")
    assert (status, said.strip()) == (1, "Nothing is held about a person with this id, e-mail address or object id.")


def test_several_people_are_listed_and_none_is_erased(database_url: str, on: Command) -> None:
    _execute(database_url, ADD_PERSON, PERSON)
    _execute(database_url, ADD_PERSON.replace("'t', 'o'", "'t', 'p'"), PERSON.replace("0f", "1f"))
    status, said = on(database_url, "erase", "lee@contoso.example", "--yes")
    assert (status, PERSON in said) == (1, True)
    assert _execute(database_url, "SELECT DISTINCT display_name FROM person") == [("Lee",)]


def test_retention_is_counted_and_done(database_url: str, on: Command) -> None:
    before = clock.use(SetClock(datetime(2020, 1, 1, tzinfo=UTC)))
    try:
        asyncio.run(_write_entry(database_url))
    finally:
        clock.use(before)
    status, said = on(database_url, "retention", "--dry-run")
    assert (status, "audit entries: 1" in said, "Nothing was deleted" in said) == (0, True, True)
    status, said = on(database_url, "retention")
    assert (status, "audit entries: 1" in said) == (0, True)
    assert _execute(database_url, "SELECT count(*) FROM audit_entry") == [(0,)]
