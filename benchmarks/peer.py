"""Starts a client that others wrote, in its own environment, on one job. Knows where that environment is."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# The peers that are measured, and all that tests start.
PEERS = {"PySNC": "pysnc_peer.py", "pysnow": "pysnow_peer.py"}
SCRIPTS = {
    **PEERS, "aiosnow": "aiosnow_peer.py", "authlib": "authlib_peer.py", "MSAL": "msal_peer.py",
    "openid-client": "openid_client_peer.mjs",
}  # fmt: skip
SECONDS = 300


@dataclass(frozen=True)
class Done:
    """The outcome of a job."""

    seconds: float
    results: list[dict[str, Any]]
    failures: int
    told: list[str]


def environment() -> Path | None:
    """The interpreter of the peers' environment; None before `make clients` has made it."""
    named = os.environ.get("CLIENTS_PYTHON")
    python = Path(named) if named else ROOT / ".venv-clients" / "bin" / "python"
    return python if python.exists() else None


def do(peer: str, **job: Any) -> Done:
    """The outcome of the peer's job. Raises RuntimeError when the peer process failed or took too long."""
    python = environment()
    if python is None:
        raise RuntimeError("there is no environment for other clients; `make clients` lays it")
    script = ROOT / "benchmarks" / "peers" / SCRIPTS[peer]
    program = str(python) if script.suffix == ".py" else "node"
    try:
        ran = subprocess.run(  # noqa: S603 - our own script.
            [program, str(script)],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            # Plain HTTP to loopback is what oauthlib refuses without being told, and no proxy stands in between.
            env={"PATH": os.environ.get("PATH", ""), "OAUTHLIB_INSECURE_TRANSPORT": "1", "NO_PROXY": "127.0.0.1"},
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{peer} took more than {SECONDS} seconds") from error
    if ran.returncode != 0:
        raise RuntimeError(f"{peer} broke down: {ran.stderr[-400:]}")
    return Done(**json.loads(ran.stdout))
