"""An outage is told in one line, and an error is told once."""

from __future__ import annotations

import logging

import psycopg
from procrastinate.exceptions import ConnectorException
from sqlalchemy.exc import OperationalError

from app.core.log_filters import ShortErrors, mark_as_logged


def record_of(error: BaseException) -> logging.LogRecord:
    return logging.LogRecord(
        "any", logging.ERROR, "x.py", 1, "Exception %s\n", ("closing",), (type(error), error, None)
    )


def test_an_outage_is_one_line_with_its_cause() -> None:
    line = record_of(OperationalError("SELECT 1", None, psycopg.OperationalError("server closed\nthe connection")))
    assert ShortErrors().filter(line)
    assert (line.getMessage(), line.exc_info) == ("Exception closing: server closed", None)


def test_the_queues_words_without_a_cause_are_left_out() -> None:
    error = psycopg.OperationalError("connection refused")
    line = logging.LogRecord(
        "any", logging.ERROR, "x.py", 1, "listener error: %r", (ConnectorException(),), (type(error), error, None)
    )
    assert ShortErrors().filter(line)
    assert line.getMessage() == "listener error: connection refused"


def test_any_other_error_keeps_its_traceback_and_is_written_once() -> None:
    error = LookupError("a bug of ours")
    assert ShortErrors().filter(record_of(error))
    assert record_of(error).exc_info is not None
    mark_as_logged(error)
    assert not ShortErrors().filter(record_of(error))


def test_a_bug_met_while_an_outage_is_handled_stays_a_bug() -> None:
    try:
        try:
            raise psycopg.OperationalError("server closed")
        except psycopg.OperationalError:
            raise LookupError("a bug of ours")  # noqa: B904 - this is what it is about.
    except LookupError as error:
        line = record_of(error)
    assert ShortErrors().filter(line)
    assert line.exc_info is not None
