"""Serve the sandboxes over HTTP until a signal. Settings come from environment variables."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn

from sandbox.demo_secrets import GENERATORS, load_or_create_secrets
from sandbox.entra import EntraSandbox
from sandbox.microsoft import create_app as create_microsoft
from sandbox.ports import bind, read_port
from sandbox.servicenow.application import create_app as create_servicenow
from sandbox.servicenow.instance_settings import ServiceNowSandbox

SERVERS = ("servicenow", "microsoft")


@dataclass(frozen=True)
class ServeSettings:
    """What to serve where; `keys` holds client IDs, client secrets and the one password of all sandbox users."""

    folder: Path
    host: str
    ports: Mapping[str, int]
    public_url: str
    keys: Mapping[str, str]
    show_hints: bool
    demo_data: bool = False

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> ServeSettings:
        """Read settings from the environment; secrets it does not set are generated and kept in the folder."""
        folder = Path(environment.get("SANDBOX_DIR") or "var/sandbox")
        return cls(
            folder=folder,
            host=environment.get("SANDBOX_HOST") or "127.0.0.1",
            ports={name: read_port(environment, f"SANDBOX_{name.upper()}_PORT") for name in SERVERS},
            public_url=(environment.get("PUBLIC_URL") or "http://127.0.0.1:8000").rstrip("/"),
            keys=_keys(environment, folder),
            show_hints=(environment.get("SANDBOX_SHOW_HINTS") or "true").lower() in ("true", "1", "yes"),
        )

    def application(self, name: str) -> Any:  # noqa: ANN401 - one of two kinds of ASGI application.
        if name == "microsoft":
            return create_microsoft(
                EntraSandbox(
                    tenant_id=self.keys["ENTRA_TENANT_ID"],
                    client_id=self.keys["ENTRA_CLIENT_ID"],
                    client_secret=self.keys["ENTRA_CLIENT_SECRET"],
                    redirect_uris=(f"{self.public_url}/sign-in/callback",),
                    key_file=self.folder / "entra-key.pem",
                )
            )
        return create_servicenow(
            ServiceNowSandbox(
                client_id=self.keys["SANDBOX_SERVICENOW_CLIENT_ID"],
                client_secret=self.keys["SANDBOX_SERVICENOW_CLIENT_SECRET"],
                redirect_uris=(f"{self.public_url}/servicenow/callback",),
                password=self.keys["SANDBOX_SERVICENOW_PASSWORD"],
                file=self.folder / "servicenow.sqlite",
                show_hints=self.show_hints,
                demo_data=self.demo_data,
            )
        )


def _keys(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    given = {name: environment[name] for name in GENERATORS if environment.get(name)}
    return given if len(given) == len(GENERATORS) else load_or_create_secrets(folder / "keys.json") | given


class _Server(uvicorn.Server):
    """A uvicorn server without signal handlers: two servers share this process, and one handler must stop both."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(names: tuple[str, ...] = SERVERS, *, demo_data: bool = False) -> None:
    """Serve until SIGTERM or SIGINT. Raises StartupError when a port cannot be bound."""
    serving = replace(ServeSettings.read(os.environ), demo_data=demo_data)
    sockets = {name: bind(serving.host, serving.ports[name], f"SANDBOX_{name.upper()}_PORT") for name in names}
    asyncio.run(_serve_all([(serving.application(name), sockets[name]) for name in names]))


async def _serve_all(pairs: list[tuple[Any, socket.socket]]) -> None:
    servers = [
        (
            _Server(
                uvicorn.Config(app, access_log=False, log_level="warning", lifespan="off", timeout_graceful_shutdown=2)
            ),
            listening,
        )
        for app, listening in pairs
    ]

    def stop(*_: object) -> None:
        for server, _bound in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    await asyncio.gather(*(server.serve(sockets=[listening]) for server, listening in servers))
