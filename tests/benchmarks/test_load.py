"""The load generator counts what came, what came too late, and what was no answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.load import LoadOutcome, Order, drive, drive_apart, percentile

Answer = Callable[[int, bytes], Awaitable[bytes | None]]


@asynccontextmanager
async def tiny_server(answer: Answer) -> AsyncIterator[int]:
    """A server that answers the nth request with these bytes; None ends the connection. Gives its port."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                asked += 1
                content = await answer(asked, request)
                if content is None:
                    break
                writer.write(content)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def whole(body: bytes = b"hello", status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def run(answer: Answer, **order: object) -> LoadOutcome:
    async with tiny_server(answer) as port:
        return await drive(Order("127.0.0.1", port, "/page", **{"seconds": 30, **order}))  # type: ignore[arg-type]


async def test_every_request_is_counted_once() -> None:
    seen = []

    async def answer(number: int, request: bytes) -> bytes:
        seen.append(request)
        return whole(b"x" * 70_000)  # More than one read.

    found = await run(answer, requests=25, connections=4, headers={"Cookie": "session=1"})
    assert (found.answers, found.all_answers, found.timeouts, found.errors) == (25, 25, 0, {})
    assert found.statuses == {"200": 25}
    assert len(seen) == 25
    assert all(one.startswith(b"GET /page HTTP/1.1\r\n") and b"Cookie: session=1\r\n" in one for one in seen)
    assert 0 < found.p50 <= found.p95


async def test_a_request_without_an_answer_in_time_is_a_time_out_and_its_connection_is_replaced() -> None:
    async def answer(number: int, request: bytes) -> bytes:
        if number in (2, 5):
            await asyncio.Event().wait()
        return whole()

    found = await run(answer, requests=8, connections=1, timeout=0.05)
    assert (found.answers, found.timeouts, found.errors) == (6, 2, {})


async def test_other_statuses_are_errors() -> None:
    async def answer(number: int, request: bytes) -> bytes:
        return whole(status="500 Internal Server Error") if number % 3 == 0 else whole()

    found = await run(answer, requests=9, connections=1)
    assert (found.answers, found.errors) == (6, {"status 500": 3})
    assert found.statuses == {"200": 6, "500": 3}


async def test_a_connection_that_ends_within_a_request_is_an_error_and_is_opened_again() -> None:
    async def answer(number: int, request: bytes) -> bytes | None:
        return None if number == 3 else whole()

    found = await run(answer, requests=6, connections=1)
    assert (found.answers, found.errors) == (5, {"connection lost": 1})


async def test_an_answer_whose_end_cannot_be_known_is_an_error() -> None:
    async def answer(number: int, request: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" if number == 1 else whole()

    found = await run(answer, requests=3, connections=1)
    assert (found.answers, found.errors) == (2, {"not readable": 1})


async def test_nothing_that_listens_is_an_error_and_no_answer() -> None:
    async with tiny_server(lambda number, request: asyncio.sleep(0, b"")) as port:
        pass
    found = await drive(Order("127.0.0.1", port, "/", seconds=0.01, connections=1, warm_seconds=0.0, requests=1))
    assert found.answers == 0
    assert found.errors.keys() == {"no connection"}


async def test_the_etag_of_each_answer_is_asked_with_next_and_304_has_no_body() -> None:
    asked = []

    async def answer(number: int, request: bytes) -> bytes:
        asked.append(request.split(b"If-None-Match: ")[1].split(b"\r\n")[0])
        if number == 3:
            return whole(ETag='"new"')
        return b'HTTP/1.1 304 Not Modified\r\nETag: "old"\r\n\r\n' if number < 3 else whole(b"", "304 Not Modified")

    found = await run(answer, requests=5, connections=1, etag='"old"', expect=(304, 200))
    assert asked == [b'"old"', b'"old"', b'"old"', b'"new"', b'"new"']
    assert (found.answers, found.statuses) == (5, {"304": 4, "200": 1})


async def test_what_arrives_in_the_warm_time_is_not_counted() -> None:
    async def answer(number: int, request: bytes) -> bytes:
        await asyncio.sleep(0.01)
        return whole()

    found = await run(answer, connections=2, seconds=0.1, warm_seconds=0.1)
    assert 0 < found.answers < found.all_answers
    assert found.rate == found.answers / 0.1


async def test_it_runs_in_a_process_of_its_own() -> None:
    async def answer(number: int, request: bytes) -> bytes:
        return whole()

    async with tiny_server(answer) as port:
        found = await asyncio.to_thread(
            drive_apart, Order("127.0.0.1", port, "/", requests=10, connections=3, seconds=30)
        )
    assert (found.answers, found.errors, found.statuses) == (10, {}, {"200": 10})


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [
        ([15, 20, 35, 40, 50], 0.05, 15),
        ([15, 20, 35, 40, 50], 0.3, 20),
        ([50, 40, 35, 20, 15], 0.4, 20),
        ([15, 20, 35, 40, 50], 0.5, 35),
        ([15, 20, 35, 40, 50], 1.0, 50),
        (list(range(1, 101)), 0.95, 95),
        (list(range(1, 61)), 0.95, 57),
        ([7], 0.95, 7),
    ],
)
def test_percentiles_are_of_the_nearest_rank(values: list[float], share: float, found: float) -> None:
    assert percentile(values, share) == found


def test_nothing_has_no_percentile() -> None:
    assert math.isnan(percentile([], 0.5))
