"""Send captured responses: compressed, in one write; partly; or not at all, by aborting the connection."""

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
    """Captures the application's response, so that it can be altered and sent as a whole."""

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
    def from_canned(cls, answer: CannedResponse) -> CapturedResponse:
        """Return a fixed response as if the application had sent it."""
        captured = cls()
        captured.status, captured.headers, captured.body = answer.status, answer.raw_headers(), answer.body
        return captured

    def replace_body(self, body: bytes) -> None:
        """Replace the body and its Content-Length."""
        self.body = body
        self.headers = [(name, value) for name, value in self.headers if name.lower() != b"content-length"]
        if self.status not in NO_BODY:
            self.headers.append((b"content-length", str(len(body)).encode()))

    def compress(self) -> None:
        """Compress a body of at least WORTH_COMPRESSING bytes with gzip."""
        # See docs/facts/servicenow.md#2-7-response-headers-on-a-real-call. Level 1: speed matters more here than size.
        if len(self.body) < WORTH_COMPRESSING:
            return
        squeeze = zlib.compressobj(1, zlib.DEFLATED, 31)
        self.replace_body(squeeze.compress(self.body) + squeeze.flush())
        self.headers.append((b"content-encoding", b"gzip"))


@dataclass
class ResponseSender:
    """Sends to one client, reaching through uvicorn's `send` to the connection's transport."""

    send: Send

    async def send_whole(self, captured: CapturedResponse) -> None:
        """Send head and body in one write.

        uvicorn writes them separately, which favors clients that open a connection per call in measurements. While these
        two messages are sent, the cycle therefore writes to a corked transport. (Nagle's algorithm is not involved:
        asyncio and uvloop set TCP_NODELAY on every connection.)
        """
        cycle: Any = getattr(self.send, "__self__", None)
        transport = getattr(cycle, "transport", None)
        if transport is None:
            await self._send_messages(captured, captured.body, more=False)
            return
        cork = _CorkedTransport(transport)
        cycle.default_headers = []  # `standard_headers` sets Server and Date itself.
        cycle.transport = cork
        try:
            await self._send_messages(captured, captured.body, more=False)
        finally:
            cycle.transport = transport
            cork.release()

    async def send_partly(self, captured: CapturedResponse, *, then_wait: float | None) -> None:
        """Send half of the body; then wait that many seconds and send the rest, or, for None, abort the connection."""
        half = len(captured.body) // 2
        cycle: Any = getattr(self.send, "__self__", None)
        cycle.default_headers = []
        await self._send_messages(captured, captured.body[:half], more=True)
        if then_wait is None:
            await asyncio.sleep(0.02)  # An abort discards unsent data: let the first bytes reach the client.
            self.abort()
            return
        await asyncio.sleep(then_wait)
        await self.send({"type": "http.response.body", "body": captured.body[half:], "more_body": False})

    def abort(self) -> None:
        """Abort the connection without a further byte."""
        # uvicorn has no API for it; its `send` is a bound method of the cycle that owns the transport.
        cycle: Any = getattr(self.send, "__self__", None)
        cycle.transport.abort()
        cycle.disconnected = True  # Keeps uvicorn from logging an incomplete response.

    async def _send_messages(self, captured: CapturedResponse, body: bytes, *, more: bool) -> None:
        await self.send({"type": "http.response.start", "status": captured.status, "headers": captured.headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": more})


class _CorkedTransport:
    """A transport that collects writes until released, and passes every other call on."""

    def __init__(self, transport: Any) -> None:  # noqa: ANN401 - asyncio's or uvloop's.
        self._transport = transport
        self._written: list[bytes] = []
        self._closing = False

    def write(self, data: bytes) -> None:
        self._written.append(data)

    def close(self) -> None:
        self._closing = True

    def release(self) -> None:
        """Write everything collected at once, then close if that was requested."""
        if self._written:
            self._transport.write(b"".join(self._written))
        if self._closing:
            self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._transport, name)
