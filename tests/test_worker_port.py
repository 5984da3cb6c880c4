"""The worker's port: two answers for probes, and nothing that a hostile client can hold or fill."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest

from app import worker_port
from app.core.database import Database, make_engine
from app.listen import CannotListen, bound_sockets, start_listening
from app.worker_port import MOST_CLIENTS, PortAnswer, health_handlers, serving_port
from tests.factories.outages import marked_as
from tests.factories.servers import free_port
from tests.factories.system import System


async def ask(port: int, sent: bytes) -> tuple[int, bytes]:
    """Status and body of the answer; 0 when the connection was closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        answer = await reader.read()
    except ConnectionError:
        return 0, b""
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split(b" ")[1]) if head else 0), body


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@pytest.fixture
async def port(system: System) -> AsyncIterator[int]:
    async with serving_port(["127.0.0.1"], free_port(), health_handlers(system.resources)) as opened:
        yield opened


async def test_it_says_that_the_worker_lives_and_is_ready(system: System, port: int, database_url: str) -> None:
    await system.work()
    assert await ask(port, get("/health/live")) == (200, b'{"ready": true}')
    assert await ask(port, get("/health/ready")) == (200, b'{"ready": true}')
    with marked_as(database_url, None):
        status, body = await ask(port, get("/health/ready?x=1"))
    assert status == 503
    assert "has no tables of this product yet" in json.loads(body)["problem"]


async def test_it_tells_its_metrics(port: int) -> None:
    status, body = await ask(port, get("/metrics"))
    assert status == 200
    assert b"# TYPE security_center_jobs_total counter" in body


async def test_a_worker_whose_loop_ended_is_neither(system: System, port: int) -> None:
    system.resources.queue.pulse.stopped()
    for path in ("/health/live", "/health/ready"):
        status, body = await ask(port, get(path))
        assert status == 503
        assert "does not ask for jobs any more" in json.loads(body)["problem"]


async def test_without_its_database_it_lives_and_is_not_ready(system: System) -> None:
    away = Database(make_engine("postgresql://user:change-me@127.0.0.1:1/none"))
    handlers = health_handlers(replace(system.resources, database=away))
    assert (await handlers["/health/live"]()).status == 200
    answer = await handlers["/health/ready"]()
    assert answer.status == 503
    assert "the database does not answer" in json.loads(answer.body)["problem"]
    await away.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (get("/"), 404),
        (get("/health/live/"), 404),
        (get("/health/live", "POST"), 405),
        (get("/health/live", "HEAD"), 200),
        (b"GET /health/live\r\n\r\n", 400),
        (b"\x00\xff\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 0),
    ],
)
async def test_anything_else_is_refused(port: int, sent: bytes, status: int) -> None:
    found, body = await ask(port, sent)
    assert found == status
    assert b"HEAD" not in sent or body == b""


async def test_who_sends_slowly_is_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_port, "REQUEST_SECONDS", 0.05)
    assert (await ask(port, b"GET /health/live HTTP/1.1\r\nHost:"))[0] == 0


async def test_who_holds_every_connection_keeps_no_probe_out(port: int) -> None:
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CLIENTS)]
    try:
        for _ in range(3):
            assert (await ask(port, get("/health/live")))[0] == 200
        # The one that has waited longest went for the first probe; the others' places were free again after each.
        assert await held[0][0].read() == b""
        assert not held[1][0].at_eof()
    finally:
        for _, writer in held:
            writer.close()


async def test_no_more_clients_than_it_serves_at_once() -> None:
    asked, answer = asyncio.Semaphore(0), asyncio.Event()

    async def slow() -> PortAnswer:
        asked.release()
        await answer.wait()
        return PortAnswer(HTTPStatus.OK, "")

    async with serving_port(["127.0.0.1"], free_port(), {"/slow": slow}) as port:
        served = [asyncio.create_task(ask(port, get("/slow"))) for _ in range(MOST_CLIENTS)]
        for _ in served:
            await asked.acquire()
        assert (await ask(port, get("/slow")))[0] == 0
        answer.set()
        assert [status for status, _ in await asyncio.gather(*served)] == [200] * MOST_CLIENTS


async def test_port_0_opens_none(system: System) -> None:
    async with serving_port(["127.0.0.1"], 0, health_handlers(system.resources)) as opened:
        assert opened == 0


async def test_a_port_that_another_process_has_is_a_sentence_that_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"Port {port} of 127.0.0.1 is in use.*choose another WORKER_PORT"):
            await serving_port(["127.0.0.1"], port, {}).__aenter__()


async def test_so_is_one_that_another_process_is_about_to_listen_on(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with bound_sockets(["127.0.0.1"], port) as others:
        # Between the worker's bind and its listen, the other one listens.
        monkeypatch.setattr(worker_port, "bound_sockets", _beaten_by(others))
        with pytest.raises(CannotListen, match="choose another WORKER_PORT"):
            await serving_port(["127.0.0.1"], port, {}).__aenter__()


def _beaten_by(others: list[socket.socket]) -> Callable[..., AbstractContextManager[list[socket.socket]]]:
    @contextmanager
    def bound(*arguments: Any, **options: Any) -> Iterator[list[socket.socket]]:
        with bound_sockets(*arguments, **options) as sockets:
            start_listening(others)
            yield sockets

    return bound
