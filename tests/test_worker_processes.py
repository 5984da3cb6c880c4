"""Web and worker as processes: they answer probes, report themselves with their keys, and take that back when they stop."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.core.database import Database
from app.core.process_reports import RunningProcess, running_processes
from app.core.vault import Vault
from tests.conventions.files import ROOT
from tests.factories.connecting import database_url
from tests.factories.servers import free_port
from tests.factories.system import PUBLIC_URL, System

pytestmark = pytest.mark.thorough
SOME_ID = "badeb8ad-3543-4fe3-9d3f-1b8f4b7c1a11"
KEY = Vault.new_key()


@contextmanager
def process(command: str, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as written:
        started = subprocess.Popen(
            [sys.executable, "-m", "app", command], cwd=ROOT, env=environment, stdout=written, stderr=written
        )
    try:
        yield started
        started.terminate()
        assert started.wait(30) == 0, log.read_text()
    finally:
        started.kill()
        started.wait()


async def answered(port: int, path: str) -> int:
    """The status at this port, as soon as it answers."""
    async with httpx.AsyncClient() as client:
        while True:
            try:
                return (await client.get(f"http://127.0.0.1:{port}{path}")).status_code
            except httpx.TransportError:
                await asyncio.sleep(0.1)


async def running(database: Database) -> list[RunningProcess]:
    async with database.transaction() as session:
        return await running_processes(session)


async def test_web_and_worker_live_and_report_themselves(system: System, tmp_path: Path) -> None:
    web, worker = free_port(), free_port()
    environment = {
        **os.environ, "DATABASE_URL": database_url(system).replace("postgresql+psycopg", "postgresql"),
        "PUBLIC_URL": PUBLIC_URL, "VAULT_KEYS": KEY, "ENTRA_TENANT_ID": SOME_ID, "ENTRA_CLIENT_ID": SOME_ID,
        "ENTRA_CLIENT_SECRET": "s", "PORT": str(web), "WORKER_PORT": str(worker),
    }  # fmt: skip
    async with asyncio.timeout(60):
        with process("web", environment, tmp_path / "web"), process("worker", environment, tmp_path / "worker"):
            assert await answered(worker, "/health/live") == 200
            assert await answered(web, "/health/live") == 200
            while len(found := await running(system.resources.database)) < 2:  # noqa: ASYNC110 - another process writes.
                await asyncio.sleep(0.1)
            assert {row.kind: tuple(row.keys) for row in found} == dict.fromkeys(
                ("web", "worker"), Vault([KEY]).fingerprints
            )
        assert await running(system.resources.database) == []
