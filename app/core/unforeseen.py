"""Tells what no part of the product expected from what is expected and from trouble of the database, which passes."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.core.errors import AppError

# A value exceeds what PostgreSQL can index or nest: it would be refused again, unlike the rest of OperationalError.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
LIMIT_EXCEEDED = "54"


def is_unforeseen(error: BaseException) -> bool:
    """Whether trying again alone will not help and nothing was planned for it: a fault of ours, or a poisonous value."""
    if not isinstance(error, Exception) or isinstance(error, AppError | PoolTimeout | OSError):
        return False
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return False
        is_limit = str(getattr(error.orig, "sqlstate", None) or "").startswith(LIMIT_EXCEEDED)
        return is_limit or not isinstance(error, OperationalError | InterfaceError)
    return True


def kind_of(error: BaseException) -> str:
    """The name of the error's class, which holds nothing that came from outside."""
    return type(error).__name__[:60]
