"""A server or tables of another version are refused with one sentence, before anything is served or changed."""

from __future__ import annotations

import psycopg
import pytest

from app.core import schema_guard
from app.core.database import Database, make_engine
from app.core.database_trouble import NoDatabase
from app.core.migrations import expected_revision, known_revisions
from app.core.schema_guard import UnfitDatabase, require_fit_database, revision_problem, version_problem
from tests.factories.database import with_database
from tests.factories.outages import marked_as, through
from tests.factories.servers import free_port

MIGRATE = "python -m app migrate"
OLDEST = min(known_revisions())


async def test_the_tables_of_this_version_are_accepted(database: Database) -> None:
    await require_fit_database(database)


@pytest.mark.parametrize(
    ("revision", "sentence"), [(OLDEST, "older version"), ("9999", "newer version"), (None, "no tables")]
)
async def test_tables_of_another_version_are_refused_with_what_to_do(
    database: Database, database_url: str, revision: str | None, sentence: str
) -> None:
    with marked_as(database_url, revision), pytest.raises(UnfitDatabase, match=sentence) as refused:
        await require_fit_database(database)
    assert MIGRATE in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_a_database_without_any_table_is_refused(postgres: str) -> None:
    database = Database(make_engine(with_database(postgres, "template1")))
    with pytest.raises(UnfitDatabase, match=r"no tables .* Run: python -m app migrate"):
        await require_fit_database(database)
    await database.close()


def test_only_the_revision_that_is_expected_is_none_of_the_three() -> None:
    known = {"0001", "0002"}
    assert revision_problem("0002", "0002", known) is None
    assert all(revision_problem(found, "0002", known) for found in (None, "0001", "0003"))


@pytest.mark.parametrize(("number", "refused"), [(150018, True), (159999, True), (160000, False), (180001, False)])
def test_postgresql_below_16_is_refused(number: int, refused: bool) -> None:
    problem = version_problem(number)
    assert (problem is not None) is refused
    assert not refused or "PostgreSQL 15, and this product needs PostgreSQL 16 or newer" in str(problem)


async def test_an_old_server_is_refused_by_every_process_and_by_migrate_which_changes_nothing(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_guard, "LEAST_POSTGRES", 99)
    with marked_as(database_url, OLDEST):
        with pytest.raises(UnfitDatabase, match="needs PostgreSQL 99 or newer"):
            await require_fit_database(database)
        with pytest.raises(UnfitDatabase, match="needs PostgreSQL 99 or newer"):
            schema_guard.migrate(database_url)
        with psycopg.connect(database_url) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (OLDEST,)


def test_migrate_leaves_tables_of_a_newer_version_alone(database_url: str) -> None:
    with marked_as(database_url, "9999"), pytest.raises(UnfitDatabase, match="newer version"):
        schema_guard.migrate(database_url)


def test_migrate_says_in_one_sentence_that_nothing_answers() -> None:
    with pytest.raises(NoDatabase, match=r"Connection refused.*percent-encoded \(@ is written %40\)") as refused:
        schema_guard.migrate(through("postgresql://x/y", free_port()))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("what", ["nothing", "wrong tables"])
async def test_readiness_says_what_is_wrong(database: Database, database_url: str, what: str) -> None:
    expected = expected_revision() if what == "nothing" else "9999"
    problem = await schema_guard.readiness_problem(database, expected)
    assert (problem == "") is (what == "nothing")
