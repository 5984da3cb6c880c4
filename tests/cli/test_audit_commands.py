"""`python -m app audit verify`: what is printed, and the exit status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from app.__main__ import parser
from app.core.database import Database, make_engine
from app.core.vault import Vault
from app.settings import Settings
from tests.factories.audit import tamper, write

SOME_ID = "aaaaaaaa-0000-4a6e-9c3e-5d1f0a00ffff"


def run(settings: Settings) -> int:
    options = parser().parse_args(["audit", "verify"])
    status: int = options.run(settings, options)
    return status


def prepare(url: str, work: Callable[[Database], Coroutine[Any, Any, None]]) -> None:
    async def do() -> None:
        database = Database(make_engine(url))
        await work(database)
        await database.close()

    asyncio.run(do())


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Settings:
    given = {"ENTRA_TENANT_ID": SOME_ID, "ENTRA_CLIENT_ID": SOME_ID, "ENTRA_CLIENT_SECRET": "s"}
    for name, value in (given | {"VAULT_KEYS": Vault.new_key(), "DATABASE_URL": database_url}).items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


def test_a_whole_log_is_said_to_be_whole(
    settings: Settings, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(database_url, lambda database: write(database, 3))
    assert run(settings) == 0
    said = capsys.readouterr()
    assert "Entries read: 3. Removed by retention: 0." in said.out
    assert "The audit log is whole." in said.out
    assert not said.err


def test_a_changed_entry_is_named_and_the_status_is_1(
    settings: Settings, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(database_url, lambda database: write(database, 3))
    prepare(database_url, lambda database: tamper(database, "UPDATE audit_entry SET facts = '{}' WHERE id = 2"))
    assert run(settings) == 1
    said = capsys.readouterr()
    assert said.err == "Entry 2 was changed after it was written.\n"
    assert "is whole" not in said.out
