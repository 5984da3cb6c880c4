"""The product's own processes, with a database that is of another version, refuses, freezes or kills."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest

from app.core.random_tokens import new_token
from app.core.vault import Vault
from app.features.tickets.types import TicketKind
from tests.factories.connecting import with_known_key
from tests.factories.outages import backends, kill_backends, marked_as, proxied, stopped, through
from tests.factories.servers import free_port
from tests.factories.system import System
from tests.factories.tickets import records, share_one

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.thorough


def environment(system: System | None, database_url: str, **more: str) -> dict[str, str]:
    """What the processes read; without a system, its outer parts are made up."""
    microsoft = system.microsoft if system else None
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    return {
        **kept,
        "DATABASE_URL": database_url,
        "ENTRA_TENANT_ID": microsoft.settings.tenant_id if microsoft else "f9384e25-3bb6-45b6-9bcf-000000000001",
        "ENTRA_CLIENT_ID": microsoft.settings.client_id if microsoft else "f9384e25-3bb6-45b6-9bcf-000000000002",
        "ENTRA_CLIENT_SECRET": microsoft.settings.client_secret if microsoft else "a secret",
        # No process of a test asks Microsoft.
        "ENTRA_AUTHORITY": microsoft.url if microsoft else f"http://127.0.0.1:{free_port()}",
        "GRAPH_URL": microsoft.url if microsoft else f"http://127.0.0.1:{free_port()}",
        "VAULT_KEYS": Vault.new_key(),
        "PORT": str(free_port()),
        **more,
    }


@contextmanager
def process(command: str, values: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One process of the product, whose log goes to the file."""
    with log.open("wb") as written:
        started = subprocess.Popen(
            [sys.executable, "-m", "app", command], cwd=ROOT, env=dict(values), stdout=written, stderr=written
        )
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(30)


REFUSED = {
    "newer": "newer version",
    "none": "no tables of this product yet. Run: python -m app migrate",
    "refused": "Connection refused",
    "unreadable": "DATABASE_URL",
}


@pytest.mark.parametrize("command", ["web", "worker", "sync", "rotate-keys", "migrate"])
@pytest.mark.parametrize("trouble", list(REFUSED))
def test_every_command_refuses_with_one_sentence(database_url: str, command: str, trouble: str) -> None:
    if (command, trouble) == ("migrate", "none"):
        pytest.skip("this is what it is for")
    url = {"refused": through("postgresql://x/y", free_port()), "unreadable": "postgresql://u:change-me@h:x/d"}
    revision = None if trouble == "none" else "9999"
    with marked_as(database_url, revision):
        ended = subprocess.run(
            [sys.executable, "-m", "app", command],
            cwd=ROOT, env=environment(None, url.get(trouble, database_url)), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert ended.returncode in ((1, 2) if trouble == "unreadable" else (1,))
    assert REFUSED[trouble] in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


@asynccontextmanager
async def answering(values: Mapping[str, str], log: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A web process that is ready, and a client that asks it with a cookie that may be one of a session."""
    address = f"http://127.0.0.1:{values['PORT']}"
    with process("web", values, log) as started:
        async with httpx.AsyncClient(base_url=address, timeout=30, cookies={"session": new_token()}) as client:
            async with asyncio.timeout(60):
                while not await is_ready(client):
                    assert started.poll() is None, "the web process ended"
                    await asyncio.sleep(0.1)
            yield client


async def is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def test_a_web_process_tells_an_outage_in_one_short_line_for_each_request(
    database_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "web.log"
    async with proxied(database_url) as (proxy, address), answering(environment(None, address), log) as client:
        assert (await client.get("/tickets")).status_code == 303
        kill_backends(database_url)
        assert (await client.get("/tickets")).status_code == 303
        before = log.stat().st_size
        await proxy.refuse()
        for _ in range(20):
            answer = await client.get("/tickets")
            assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert (await client.get("/health/live")).status_code == 200
        written = log.read_text()[before:]
        assert written.count("http.request.unavailable") == 20
        # Two lines each: what is wrong, and that the request is done.
        assert len(written) < 20 * 600
        assert "Traceback" not in log.read_text()
        await proxy.start()
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_frozen_database_is_answered_with_503_before_a_probe_gives_up(
    database_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "web.log"
    async with proxied(database_url) as (proxy, address):
        async with answering(environment(None, address), log) as client:
            await asyncio.gather(*(client.get("/tickets") for _ in range(20)))
            proxy.freeze()
            started = time.monotonic()
            paths = ["/health/ready", "/tickets", "/"] * 12
            answers = await asyncio.gather(*(client.get(path) for path in paths))
            took = time.monotonic() - started
            assert {answer.status_code for answer in answers} == {503}
            # The promise is five seconds; the rest is for a machine that runs other tests meanwhile.
            assert took < 15
            proxy.thaw()
            assert (await client.get("/health/ready")).status_code == 200
            with stopped(backends(database_url, "security-center web")):
                assert (await client.get("/tickets")).status_code == 303
        assert "Traceback" not in log.read_text()


async def test_nothing_accepted_is_lost_while_a_worker_process_loses_its_database_again_and_again(
    system: System, database_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    key = with_known_key(system)
    await system.connect()
    async with proxied(database_url) as (proxy, address):
        values = environment(
            system, address, VAULT_KEYS=key, SERVICENOW_ALLOWED_ORIGINS=system.servicenow.url,
            DATABASE_STATEMENT_SECONDS="5",
        )  # fmt: skip
        with process("worker", values, log) as worker:
            for trouble in ("kill", "refuse", "freeze"):
                await share_one(system, TicketKind.INCIDENT)
                if trouble == "kill":
                    kill_backends(database_url)
                elif trouble == "refuse":
                    await proxy.refuse()
                else:
                    proxy.freeze()
                await share_one(system, TicketKind.INCIDENT)
                await asyncio.sleep(8)
                if trouble == "refuse":
                    await proxy.start()
                proxy.thaw()
                assert worker.poll() is None
            async with asyncio.timeout(120):
                while len(records(system, "incident")) < 6:  # noqa: ASYNC110 - another process makes them.
                    await asyncio.sleep(0.2)
    assert len(records(system, "incident")) == 6
    written = log.read_text()
    assert "Database error" not in written
    assert "Traceback" not in written
    assert "worker.restarted" in written
