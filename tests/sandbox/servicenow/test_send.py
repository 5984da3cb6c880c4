"""Responses are sent in one write."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox.servicenow.send import CapturedResponse, ResponseSender
from tests.factories.servicenow import SandboxServiceNow


class Cycle:
    """Like uvicorn's: `send` is its method, and it writes head and body separately."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.default_headers = [(b"date", b"theirs")]

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.transport.write(b"head")
            return
        self.transport.write(message["body"])
        self.transport.close()


class Transport:
    def __init__(self) -> None:
        self.done: list[str] = []

    def write(self, data: bytes) -> None:
        self.done.append(data.decode())

    def close(self) -> None:
        self.done.append("closed")


@pytest.mark.fact("other-connectors 5")
async def test_an_answer_is_one_write() -> None:
    transport = Transport()
    cycle = Cycle(transport)
    caught = CapturedResponse()
    caught.status, caught.body = 200, b" and body"
    await ResponseSender(cycle.send).send_whole(caught)
    assert transport.done == ["head and body", "closed"]
    assert cycle.transport is transport
    assert cycle.default_headers == []


@pytest.mark.fact("other-connectors 5")
def test_an_answer_arrives_whole_in_one_read(servicenow: SandboxServiceNow) -> None:
    parts = urlsplit(servicenow.url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(b"GET /api/now/table/incident HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n")
        first = connection.recv(65536)
    assert first.startswith(b"HTTP/1.1 401")
    assert first.endswith(b'"status":"failure"}')
