"""Tells what is wrong with the database from the error that it, the driver or the pool raised. Logs and shows nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

import psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.core.errors import AppError
from app.core.messages import T

# What the database, its driver and the pool raise: for work that goes on without the database.
DATABASE_ERRORS: tuple[type[Exception], ...] = (SQLAlchemyError, psycopg.Error)


class DatabaseTrouble(StrEnum):
    """What is wrong: it is not there, it is busy, it is full, or its tables are not those of this version."""

    AWAY = "away"
    BUSY = "busy"
    FULL = "full"
    SCHEMA = "schema"


# https://www.postgresql.org/docs/current/errcodes-appendix.html; the longest beginning that fits counts.
BY_STATE = {
    "08": DatabaseTrouble.AWAY,  # Connection exceptions.
    "25006": DatabaseTrouble.AWAY,  # Read-only: a standby, or one that has not been promoted yet.
    "25P03": DatabaseTrouble.AWAY,  # Our transaction was idle for too long.
    "25P04": DatabaseTrouble.BUSY,  # It took too long.
    "28": DatabaseTrouble.AWAY,  # Our account is not accepted.
    "3D000": DatabaseTrouble.AWAY,  # No such database.
    "40": DatabaseTrouble.BUSY,  # Deadlock, serialization.
    "42703": DatabaseTrouble.SCHEMA,  # No such column.
    "42883": DatabaseTrouble.SCHEMA,  # No such function.
    "42P01": DatabaseTrouble.SCHEMA,  # No such table.
    "53": DatabaseTrouble.FULL,  # Disk, memory.
    "53300": DatabaseTrouble.BUSY,  # Too many connections.
    "55": DatabaseTrouble.BUSY,  # A lock is not available.
    "57": DatabaseTrouble.AWAY,  # An operator stops it, or it starts.
    "57014": DatabaseTrouble.BUSY,  # A statement or the wait for a lock took too long.
    "58": DatabaseTrouble.FULL,  # Its own files cannot be read or written.
}
LONGEST_CAUSE = 200
# A host that is not found is left out: of a mistyped address it may be a piece of the password.
NO_HOST = re.compile(r"failed to resolve host|could not translate host name", re.IGNORECASE)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was made from. Not what was being handled when it came: that may be another matter."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        original = current.orig if isinstance(current, DBAPIError) else None
        current = original or current.__cause__


def trouble_of(error: BaseException) -> DatabaseTrouble | None:
    """What is wrong with the database; None when the error is of another kind, such as a statement of ours that is wrong."""
    for one in _chain(error):
        if isinstance(one, PoolTimeout):
            return DatabaseTrouble.BUSY
        if isinstance(one, psycopg.Error):
            state = one.sqlstate or ""
            found = max((begin for begin in BY_STATE if state.startswith(begin)), key=len, default=None)
            if found is not None:
                return BY_STATE[found]
            # The driver's own errors have no state: refused, silent, closed.
            is_connection = isinstance(one, psycopg.OperationalError | psycopg.InterfaceError)
            return DatabaseTrouble.AWAY if is_connection and not state else None
        if isinstance(one, DBAPIError) and one.connection_invalidated:
            return DatabaseTrouble.AWAY
    return DatabaseTrouble.AWAY if isinstance(error, OperationalError | InterfaceError) else None


def passes(error: BaseException) -> bool:
    """Whether the same work will succeed once the database is well again."""
    return trouble_of(error) not in (None, DatabaseTrouble.SCHEMA)


def stores_nothing(error: BaseException) -> bool:
    """Whether the database answers and takes no changes: it is full, or it is one to be read from alone."""
    is_read_only = any(isinstance(one, psycopg.errors.ReadOnlySqlTransaction) for one in _chain(error))
    return is_read_only or trouble_of(error) is DatabaseTrouble.FULL


def cause_of(error: BaseException) -> str:
    """The server's or the driver's own reason on one line, without the statement; for logs and operators."""
    errors = list(_chain(error))
    # The deepest one of the driver: what is above it only says that the database failed.
    reasons = [one for one in errors if isinstance(one, psycopg.Error | OSError)] or errors[:1]
    text = str(reasons[-1]).strip()
    if NO_HOST.search(text):
        return "the host name in DATABASE_URL is not found"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else type(reasons[-1]).__name__)[:LONGEST_CAUSE]


class NoDatabase(AppError):
    """The database cannot be reached, or cannot be worked with: the sentence for the command line."""

    status = 503
    default = T("The database does not answer.")


def no_database(error: BaseException) -> NoDatabase:
    """The error for an operator, with its cause and what to check."""
    cause = cause_of(error).rstrip(".")
    match trouble_of(error):
        case DatabaseTrouble.AWAY:
            return NoDatabase(
                T(
                    "The database does not answer: %(cause)s. Check that PostgreSQL runs and that DATABASE_URL is right; in "
                    "it, characters such as @ : / # %% of a name or password are percent-encoded (@ is written %%40).",
                    cause=cause,
                )
            )
        case DatabaseTrouble.BUSY:
            return NoDatabase(T("The database is too busy: %(cause)s. Try again in a moment.", cause=cause))
        case DatabaseTrouble.FULL:
            return NoDatabase(T("The database cannot store anything: %(cause)s. Give it space.", cause=cause))
        case DatabaseTrouble.SCHEMA:
            return NoDatabase(
                T(
                    "The tables are not those of this version: %(cause)s. Stop what uses them and run: python -m app migrate",
                    cause=cause,
                )
            )
        case None:
            return NoDatabase(T("The database refused a statement: %(cause)s.", cause=cause))
