"""The ServiceNow sandbox as a process of its own, so that it shares no interpreter with whom we measure."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from sandbox.servicenow.instance_settings import ServiceNowSandbox
from tests.factories.servicenow import CONTEXT, ServiceNowCalls
from tests.factories.system import PUBLIC_URL

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 30.0


@dataclass
class SandboxProcess(ServiceNowCalls):
    """A sandbox in another process, called over HTTP only."""

    url: str
    made_with: ServiceNowSandbox

    @property
    def settings(self) -> ServiceNowSandbox:
        """Its client and passwords."""
        return self.made_with

    def tell(self, what: str, **asked: str) -> Any:
        """The answer of a control endpoint."""
        answer = httpx.get(f"{self.url}/_sandbox/{what}", params=asked, timeout=60, verify=CONTEXT)
        return answer.raise_for_status().json()

    def new(self, **switches: Any) -> None:
        """Remove all faults, set these switches and defaults of three others, and clear the journal."""
        self.control("faults", clear=True)
        self.control("switches", **{"latency_ms": 0, "api_asleep": False, "refresh_rotates_token": False} | switches)
        self.control("journal")

    def requests(self) -> int:
        """The number of API calls since `new`, without those to the console."""
        return int(self.tell("counts").get("total", 0))

    def truth(self, table: str = "incident") -> dict[str, dict[str, str]]:
        """Every record of the table by its sys_id."""
        rows = self.tell("records", fields="sys_id,number,state,correlation_id,short_description")[table]
        return {row["sys_id"]: row for row in rows}


@contextmanager
def running_process(public_url: str = PUBLIC_URL) -> Iterator[SandboxProcess]:
    """Run the process on a free loopback port until the block ends; consent leads back to `public_url`."""
    with TemporaryDirectory() as folder:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        made = ServiceNowSandbox(
            client_id=secrets.token_hex(16),
            client_secret=secrets.token_urlsafe(16),
            redirect_uris=(f"{public_url}/servicenow/callback",),
            password=secrets.token_urlsafe(12),
        )
        environment = os.environ | {
            "SANDBOX_DIR": folder,
            "SANDBOX_SERVICENOW_PORT": str(port),
            "PUBLIC_URL": public_url,
            "SANDBOX_SERVICENOW_CLIENT_ID": made.client_id,
            "SANDBOX_SERVICENOW_CLIENT_SECRET": made.client_secret,
            "SANDBOX_SERVICENOW_PASSWORD": made.password,
        }
        command = [sys.executable, "-m", "sandbox", "serve", "servicenow"]
        with subprocess.Popen(command, cwd=ROOT, env=environment) as process:  # noqa: S603 - our own program.
            try:
                yield _until_it_answers(SandboxProcess(f"http://127.0.0.1:{port}", made), process)
            finally:
                process.terminate()


def _until_it_answers(sandbox: SandboxProcess, process: subprocess.Popen[bytes]) -> SandboxProcess:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            sandbox.tell("counts")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return sandbox
    raise RuntimeError("the sandbox did not start")
