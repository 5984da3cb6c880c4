"""A TCP link to the database that can lose packets: what was connected then hears nothing any more, from either side."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.core.database_connection import KEEPALIVE

# The server asks a client that is silent, and ends the connection after this time.
NOTICED_SECONDS = sum(
    int(KEEPALIVE[f"keepalives_{part}"]) * times
    for part, times in (("idle", 1), ("interval", int(KEEPALIVE["keepalives_count"])))
)


class TcpLink:
    """Passes bytes between a port on loopback and PostgreSQL's socket, in a thread with a loop of its own."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._loop = asyncio.new_event_loop()
        self._lost: set[int] = set()
        self._open: set[int] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loses = False
        self.port = 0

    def lose_packets(self) -> None:
        """From now on nothing passes, in connections old and new. No side is told."""
        self._loses = True

    def pass_again(self) -> None:
        """New connections work. Those of the meantime stay as they are: the machine that held them is gone."""
        self._lost |= self._open
        self._loses = False

    def start(self) -> None:
        ready = threading.Event()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._listen())
            ready.set()
            self._loop.run_forever()
            self._loop.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0.05)  # Transports close in a later turn of the loop.

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number = id(writer)
        writers = [writer]
        self._open.add(number)
        try:
            # The client's own connect time-out ends it. An event cannot be set from another thread.
            while self._loses:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            database_reader, database_writer = await asyncio.open_unix_connection(self._socket_path)
            writers.append(database_writer)
            await asyncio.gather(
                self._pass(number, reader, database_writer),
                self._pass(number, database_reader, writer),
                self._notice(number, database_writer),
            )
        except (OSError, asyncio.CancelledError):
            return
        finally:
            self._tasks.discard(task)
            self._open.discard(number)
            self._lost.discard(number)
            for one in writers:
                one.close()
            # Closing is done by the loop in its next turn.
            await asyncio.sleep(0)

    async def _notice(self, number: int, database_writer: asyncio.StreamWriter) -> None:
        """End the server's side of a lost connection as its kernel would, which asks no questions on the socket behind us."""
        while not (self._loses or number in self._lost):
            if database_writer.is_closing():
                return
            await asyncio.sleep(0.05)
        await asyncio.sleep(NOTICED_SECONDS)
        database_writer.close()

    async def _pass(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self._loses or number in self._lost:
                    # Neither the bytes nor the end of the connection arrive.
                    self._lost.add(number)
                    continue
                writer.write(data)
                await writer.drain()
        if number not in self._lost:
            writer.close()


@contextmanager
def tcp_link(socket_path: str) -> Iterator[TcpLink]:
    """A link that passes until the block ends."""
    link = TcpLink(socket_path)
    link.start()
    try:
        yield link
    finally:
        link.stop()
