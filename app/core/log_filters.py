"""Keeps tracebacks out of the log that tell nothing new: of an outage of the database, and of what is logged already."""

from __future__ import annotations

import logging
import re

NO_CAUSE = re.compile(r"ConnectorException\(.*?\)", re.DOTALL)
# What writes several lines for each attempt to connect; our own events say the same once.
REPEATING = ("psycopg.pool", "app.core.database_connection.ImpatientPool")


def mark_as_logged(error: BaseException) -> None:
    """The server that runs us will log this error once more; that is one traceback too many."""
    error.is_logged = True  # type: ignore[attr-defined]


class ShortErrors(logging.Filter):
    """One line, with the cause, for an error of a database that is away; SQLAlchemy and the queue would write pages of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written at all; it may be changed."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return True
        if getattr(error, "is_logged", False):
            return False
        # Not at the top: a command that asks no database need not load its libraries for the sake of its log.
        from app.core.database_trouble import cause_of, passes  # noqa: PLC0415

        if passes(error):
            record.msg, record.args = f"{_first_line(record)}: {cause_of(error)}", ()
            record.exc_info = record.exc_text = None
        return True


def _first_line(record: logging.LogRecord) -> str:
    # libpq's hints, and the queue's "Database error.", which names no cause, are on the lines below.
    return NO_CAUSE.sub("", record.getMessage()).strip().partition("\n")[0].rstrip(": ")
