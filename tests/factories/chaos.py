"""Real worker processes over a real database and a troubled ServiceNow, for runs that prove what survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.bootstrap import open_resources
from app.core.vault import Vault
from app.main import create_app
from app.resources import Resources
from app.settings import Settings
from tests.factories.microsoft import SandboxMicrosoft
from tests.factories.servicenow import SandboxServiceNow
from tests.factories.system import PUBLIC_URL, System

ROOT = Path(__file__).resolve().parents[2]
WORKER = "tests.journeys.fast_worker"


@dataclass
class Workers:
    """Worker processes; a killed one is replaced, as a process supervisor would do."""

    environment: dict[str, str]
    log: Path
    wanted: int = 2
    module: str = WORKER
    kills: int = 0
    restarts: int = 0
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def keep_up(self) -> None:
        """Start processes until the wanted number runs."""
        ended = [process for process in self.running if process.poll() is not None]
        self.restarts += len(ended)
        self.running = [process for process in self.running if process.poll() is None]
        while len(self.running) < self.wanted:
            with self.log.open("ab") as log:
                self.running.append(
                    subprocess.Popen(
                        [sys.executable, "-m", *self.module.split()],
                        cwd=ROOT,
                        env=self.environment,
                        stdout=log,
                        stderr=log,
                    )
                )

    def kill(self, which: int) -> None:
        """SIGKILL one, while it works."""
        process = self.running[which % len(self.running)]
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        self.kills += 1
        self.keep_up()

    def stop(self) -> None:
        """Stop all processes and check that they end."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def running_workers(
    environment: dict[str, str], log: Path, count: int = 2, *, module: str = WORKER
) -> Iterator[Workers]:
    """Worker processes that run until the block ends."""
    workers = Workers(environment, log, count, module)
    workers.keep_up()
    try:
        yield workers
    finally:
        workers.stop()


@asynccontextmanager
async def assembled(
    database_url: str, microsoft: SandboxMicrosoft, servicenow: SandboxServiceNow
) -> AsyncIterator[tuple[System, dict[str, str]]]:
    """The product assembled as its processes do it, and the environment for further processes."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "public_url": PUBLIC_URL,
        "entra_tenant_id": microsoft.settings.tenant_id,
        "entra_client_id": microsoft.settings.client_id,
        "entra_client_secret": microsoft.settings.client_secret,
        "entra_authority": microsoft.url,
        "graph_url": microsoft.url,
        "servicenow_allowed_origins": servicenow.url,
        "vault_keys": Vault.new_key(),
        "log_level": "WARNING",
    }
    settings = Settings(_env_file=None, **values)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))},
        **{name.upper(): str(value) for name, value in values.items()},
    }
    async with open_resources(settings, database_url) as resources:
        yield System(resources, create_app(resources), microsoft, servicenow), environment


async def tickets_by_delivery(resources: Resources) -> dict[str, int]:
    """The number of tickets in each delivery state."""
    async with resources.database.transaction() as session:
        rows = await session.execute(text("SELECT delivery, count(*) FROM ticket GROUP BY delivery"))
        return {row[0]: row[1] for row in rows}


__all__ = ["Workers", "assembled", "running_workers", "tickets_by_delivery"]
