"""Clients that hold a connection without using it are put out; all others are served, also slowly and also meanwhile."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from app.web.slow_clients import MOST_CONNECTIONS, ImpatientProtocol, most_connections
from tests.factories.servers import serve

LARGE = 20_000_000
# A test waits for the server to hang up; it fails after this many seconds, and passes at once.
PATIENCE = 30
HALF = b"GET / HTTP/1.1\r\nHost: x\r\nX-Odd: "
WHOLE = b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n"


BEGUN: list[str] = []


class Hasty(ImpatientProtocol):
    """The same with short waits."""

    head_seconds = 0.3
    body_seconds = 0.3
    read_seconds = 0.3
    largest_head = 10_000
    most = 20


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, then answers a little, or much, or later."""
    request = Request(scope, receive)
    try:
        await request.body()
    except ClientDisconnect:
        return
    if scope["path"] == "/later":
        BEGUN.append(scope["path"])
        await asyncio.sleep(1)
    await PlainTextResponse(b"x" * (LARGE if scope["path"] == "/large" else 5))(scope, receive, send)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with serve(app, protocol=Hasty) as url:
        parts = urlsplit(url)
        yield parts.hostname or "", parts.port or 0


@contextmanager
def connected(address: tuple[str, int], sent: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=PATIENCE) as wire:
        wire.sendall(sent)
        yield wire


def rest(wire: socket.socket) -> bytes:
    """Everything until the server hangs up."""
    found = b""
    try:
        while part := wire.recv(65536):
            found += part
    except ConnectionError:
        pass
    return found


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HALF, id="half a head"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf", id="half a body"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf!", id="endless chunks"
        ),
    ],
)
def test_who_does_not_finish_a_request_is_put_out_without_an_answer(address: tuple[str, int], sent: bytes) -> None:
    with connected(address, sent) as wire:
        assert rest(wire) == b""


def test_who_does_not_finish_a_second_request_is_put_out_after_the_first_answer(address: tuple[str, int]) -> None:
    with connected(address, WHOLE) as wire:
        first = wire.recv(65536)
        wire.sendall(HALF)
        assert (first + rest(wire)).count(b"HTTP/1.1 ") == 1


def test_a_trickle_does_not_prolong_the_wait(address: tuple[str, int]) -> None:
    with connected(address, HALF) as wire:
        wire.settimeout(0.05)
        hung_up = False
        for _ in range(PATIENCE * 20):
            try:
                wire.sendall(b"x")
                hung_up = wire.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                hung_up = True
            if hung_up:
                break
    assert hung_up


def test_an_answer_that_takes_longer_than_a_client_may_is_given(address: tuple[str, int]) -> None:
    with connected(address, b"GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as wire:
        assert rest(wire).endswith(b"xxxxx")


def test_a_head_without_end_is_refused(address: tuple[str, int]) -> None:
    with connected(address, HALF + b"x" * Hasty.largest_head) as wire:
        assert rest(wire).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("kept", [b"", b"Connection: close\r\n"])
def test_who_does_not_read_the_answer_is_put_out(address: tuple[str, int], kept: bytes) -> None:
    with socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.settimeout(PATIENCE)
        wire.connect(address)
        wire.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n" + kept + b"\r\n")
        # Another client is served meanwhile, several times the wait that is allowed.
        for _ in range(3):
            with connected(address, b"GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as other:
                assert rest(other).endswith(b"xxxxx")
        assert len(rest(wire)) < LARGE


def test_half_sent_requests_do_not_keep_others_out(address: tuple[str, int]) -> None:
    with ExitStack() as held:
        for _ in range(3 * Hasty.most):
            held.enter_context(connected(address, HALF))
        with connected(address, WHOLE) as wire:
            assert wire.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_when_all_are_at_work_one_more_is_told_to_come_again(address: tuple[str, int]) -> None:
    BEGUN.clear()
    with ExitStack() as held:
        for _ in range(Hasty.most):
            held.enter_context(connected(address, b"GET /later HTTP/1.1\r\nHost: x\r\n\r\n"))
        # What has not been read yet still counts as waiting for its client.
        while len(BEGUN) < Hasty.most:
            time.sleep(0.01)
        answers = []
        for _ in range(2):
            with connected(address, WHOLE) as wire:
                answers.append(rest(wire).split(b"\r\n")[0])
    assert b"HTTP/1.1 503 Service Unavailable" in answers


def test_a_process_takes_no_more_connections_than_it_may_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource  # noqa: PLC0415 - not there on Windows.

    for allowed, most in (
        (resource.RLIM_INFINITY, MOST_CONNECTIONS),
        (1_000_000, MOST_CONNECTIONS),
        (1024, 900),
        (64, 10),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda _kind, allowed=allowed: (allowed, allowed))
        assert most_connections() == most
