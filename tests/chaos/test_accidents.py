"""The accidents are the document's, and the tools that cause them do what they say."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.chaos.accidents import ACCIDENTS
from tests.chaos.shifted_worker import ShiftedClock
from tests.chaos.tcp_link import tcp_link
from tests.conventions.files import ROOT


def test_the_document_has_a_row_for_every_accident_and_no_other() -> None:
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    table = text.partition("| accident | tickets/s before |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([^|-][^|]*?) \|", table, re.MULTILINE)
    assert rows == [accident.title for accident in ACCIDENTS]


def test_no_two_accidents_share_a_name() -> None:
    assert len({accident.name for accident in ACCIDENTS}) == len(ACCIDENTS)


def test_a_clock_is_as_far_ahead_as_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    assert abs(ShiftedClock(file).now() - datetime.now(UTC)) < timedelta(minutes=1)
    file.write_text("-600")
    behind = datetime.now(UTC) - ShiftedClock(file).now()
    assert timedelta(minutes=9) < behind < timedelta(minutes=11)


async def test_a_link_passes_loses_and_passes_again(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_unix_server(echo, path)
    async with server:
        with tcp_link(path) as link:
            reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            link.lose_packets()
            writer.write(b"two")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(3), 0.3)
            link.pass_again()
            new_reader, new_writer = await asyncio.open_connection("127.0.0.1", link.port)
            new_writer.write(b"new")
            assert await new_reader.readexactly(3) == b"new"
            # What was connected meanwhile hears nothing any more, as after a failover.
            writer.write(b"three")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(5), 0.3)
            for one in (writer, new_writer):
                one.close()
                await one.wait_closed()
        # The server closes its ends once the link is gone.
        await asyncio.sleep(0.2)
