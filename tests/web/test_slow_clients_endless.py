"""What a client sends without end, besides a body, ends with its connection: requests, trailers, chunk extensions."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from app.web.slow_clients import ImpatientProtocol
from tests.factories.servers import serve

# A test fails after this many seconds, and passes at once.
PATIENCE = 10
ENDLESS = 16_000_000
# The most that asyncio reads in one go (max_size of its selector transport).
ONE_READ = 256 * 1024
CHUNKED = b"POST /chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

BEGUN: list[str] = []
LEFT: list[str] = []
RELEASED: set[str] = set()
LOST: list[ImpatientProtocol] = []
NOTED: list[str] = []


def get(path: str, more: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path.encode(), more)


class Counting(ImpatientProtocol):
    """The same, with what it read and the longest queue it held."""

    largest_head = 10_000
    read_seconds = 0.1
    taken: int = 0
    longest: int = 0

    def data_received(self, data: bytes) -> None:
        Counting.taken += len(data)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        Counting.longest = max(Counting.longest, len(self.pipeline))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        LOST.append(self)

    def _note(self, why: str) -> None:
        NOTED.append(why)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells path, size of the body and names of headers; below /held after the release, unless the client leaves before.

    The body is not read for /unread.
    """
    request = Request(scope, receive)
    try:
        size = 0 if scope["path"] == "/unread" else len(await request.body())
    except ClientDisconnect:
        return
    path = str(scope["path"])
    BEGUN.append(path)
    if path.startswith("/held"):
        # As a page that streams does; uvicorn then reads on.
        leaving = asyncio.create_task(_until_left(receive))
        while path not in RELEASED:
            await asyncio.sleep(0.005)
            if leaving.done():
                LEFT.append(path)
                return
        leaving.cancel()
    names = ",".join(name.decode() for name, _ in scope["headers"])
    await PlainTextResponse(f"<{path} {size} {names}>")(scope, receive, send)


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with serve(app, protocol=Counting) as url:
        parts = urlsplit(url)
        yield parts.hostname or "", parts.port or 0


@pytest.fixture(autouse=True)
def _forget() -> None:
    Counting.taken = Counting.longest = 0
    for kept in (BEGUN, LEFT, RELEASED, LOST, NOTED):
        kept.clear()


@contextmanager
def connected(address: tuple[str, int], sent: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=PATIENCE) as wire:
        wire.sendall(sent)
        yield wire


def rest(wire: socket.socket) -> bytes:
    """Everything until the server hangs up; TimeoutError if it does not."""
    found = b""
    try:
        while part := wire.recv(65536):
            found += part
    except ConnectionError:
        pass
    return found


def answer(wire: socket.socket, path: str) -> bytes:
    """Everything up to the end of the answer to `path`; its body alone, without the brackets."""
    found = b""
    while not (found.endswith(b">") and b"<%b " % path.encode() in found):
        part = wire.recv(65536)
        assert part, found
        found += part
    return found.rpartition(b"<")[2][:-1]


def paths_of(answers: bytes) -> list[str]:
    return [part.split()[0].decode() for part in answers.split(b"<")[1:]]


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def send_in_background(wire: socket.socket, data: bytes) -> None:
    def run() -> None:
        with suppress(OSError):  # The server hung up, which the test sees by itself.
            wire.sendall(data)

    threading.Thread(target=run, daemon=True).start()


@pytest.mark.parametrize("count", [2, 8, 17])
def test_requests_sent_at_once_are_answered_in_order(address: tuple[str, int], count: int) -> None:
    paths = [f"/{number}" for number in range(count)]
    with connected(
        address, b"".join(get(path) for path in paths[:-1]) + get(paths[-1], b"Connection: close\r\n")
    ) as wire:
        found = rest(wire)
    assert paths_of(found) == paths


def test_after_requests_sent_at_once_the_connection_is_kept(address: tuple[str, int]) -> None:
    # Also where no page asks for its body, upon which uvicorn reads on.
    with connected(address, get("/first") + get("/unread")) as wire:
        assert answer(wire, "/unread") == b"/unread 0 host"
        wire.sendall(get("/next"))
        assert answer(wire, "/next") == b"/next 0 host"


def test_a_flood_of_requests_in_one_read_ends_with_the_connection(address: tuple[str, int]) -> None:
    with connected(address, get("/held")) as wire:
        wait_until(lambda: BEGUN == ["/held"])
        send_in_background(wire, get("/health/live") * (ENDLESS // 50))
        assert rest(wire) == b""
        # The request at work learns that its client is gone, although others came after it.
        wait_until(lambda: LEFT == ["/held"])
    assert Counting.longest == Counting.most_pipelined + 1
    assert Counting.taken <= 2 * ONE_READ
    assert BEGUN == ["/held"]
    assert NOTED == ["many pipelined"]


def test_nothing_is_read_while_a_request_waits_for_the_answer_to_another(address: tuple[str, int]) -> None:
    first = get("/held/1") + get("/held/2") + get("/held/3")
    more = [f"/{number}" for number in range(8)]
    with connected(address, first) as wire:
        wait_until(lambda: BEGUN == ["/held/1"])
        wire.sendall(b"".join(get(path) for path in more[:-1]) + get(more[-1], b"Connection: close\r\n"))
        RELEASED.add("/held/1")
        wait_until(lambda: BEGUN == ["/held/1", "/held/2"])
        with connected(address, get("/other", b"Connection: close\r\n")) as other:
            assert paths_of(rest(other)) == ["/other"]  # The server came round to every socket meanwhile.
        assert Counting.taken == len(first) + len(get("/other", b"Connection: close\r\n"))
        RELEASED.update(["/held/2", "/held/3"])
        found = rest(wire)
    assert paths_of(found) == ["/held/1", "/held/2", "/held/3", *more]


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        pytest.param(CHUNKED + b"0\r\n", b"X-A: aaaaaaaaaaaaaaaa\r\n", id="trailers"),
        pytest.param(CHUNKED + b"0\r\nX-A: ", b"a" * 1024, id="one trailer"),
        pytest.param(CHUNKED + b"5;a=", b"a" * 1024, id="one extension"),
        pytest.param(CHUNKED, b"1;a=" + b"a" * 2000 + b"\r\nx\r\n", id="an extension of every chunk"),
        pytest.param(CHUNKED, b"0" * 1024, id="a length"),
        pytest.param(get("/held"), b"\r\n" * 512, id="empty lines before the next request"),
        pytest.param(get("/held") + b"GET / HTTP/1.1\r\nX-Odd: ", b"a" * 1024, id="the next head"),
    ],
)
def test_what_is_no_body_and_has_no_end_ends_with_the_connection(
    address: tuple[str, int], begin: bytes, again: bytes
) -> None:
    with connected(address, begin) as wire:
        send_in_background(wire, again * (ENDLESS // len(again)))
        assert rest(wire) == b""
    assert Counting.taken <= len(begin) + Counting.largest_head + 2 * ONE_READ


def test_a_body_in_chunks_of_one_byte_is_taken(address: tuple[str, int]) -> None:
    count = 2 * Counting.largest_head
    chunks = b"1\r\nx\r\n" * count
    with connected(address, CHUNKED) as wire:
        wait_until(lambda: Counting.taken == len(CHUNKED))
        wire.sendall(chunks)
        wait_until(lambda: Counting.taken == len(CHUNKED + chunks))
        wire.sendall(b"0\r\n\r\n")
        assert answer(wire, "/chunked") == b"/chunked %d host,transfer-encoding" % count


def test_a_trailer_is_no_header(address: tuple[str, int]) -> None:
    with connected(address, CHUNKED + b"1\r\nx\r\n0\r\nX-Forwarded-For: 192.0.2.1\r\nX-A: a\r\n\r\n") as wire:
        assert answer(wire, "/chunked") == b"/chunked 1 host,transfer-encoding"
        wire.sendall(get("/next"))
        assert answer(wire, "/next") == b"/next 0 host"


def test_a_body_counts_neither_as_a_trailer_nor_as_the_head_of_the_next_request(address: tuple[str, int]) -> None:
    half = b"x" * (3 * Counting.largest_head)
    head = b"POST /posted HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (2 * len(half))
    with connected(address, head) as wire:
        wait_until(lambda: Counting.taken == len(head))
        wire.sendall(half)
        wait_until(lambda: Counting.taken == len(head + half))
        wire.sendall(half + b"GET /next HTTP/1.1\r\n")
        assert answer(wire, "/posted") == b"/posted %d host,content-length" % (2 * len(half))
        wire.sendall(b"Host: x\r\n\r\n")
        assert answer(wire, "/next") == b"/next 0 host"


def test_a_request_to_switch_protocols_is_answered_and_so_is_the_next(address: tuple[str, int]) -> None:
    with connected(address, get("/first", b"Connection: upgrade\r\nUpgrade: h2c\r\n")) as wire:
        assert answer(wire, "/first") == b"/first 0 host,connection,upgrade"
        wire.sendall(get("/next", b"X-A: a\r\n"))
        assert answer(wire, "/next") == b"/next 0 host,x-a"


def test_a_connection_that_is_lost_is_waited_for_no_longer(address: tuple[str, int]) -> None:
    with connected(address, get("/first")) as wire:
        assert answer(wire, "/first") == b"/first 0 host"
        name = wire.getsockname()
    wait_until(lambda: name in [one.client for one in LOST])
    lost = next(one for one in LOST if one.client == name)
    # uvicorn leaves this timer running when the connection was reset.
    lost.loop.call_soon_threadsafe(lost.timeout_keep_alive_handler)
    time.sleep(5 * Counting.read_seconds)
    assert NOTED == []
