"""What to tell an operator when a command cannot use the database, in place of a traceback. Calls nothing."""

from __future__ import annotations

import psycopg
import sqlalchemy.exc

from app.core.messages import Message, T

UNREACHABLE = T(
    "The database cannot be used: %(why)s. Check DATABASE_URL: host, port, name, account and password. In user name and "
    "password, write @ as %%40, : as %%3A, / as %%2F, ? as %%3F, # as %%23 and %% as %%25."
)


def database_trouble(error: BaseException) -> Message | None:
    """A sentence for an error of connecting; None for any other error, which is a fault of ours."""
    original = error.orig if isinstance(error, sqlalchemy.exc.OperationalError) else error
    if not isinstance(original, psycopg.OperationalError):
        return None
    # libpq names host, port, account and database, and no password: the last line says what came of the last attempt.
    lines = [line.strip() for line in str(original).splitlines() if line.strip()]
    said = lines[0].removeprefix("connection failed: ") if lines else type(original).__name__
    return Message(UNREACHABLE.message, {"why": said.rstrip(".")[:300]})
