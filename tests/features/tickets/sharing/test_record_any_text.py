"""Any text that a person types arrives as it was sent, is shown harmless, and is cut visibly."""

from __future__ import annotations

import pytest

from tests.factories.system import System
from tests.factories.tickets import read_ticket, shared_ticket, told

pytestmark = pytest.mark.thorough

HOSTILE = [
    "Two\nlines\ttabbed",
    "n" * 161,
    "\U0001f512 locks \U0001f469\u200d\U0001f4bb and fam\u0301ily",
    "\u202eright to left\u202c",
    "nul\u0001 and \ufffe non-characters \U0001ffff",
    "<script>alert(1)</script> & 'quotes' \"double\" `ticks` ${x} {{ 7*7 }} %s %(x)s",
    "한국어 العربية ไทย",
]


@pytest.mark.fact("other-connectors bug-70", "other-connectors bug-71")
@pytest.mark.parametrize("name", HOSTILE)
async def test_any_name_arrives_as_sent_and_is_shown_harmless(system: System, name: str) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system, name=name, description=name)
    ticket = await read_ticket(system, ticket_id)
    assert ticket.differences == []
    assert record["short_description"] == ticket.record["short_description"]
    assert len(record["short_description"].encode("utf-16-le")) // 2 <= 160
    for address in (f"/tickets/{ticket_id}", "/tickets", "/"):
        page = await told(system, address)
        assert "<script>alert" not in page
        assert "{{ 7*7 }}" in page or "7*7" not in name


@pytest.mark.fact("other-connectors bug-70")
async def test_a_name_that_was_cut_is_said_to_be(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system, name="n" * 200)
    page = await told(system, f"/tickets/{ticket_id}")
    assert "ServiceNow keeps 160 characters of a name." in page
    assert "n" * 200 in page
    assert f"Task name: {'n' * 200}" in record["description"]
