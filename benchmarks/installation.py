"""The product as its operators run it: durable PostgreSQL, both sandboxes, web and worker processes. Measures nothing.

Everything is on free loopback ports and in a temporary folder, and ends with the block. One database is prepared once:
migrated, with the sandbox's Secure Score, connected through the pages, provisioned by a worker. Each measurement gets a copy.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import httpx
import psutil
import psycopg
from psycopg import sql

from app.embedded_postgres import running_postgres
from benchmarks.secure_score import payloads
from benchmarks.stand_in import ROOT, SandboxProcess, running_process
from sandbox.demo_secrets import generate_secrets
from tests.factories.database import with_database
from tests.factories.leaving import leads_to
from tests.factories.microsoft import MANAGER
from tests.factories.servers import free_port
from tests.factories.servicenow import CONTEXT, INTEGRATION_USER, consent
from tests.factories.signing_in import sign_in

HOST = "127.0.0.1"
START_SECONDS = 120.0
IDLE_SECONDS = 120.0
# Jobs that a worker would run now. Those that wait for their time, and those that failed, are none of them.
DUE = """
SELECT count(*) FROM procrastinate_jobs
WHERE status = 'doing' OR status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now() + interval '2 seconds')
"""


@dataclass(frozen=True)
class Server:
    """A process of the product, or the bare page, that answers HTTP."""

    port: int
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


@dataclass
class Installation:
    """What all measurements share. `cookie` is that of a signed-in Security Administrator, known to each copy."""

    server: str
    folder: Path
    servicenow: SandboxProcess
    public_url: str
    environment: dict[str, str]
    cookie: str = ""
    with_actions: str = ""
    _counted: int = field(default=0)

    @property
    def headers(self) -> dict[str, str]:
        """What a signed-in browser sends."""
        return {
            "Cookie": self.cookie, "User-Agent": "benchmark", "Accept": "text/html", "Accept-Language": "en-US",
            "Accept-Encoding": "identity",
        }  # fmt: skip

    def log(self, name: str) -> Path:
        self._counted += 1
        return self.folder / f"{self._counted}-{name}.log"

    def command(self, database_url: str, *words: str) -> None:
        """Run one command of the product. Raises RuntimeError with the end of what it said when it fails."""
        log = self.log(words[0])
        with log.open("wb") as file:
            ran = subprocess.run(  # noqa: S603 - our own program.
                [sys.executable, "-m", "app", *words], cwd=ROOT, env=self.environment | {"DATABASE_URL": database_url},
                stdout=file, stderr=file, check=False, timeout=START_SECONDS,
            )  # fmt: skip
        if ran.returncode:
            raise RuntimeError(f"{' '.join(words)} failed: {_end_of(log)}")

    @contextmanager
    def copy(self, template: str = "prepared") -> Iterator[str]:
        """The address of a copy of a prepared database; it is dropped at the end of the block."""
        name = f"copy_{uuid4().hex[:8]}"
        self.execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        try:
            yield with_database(self.server, name)
        finally:
            self.execute("DROP DATABASE {} WITH (FORCE)", name)

    def execute(self, statement: Any, *names: str) -> None:
        """Run a statement on the server, with names of databases in it."""
        with psycopg.connect(self.server, autocommit=True) as rows:
            rows.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    @contextmanager
    def web(self, database_url: str, port: int = 0) -> Iterator[Server]:
        """A web process over this database that has answered once."""
        port = port or free_port()
        environment = self.environment | {"DATABASE_URL": database_url, "PORT": str(port)}
        with running(self.log("web"), environment, "app", "web") as started:
            server = Server(port, started)
            wait_until(lambda: _answers(f"{server.url}/health/ready"), "the web process answers")
            yield server

    @contextmanager
    def worker(self, database_url: str) -> Iterator[psutil.Process]:
        """A worker process over this database that has nothing left to do."""
        environment = self.environment | {"DATABASE_URL": database_url}
        log = self.log("worker")
        with running(log, environment, "app", "worker") as started:
            wait_until(lambda: "worker.started" in log.read_text(errors="replace"), "the worker starts")
            idle(database_url)
            yield started


@contextmanager
def running(log: Path, environment: dict[str, str], *module: str) -> Iterator[psutil.Process]:
    """`python -m MODULE …` until the block ends; what it says goes to the log."""
    with log.open("wb") as file:
        command = [sys.executable, "-m", *module]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file) as process:  # noqa: S603
            try:
                yield psutil.Process(process.pid)
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()


def wait_until(true: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Raises RuntimeError when it is not true within this time."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise RuntimeError(f"{what}: not within {seconds:.0f} seconds")
        time.sleep(0.05)


def idle(database_url: str) -> None:
    """Wait until no job is due."""
    with psycopg.connect(database_url, autocommit=True) as rows:
        wait_until(lambda: count(rows, DUE) == 0, "the worker has nothing left to do", IDLE_SECONDS)


def count(rows: psycopg.Connection[Any], query: Any) -> int:
    found = rows.execute(query).fetchone()
    return int(found[0]) if found else 0


def memory_mb(process: psutil.Process) -> float:
    """MiB of the process: its share of what is shared (PSS) where the system tells it, else what is resident."""
    told = process.memory_full_info()
    return float(getattr(told, "pss", told.rss)) / 2**20


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, verify=CONTEXT).status_code < 500
    except httpx.TransportError:
        return False


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-800:]


@contextmanager
def installed() -> Iterator[Installation]:
    """Start what all measurements share, and prepare the database that they copy."""
    port, microsoft_port = free_port(), free_port()
    public_url, microsoft = f"http://{HOST}:{port}", f"http://{HOST}:{microsoft_port}"
    keys = generate_secrets()
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    with (
        TemporaryDirectory() as name,
        running_postgres(Path(name) / "postgres") as server,
        running_process(public_url) as servicenow,
        running(
            Path(name) / "microsoft.log",
            outside | keys | {
                "SANDBOX_DIR": f"{name}/sandbox", "SANDBOX_MICROSOFT_PORT": str(microsoft_port), "PUBLIC_URL": public_url,
            },
            "sandbox", "serve", "microsoft",
        ),
    ):  # fmt: skip
        wait_until(lambda: _answers(f"{microsoft}/"), "the sandbox of Entra ID answers")
        environment = outside | {
            **{name: keys[name] for name in keys if not name.startswith("SANDBOX")},
            "ENTRA_AUTHORITY": microsoft, "GRAPH_URL": microsoft, "PUBLIC_URL": public_url, "HOST": HOST,
            "SERVICENOW_ALLOWED_ORIGINS": servicenow.url, "VAR_DIR": name, "NO_PROXY": HOST, "LOG_LEVEL": "INFO",
            "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        made = Installation(server, Path(name), servicenow, public_url, environment)
        _prepare(made, port)
        yield made


def _prepare(made: Installation, port: int) -> None:
    made.execute("CREATE DATABASE {}", "prepared")
    url = with_database(made.server, "prepared")
    made.command(url, "migrate")
    made.command(url, "sync")
    with made.web(url, port):
        asyncio.run(_sign_in_and_connect(made))
    with made.worker(url):
        pass


async def _sign_in_and_connect(made: Installation) -> None:
    async with httpx.AsyncClient(base_url=made.public_url, timeout=60, verify=CONTEXT) as browser:
        await sign_in(browser, MANAGER)
        settings = made.servicenow.settings
        form = {
            "instance": made.servicenow.url, "client_id": settings.client_id, "client_secret": settings.client_secret,
        }  # fmt: skip
        at_servicenow = leads_to(await browser.post("/servicenow/connect", data=form))
        with made.servicenow.browser() as agent:
            back = consent(agent, at_servicenow, INTEGRATION_USER, settings.password).headers["location"]
        answer = await browser.get(back)
        if answer.status_code >= 400:
            raise RuntimeError(f"connecting was answered {answer.status_code}")
        made.cookie = "; ".join(f"{one.name}={one.value}" for one in browser.cookies.jar if one.name == "session")


def import_actions(made: Installation, count_of_actions: int, days: int) -> str:
    """Make another template in which so many improvement actions are imported; returns its name."""
    if not made.with_actions:
        made.execute("CREATE DATABASE {} TEMPLATE {}", "with_actions", "prepared")
        url = with_database(made.server, "with_actions")
        with psycopg.connect(url, autocommit=True) as rows:
            # The made-up tenant's own actions would stand among them.
            rows.execute("TRUNCATE score_snapshot, improvement_action CASCADE")
        scores, profiles = made.folder / "scores.json", made.folder / "profiles.json"
        texts = payloads(made.environment["ENTRA_TENANT_ID"], count_of_actions, count_of_actions, days)
        for path, text in zip((scores, profiles), texts, strict=True):
            path.write_text(text, encoding="utf-8")
        made.command(url, "import", "--scores", str(scores), "--profiles", str(profiles))
        made.with_actions = "with_actions"
    return made.with_actions


def posts(servicenow: SandboxProcess) -> list[dict[str, Any]]:
    """The sandbox's journal of creates, oldest first, with the moment of each answer; the newest 5,000 requests."""
    found: list[dict[str, Any]] = servicenow.tell("journal", method="POST", text="/table/")
    return found


__all__ = [
    "Installation", "Server", "count", "idle", "import_actions", "installed", "memory_mb", "posts", "running",
    "wait_until",
]  # fmt: skip
