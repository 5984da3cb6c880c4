"""What a work note writes into the record."""

from __future__ import annotations

import json

import pytest

from tests.factories.system import System
from tests.factories.tickets import (
    calls,
    shared_ticket,
)


@pytest.mark.fact("other-connectors bug-40", "other-connectors bug-43")
async def test_nothing_of_a_record_is_ever_written_but_work_notes(system: System) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    async with await system.signed_in("sharer") as browser:
        typed = {"note": "Hello", "note_id": "00000000-0000-4000-8000-000000000001"}
        await browser.post(f"/tickets/{ticket_id}/notes", data=typed)
    await system.work()
    written = [json.loads(call.body) for call in calls(system) if call.method not in ("GET", "POST")]
    assert [list(body) for body in written] == [["work_notes"]]
