"""The error says what is wrong with the database; a mistake of ours is none of it."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.core.database_trouble import DatabaseTrouble, cause_of, no_database, passes, stores_nothing, trouble_of

AWAY, BUSY, FULL, SCHEMA = DatabaseTrouble


def test_tables_of_another_version_are_said_with_the_command_that_brings_them_up_to_date() -> None:
    said = str(no_database(errors.UndefinedTable('relation "ticket" does not exist')))
    assert said == (
        'The tables are not those of this version: relation "ticket" does not exist. '
        "Stop what uses them and run: python -m app migrate"
    )


def wrapped(error: psycopg.Error) -> DBAPIError:
    """As SQLAlchemy hands it on."""
    made = DBAPIError.instance("SELECT 1", None, error, psycopg.Error)
    assert isinstance(made, DBAPIError)
    return made


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (psycopg.OperationalError("connection refused"), AWAY),
        (psycopg.InterfaceError("the connection is closed"), AWAY),
        (errors.AdminShutdown("terminating connection"), AWAY),
        (errors.CannotConnectNow("the database system is starting up"), AWAY),
        (errors.IdleInTransactionSessionTimeout("terminating connection"), AWAY),
        (errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction"), AWAY),
        (errors.InvalidPassword("password authentication failed"), AWAY),
        (errors.TooManyConnections("sorry, too many clients already"), BUSY),
        (errors.QueryCanceled("canceling statement due to statement timeout"), BUSY),
        (errors.LockNotAvailable("canceling statement due to lock timeout"), BUSY),
        (errors.DeadlockDetected("deadlock detected"), BUSY),
        (errors.DiskFull("could not extend file"), FULL),
        (errors.OutOfMemory("out of memory"), FULL),
        (errors.UndefinedTable("no such table"), SCHEMA),
        (errors.UniqueViolation("duplicate key"), None),
        (errors.SyntaxError("syntax error"), None),
        (errors.NumericValueOutOfRange("out of range"), None),
    ],
)
def test_each_state_has_its_trouble(error: psycopg.Error, trouble: DatabaseTrouble | None) -> None:
    assert trouble_of(error) == trouble_of(wrapped(error)) == trouble
    assert passes(error) is (trouble in (AWAY, BUSY, FULL))


def test_an_exhausted_pool_is_busy_and_other_errors_are_nothing_of_the_database() -> None:
    assert trouble_of(PoolTimeout("QueuePool limit")) is BUSY
    assert trouble_of(LookupError()) is None
    assert trouble_of(ProgrammingError("SELECT", None, Exception("a mistake"))) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.DiskFull(), True),
        (errors.ReadOnlySqlTransaction(), True),
        (errors.UndefinedTable(), False),
        (errors.QueryCanceled(), False),
        (errors.AdminShutdown(), False),
        (psycopg.OperationalError("connection refused"), False),
    ],
)
def test_only_a_full_or_read_only_database_stores_nothing(error: psycopg.Error, expected: bool) -> None:
    assert stores_nothing(wrapped(error)) is expected


def test_the_cause_is_one_line_and_never_a_host_that_may_be_a_piece_of_a_password() -> None:
    assert cause_of(wrapped(psycopg.OperationalError("first\n\tsecond"))) == "first"
    mistyped = psycopg.OperationalError("failed to resolve host 'change-me@db': Name or service not known")
    assert cause_of(mistyped) == "the host name in DATABASE_URL is not found"
    assert "change-me" not in str(no_database(mistyped))
    assert len(cause_of(psycopg.OperationalError("x" * 5000))) <= 200


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (psycopg.OperationalError("connection refused"), "The database does not answer: connection refused. Check"),
        (errors.LockNotAvailable("lock timeout"), "The database is too busy: lock timeout. Try again"),
        (errors.DiskFull("no space left"), "The database cannot store anything: no space left."),
        (errors.SyntaxError("syntax error"), "The database refused a statement: syntax error."),
    ],
)
def test_each_trouble_is_one_sentence_for_an_operator(error: psycopg.Error, sentence: str) -> None:
    assert str(no_database(error)).startswith(sentence)
