"""Puts an answer on the wire: the usual headers, compression, everything in one write; or cut, or cut off."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Send

from sandbox.servicenow.canned_responses import CannedResponse

WORTH_COMPRESSING = 1024
NO_BODY = (204, 304)


class CapturedResponse:
    """Catches what the application answers, so that it can be sent whole."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", []))
        else:
            self.body += bytes(message.get("body", b""))

    @classmethod
    def answer(cls, answer: CannedResponse) -> CapturedResponse:
        """One of our own making."""
        captured = cls()
        captured.status, captured.headers, captured.body = answer.status, answer.raw_headers(), answer.body
        return captured

    def replace_body(self, body: bytes) -> None:
        """Another body, with its length."""
        self.body = body
        self.headers = [(name, value) for name, value in self.headers if name.lower() != b"content-length"]
        if self.status not in NO_BODY:
            self.headers.append((b"content-length", str(len(body)).encode()))

    def compress(self) -> None:
        """As real instances do for callers who accept it."""
        if len(self.body) < WORTH_COMPRESSING:
            return
        squeeze = zlib.compressobj(1, zlib.DEFLATED, 31)
        self.replace_body(squeeze.compress(self.body) + squeeze.flush())
        self.headers.append((b"content-encoding", b"gzip"))


@dataclass
class ResponseSender:
    """The way back to one caller."""

    send: Send

    async def whole(self, captured: CapturedResponse) -> None:
        """The whole answer in one write: two writes would flatter clients that open a connection for each call.

        uvicorn writes head and body apart; for the time of these two messages its cycle writes into our hands. (Nagle's
        algorithm is off already: asyncio and uvloop set TCP_NODELAY on every connection.)
        """
        cycle: Any = getattr(self.send, "__self__", None)
        transport = getattr(cycle, "transport", None)
        if transport is None:
            await self._messages(captured, captured.body, more=False)
            return
        cork = _CorkedTransport(transport)
        cycle.default_headers = []  # The usual headers name server and date themselves.
        cycle.transport = cork
        try:
            await self._messages(captured, captured.body, more=False)
        finally:
            cycle.transport = transport
            cork.release()

    async def partly(self, captured: CapturedResponse, *, then_wait: float | None) -> None:
        """The first half; then nothing for so long and the rest, or, with None, the connection is cut."""
        half = len(captured.body) // 2
        cycle: Any = getattr(self.send, "__self__", None)
        cycle.default_headers = []
        await self._messages(captured, captured.body[:half], more=True)
        if then_wait is None:
            await asyncio.sleep(0.02)  # Let the first bytes reach the caller.
            self.cut()
            return
        await asyncio.sleep(then_wait)
        await self.send({"type": "http.response.body", "body": captured.body[half:], "more_body": False})

    def cut(self) -> None:
        """End the connection here; uvicorn's `send` is a method of the cycle that owns the transport."""
        cycle: Any = getattr(self.send, "__self__", None)
        cycle.transport.abort()
        cycle.disconnected = True  # So that uvicorn does not wonder where the rest of the answer is.

    async def _messages(self, captured: CapturedResponse, body: bytes, *, more: bool) -> None:
        await self.send({"type": "http.response.start", "status": captured.status, "headers": captured.headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": more})


class _CorkedTransport:
    """Stands in for a transport: collects what is written, and passes everything else on."""

    def __init__(self, transport: Any) -> None:  # noqa: ANN401 - asyncio's or uvloop's.
        self._transport = transport
        self._written: list[bytes] = []
        self._closing = False

    def write(self, data: bytes) -> None:
        """Later."""
        self._written.append(data)

    def close(self) -> None:
        """Later, after what was written."""
        self._closing = True

    def release(self) -> None:
        """One write, and the end if one was asked for."""
        if self._written:
            self._transport.write(b"".join(self._written))
        if self._closing:
            self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._transport, name)
