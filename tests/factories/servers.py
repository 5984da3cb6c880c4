"""Serves an ASGI application over real HTTP on a free loopback port, for as long as a block lasts."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn


@contextmanager
def free_socket() -> Iterator[tuple[socket.socket, str]]:
    """A listening socket and its address, for servers that have to know their address before they start."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        yield bound, f"http://127.0.0.1:{bound.getsockname()[1]}"


def free_port() -> int:
    """A port that nothing listens on just now, for servers that bind it themselves."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


def quiet_server(app: Any, certificate: Path | None = None, protocol: Any = "auto") -> uvicorn.Server:
    """A server without logs and without signal handlers; `certificate` is a file with certificate and key, for TLS."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, lifespan="off", timeout_graceful_shutdown=2,
        ssl_certfile=certificate, http=protocol,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.capture_signals = _no_signals  # type: ignore[method-assign]
    return server


@contextmanager
def _no_signals() -> Iterator[None]:
    yield


@contextmanager
def serving(app: Any, bound: socket.socket, certificate: Path | None = None, protocol: Any = "auto") -> Iterator[None]:
    """Serve in a thread with its own event loop."""
    server = quiet_server(app, certificate, protocol)
    ready = threading.Event()

    async def run() -> None:
        task = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers no event to wait for.
            await asyncio.sleep(0.005)
        ready.set()
        await task

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(10), "the server did not start"
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def serve(app: Any, certificate: Path | None = None, protocol: Any = "auto") -> Iterator[str]:
    """Serve on a free port; returns the address."""
    with free_socket() as (bound, url), serving(app, bound, certificate, protocol):
        yield url.replace("http:", "https:") if certificate else url
