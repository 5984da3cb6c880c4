"""A server that may open 1,024 files goes on serving while 1,100 requests are half sent."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

pytestmark = pytest.mark.thorough

DESCRIPTORS, HALF_SENT = 1024, 1100
SERVER = f"""
import resource, sys, socket
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
import uvicorn
from starlette.responses import PlainTextResponse
from app.web.slow_clients import ImpatientProtocol

async def app(scope, receive, send):
    await PlainTextResponse("served")(scope, receive, send)

config = uvicorn.Config(app, fd=int(sys.argv[1]), lifespan="off", log_config=None, http=ImpatientProtocol, ws="none")
uvicorn.Server(config).run()
"""


@contextmanager
def serving_with_few_descriptors() -> Iterator[tuple[str, int]]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen(2048)
        address = bound.getsockname()
        os.set_inheritable(bound.fileno(), True)
        server = subprocess.Popen([sys.executable, "-c", SERVER, str(bound.fileno())], pass_fds=[bound.fileno()])
        try:
            yield address
        finally:
            server.send_signal(signal.SIGKILL)
            server.wait()


def test_half_sent_requests_beyond_the_descriptors_keep_no_one_out() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < 2 * HALF_SENT:
        pytest.skip("This machine does not let the test hold so many connections.")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 2 * HALF_SENT), before[1]))
    try:
        with serving_with_few_descriptors() as address, ExitStack() as held:
            assert served(address)  # It has started.
            for _ in range(HALF_SENT):
                wire = held.enter_context(socket.create_connection(address, timeout=30))
                wire.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Odd: ")
            assert [served(address) for _ in range(20)] == [True] * 20
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def served(address: tuple[str, int]) -> bool:
    with socket.create_connection(address, timeout=60) as wire:
        wire.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return wire.recv(65536).startswith(b"HTTP/1.1 200 ")
