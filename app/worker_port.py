"""The worker's HTTP port: GET /health/live, /health/ready and /metrics, for what watches it. Reads no body."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from app.core.logging import get_logger
from app.core.metrics import CONTENT_TYPE, process_metrics
from app.core.schema_guard import readiness_problem
from app.listen import bound_sockets, start_listening
from app.resources import Resources

log = get_logger(__name__)

# A probe sends some hundred bytes at once. Slowloris: who sends slower, or more, or opens more, is closed.
# https://owasp.org/www-community/attacks/Denial_of_Service
LARGEST_REQUEST = 8_192
REQUEST_SECONDS = 5.0
MOST_CLIENTS = 16
SETTING = "WORKER_PORT"


@dataclass(frozen=True)
class PortAnswer:
    """A status and its text."""

    status: HTTPStatus
    body: str
    content_type: str = "application/json"


Handler = Callable[[], Awaitable[PortAnswer]]


def health_handlers(resources: Resources) -> Mapping[str, Handler]:
    """Liveness needs no database: a restart would not bring it back. Readiness asks it."""
    pulse = resources.queue.pulse

    async def live() -> PortAnswer:
        return _health("" if pulse.is_live else "the queue's loop does not ask for jobs any more")

    async def ready() -> PortAnswer:
        if not pulse.is_live:
            return await live()
        if not pulse.is_fetching:
            return _health("the database gives no jobs")
        return _health(await readiness_problem(resources.database, resources.expected_revision))

    async def metrics() -> PortAnswer:
        # Without a token: the port is for the inside of a network (docs/operation.md#metrics).
        return PortAnswer(HTTPStatus.OK, process_metrics().decode(), CONTENT_TYPE)

    return {"/health/live": live, "/health/ready": ready, "/metrics": metrics}


@asynccontextmanager
async def serving_port(hosts: Sequence[str], port: int, handlers: Mapping[str, Handler]) -> AsyncIterator[int]:
    """Answer GET at these paths for as long as the block lasts; gives the port. Port 0 serves nothing and gives 0.

    Raises CannotListen.
    """
    if not port:
        yield 0
        return
    clients: set[asyncio.StreamWriter] = set()
    # Those that have not sent their request yet, the one that came first in front.
    silent: dict[asyncio.StreamWriter, None] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(clients) >= MOST_CLIENTS:
            # Who holds connections without asking must not keep a probe out: the worker would be taken for dead.
            if not silent:
                writer.transport.abort()
                return
            first = next(iter(silent))
            del silent[first]
            clients.discard(first)
            first.transport.abort()
        clients.add(writer)
        silent[writer] = None
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                silent.pop(writer, None)
                writer.write(_encoded(await _answer(head, handlers), with_body=not head.startswith(b"HEAD ")))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            silent.pop(writer, None)
            clients.discard(writer)
            writer.close()

    with bound_sockets(hosts, port, setting=SETTING) as sockets:
        # Before asyncio does it, whose error would have a stack trace.
        start_listening(sockets, setting=SETTING)
        servers = [await asyncio.start_server(serve, sock=each, limit=LARGEST_REQUEST) for each in sockets]
        log.info("worker.port.open", hosts=list(hosts), port=port)
        try:
            yield port
        finally:
            for server in servers:
                server.close()
            for writer in tuple(clients):
                writer.transport.abort()


async def _answer(head: bytes, handlers: Mapping[str, Handler]) -> PortAnswer:
    # method SP request-target SP HTTP-version: https://www.rfc-editor.org/rfc/rfc9112#section-3
    line = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if len(line) != 3 or not line[2].startswith("HTTP/1."):
        return _error(HTTPStatus.BAD_REQUEST)
    method, target, _ = line
    if method not in ("GET", "HEAD"):
        return _error(HTTPStatus.METHOD_NOT_ALLOWED)
    handler = handlers.get(target.partition("?")[0])
    return await handler() if handler else _error(HTTPStatus.NOT_FOUND)


def _health(problem: str) -> PortAnswer:
    if problem:
        return PortAnswer(HTTPStatus.SERVICE_UNAVAILABLE, json.dumps({"ready": False, "problem": problem}))
    return PortAnswer(HTTPStatus.OK, json.dumps({"ready": True}))


def _error(status: HTTPStatus) -> PortAnswer:
    return PortAnswer(status, status.phrase, "text/plain")


def _encoded(answer: PortAnswer, *, with_body: bool) -> bytes:
    body = answer.body.encode()
    head = (
        f"HTTP/1.1 {answer.status} {answer.status.phrase}\r\nContent-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")
