"""Puts out clients that hold a connection without using it: half-sent requests, bodies that trickle, answers never read.

And those that send without end what is no body: heads, trailers, chunk extensions, requests before the answer to others.
uvicorn has a time limit for idle connections only. Everything here is per connection and knows no page.
https://cheatsheetseries.owasp.org/cheatsheets/Denial_of_Service_Cheat_Sheet.html
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, ClassVar

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.core.logging import get_logger

log = get_logger(__name__)

# Of all connections of a process. Each takes some 20 KB, and a proxy in front needs a few dozen.
MOST_CONNECTIONS = 1_000
# Descriptors left for the database, calls of other systems, files and logs.
OTHER_DESCRIPTORS = 124
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\nretry-after: 5\r\n"
    b"content-length: 36\r\nconnection: close\r\n\r\nToo many connections. Try again soon."
)
# What each chunk of a body may bring besides its bytes: a length of 64 bits in hexadecimal, and the ends of two lines.
# https://www.rfc-editor.org/rfc/rfc9112#section-7.1
CHUNK_FRAME = 20
HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def most_connections() -> int:
    """How many this process takes: fewer where it may open few files, since a server without descriptors serves no one."""
    if sys.platform == "win32":
        return MOST_CONNECTIONS
    import resource  # noqa: PLC0415 - not there on Windows.

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(min(MOST_CONNECTIONS, allowed - OTHER_DESCRIPTORS), 10)


class OneAtATime(FlowControl):
    """Reads on only when no request stands in the queue of the connection.

    uvicorn's own resumes after each answer and whenever a page asks for its body, however many requests wait. The request at work
    lacks nothing meanwhile: another can wait only when its body has arrived.
    """

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        super().__init__(protocol.transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        if not self._protocol.pipeline and not self._transport.is_closing():
            super().resume_reading()


class ImpatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to every wait for the client.

    At most as many connections as `most_connections`: for one more, the one that has waited longest for its client goes.
    """

    # From the connection, or the first byte on one that was kept, to the end of the headers. nginx gives 60:
    # https://nginx.org/r/client_header_timeout. A browser sends them at once.
    head_seconds: ClassVar[float] = 15
    # The whole body: 512 KiB (LARGEST_BODY_BYTES) at 9 KiB in a second.
    body_seconds: ClassVar[float] = 60
    # Without taking a byte of what waits to be sent.
    read_seconds: ClassVar[float] = 60
    # Bytes before the headers end, and bytes of a chunked body that are not the body: trailers, chunk extensions, zeros before
    # a length. The parser itself has no limit; nginx takes 32 KiB. Judged after each read, of 256 KiB at most.
    largest_head: ClassVar[int] = 64 * 1024
    # Requests of a connection that wait for the answer to another. A browser sends none; a program that does has to send again
    # what was not answered: https://www.rfc-editor.org/rfc/rfc9112#section-9.3.2
    most_pipelined: ClassVar[int] = 16
    most: ClassVar[int] = most_connections()
    _logged_at: ClassVar[float] = float("-inf")
    _unlogged: ClassVar[int] = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the base's signature.
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        # Read since the headers or the body before ended; while a body is read, less what was body.
        self._head_bytes = 0
        self._at_work: RequestResponseCycle | None = None
        self._is_lost = False
        # When the wait for the client's next bytes began; None while we work on a request.
        self._waits_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = OneAtATime(self)
        if len(self.connections) > self.most and not self._free_one():
            self._note("too many")
            transport.write(BUSY)
            self._put_out("too many")
            return
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._deadline)
        self._stop(self._reading)
        self._is_lost = True
        self.pipeline.clear()
        super().connection_lost(exc)
        # uvicorn tells the request that came last. That is not the one at work while others wait.
        if self._at_work is not None and not self._at_work.response_complete:
            self._at_work.disconnected = True
            self._at_work.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._deadline is None and self._waits_since is not None:
            self._wait_for_head()  # The next request on a connection that was kept.
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > self.largest_head and not self.transport.is_closing():
            self._refuse_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer is no header: as one, it could claim what a proxy vouches for, such as X-Forwarded-For.
        # https://www.rfc-editor.org/rfc/rfc9110#section-6.5.1
        if self._awaits_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._awaits_head, self._head_bytes = False, 0
        if self.transport.is_closing():
            return  # Read together with the request for which the connection was aborted.
        self._waits_since = None
        self._set_deadline(self.body_seconds, "slow body")
        super().on_headers_complete()
        if len(self.pipeline) > self.most_pipelined:
            self._abort("many pipelined")

    def on_body(self, body: bytes) -> None:
        self._head_bytes = max(self._head_bytes - len(body), 0)
        if not self.transport.is_closing():
            super().on_body(body)

    def on_chunk_complete(self) -> None:
        # Chunks of one byte are allowed, so what every chunk needs is not counted.
        self._head_bytes = max(self._head_bytes - CHUNK_FRAME, 0)

    def on_message_complete(self) -> None:
        # All that comes now belongs to the next head, also the empty lines that may precede it.
        self._awaits_head, self._head_bytes = True, 0
        self._stop(self._deadline)
        self._deadline = None
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            # What is written is still sent, to a client that may never read it.
            self._set_deadline(self.read_seconds, "slow reader")
        elif self.cycle.response_complete:
            self._waits_since = self.loop.time()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._set_deadline(self.read_seconds, "slow reader")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop(self._reading)
        self._reading = self.loop.call_later(self.read_seconds, self._abort, "slow reader")

    def resume_writing(self) -> None:
        self._stop(self._reading)
        super().resume_writing()

    _awaits_head = True

    def _wait_for_head(self) -> None:
        self._awaits_head, self._head_bytes = True, 0
        self._waits_since = self.loop.time()
        self._set_deadline(self.head_seconds, "slow head")

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._at_work = cycle
        super()._start_asgi_task(cycle, app)

    def _refuse_large(self) -> None:
        """Say so where no answer is due; anything else would be read as a part of that answer."""
        if not self._awaits_head:
            self._abort("large trailer")
        elif self._at_work is not None and not self._at_work.response_complete:
            self._abort("large head")
        else:
            self.transport.write(HEAD_TOO_LARGE)
            self._put_out("large head")

    def _set_deadline(self, seconds: float, why: str) -> None:
        if self._is_lost:
            return  # uvicorn's timer of an idle connection may outlive it; there is nothing left to wait for.
        self._stop(self._deadline)
        self._deadline = self.loop.call_later(seconds, self._abort, why)

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()

    def _free_one(self) -> bool:
        """Put out the connection that has waited longest for its client; False when all are at work."""
        waiting = [one for one in self.connections if isinstance(one, ImpatientProtocol) and one is not self]
        idle = [one for one in waiting if one._waits_since is not None and not one.transport.is_closing()]
        if not idle:
            return False
        min(idle, key=lambda one: one._waits_since or 0.0)._abort("others come")
        return True

    def _put_out(self, why: str) -> None:
        """Close after what was just written; a client that does not read it is put out all the same."""
        self.transport.close()
        self._set_deadline(self.head_seconds, why)

    def _abort(self, why: str) -> None:
        self._note(why)
        self.transport.abort()

    def _note(self, why: str) -> None:
        # A line in ten seconds at most: the attack must not become one on the disk.
        kind, now = ImpatientProtocol, time.monotonic()
        kind._unlogged += 1
        if now - kind._logged_at >= 10:
            log.warning("http.connection.put_out", why=why, count=kind._unlogged)
            kind._logged_at, kind._unlogged = now, 0
