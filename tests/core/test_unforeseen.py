"""What is unforeseen is not tried again for ever; trouble of the database and what was planned for is no surprise."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.core.errors import RetryLater
from app.core.unforeseen import is_unforeseen


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LookupError("odd"), True),
        (RecursionError(), True),
        (MemoryError(), True),
        (DataError("INSERT", {}, psycopg.errors.NumericValueOutOfRange()), True),
        # Beyond what an index can hold: refused each time, although the driver calls it operational.
        (OperationalError("INSERT", {}, psycopg.errors.ProgramLimitExceeded()), True),
        (ProgrammingError("SELECT", {}, psycopg.errors.UndefinedTable()), True),
        (OperationalError("SELECT", {}, psycopg.errors.ConnectionTimeout()), False),
        (psycopg.errors.AdminShutdown(), False),
        (DBAPIError("SELECT", {}, psycopg.errors.ReadOnlySqlTransaction()), False),
        (PoolTimeout(), False),
        (ConnectionResetError(), False),
        (RetryLater(60), False),
        (asyncio.CancelledError(), False),
    ],
)
def test_what_is_unforeseen(error: BaseException, expected: bool) -> None:
    assert is_unforeseen(error) is expected
