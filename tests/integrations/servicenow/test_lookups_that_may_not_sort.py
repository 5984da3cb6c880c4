"""A query that sorts is asked once more without an order where a query rule refuses it, and its rows are sorted here."""

from __future__ import annotations

import pytest

from app.integrations.http.errors import Forbidden
from tests.factories.tickets import ScriptedServiceNow, a_row, client_over, replied

REFUSED = replied(
    status=403, body='{"error":{"message":"Insufficient rights to query records","detail":null},"status":"failure"}'
)
OLDER, NEWER = "2026-11-20 09:00:00", "2026-11-20 10:00:00"


def queries(transport: ScriptedServiceNow) -> list[str]:
    return [request.query["sysparm_query"] for request in transport.requests]


@pytest.mark.fact("servicenow 2.3")
async def test_a_lookup_by_correlation_id_survives_a_refused_order_and_gives_the_oldest_first() -> None:
    rows = [a_row(sys_id="b" * 32, sys_created_on=NEWER), a_row(sys_id="c" * 32, sys_created_on=OLDER)]
    transport = ScriptedServiceNow(REFUSED, replied(rows))
    found = await client_over(transport).find_by_correlation("incident", "a" * 32)
    assert [ticket.sys_id for ticket in found] == ["c" * 32, "b" * 32]
    assert queries(transport)[1] == f"correlation_id={'a' * 32}"


@pytest.mark.fact("servicenow 2.3")
async def test_choices_survive_a_refused_order_and_come_in_their_sequence() -> None:
    rows = [
        {"name": "incident", "element": "state", "value": value, "label": label, "sequence": sequence, "language": "en"}
        for value, label, sequence in (("6", "Resolved", "10"), ("1", "New", "1"), ("2", "In Progress", "2"))
    ]
    transport = ScriptedServiceNow(REFUSED, replied(rows))
    choices = await client_over(transport).choices("incident", "state")
    assert [choice.label for choice in choices] == ["New", "In Progress", "Resolved"]
    assert queries(transport)[1] == "name=incident^ORname=task^element=state"


@pytest.mark.fact("servicenow 2.3")
async def test_journal_entries_survive_a_refused_order_and_come_newest_first() -> None:
    rows = [
        {"element": "work_notes", "element_id": "b" * 32, "value": text, "sys_created_by": "x", "sys_created_on": when}
        for text, when in (("first", OLDER), ("second", NEWER))
    ]
    transport = ScriptedServiceNow(REFUSED, replied(rows))
    found = await client_over(transport).journal_rows("b" * 32)
    assert [row.text for row in found] == ["second", "first"]
    assert "ORDERBY" not in queries(transport)[1]


async def test_what_is_refused_for_another_reason_is_not_asked_again() -> None:
    refused = replied(status=403, body='{"error":{"message":"User Not Authorized","detail":""},"status":"failure"}')
    transport = ScriptedServiceNow(refused)
    with pytest.raises(Forbidden):
        await client_over(transport).find_by_correlation("incident", "a" * 32)
    assert len(transport.requests) == 1


@pytest.mark.parametrize("asked", ["by id", "journal", "release"])
async def test_what_fits_on_one_page_in_any_order_is_asked_for_without_one(asked: str) -> None:
    transport = ScriptedServiceNow(replied([]))
    client = client_over(transport)
    if asked == "by id":
        await client.find_by_sys_ids("incident", ["b" * 32])
    elif asked == "release":
        await client.release()
    else:
        with pytest.raises(Exception, match="no such record"):
            await client.journal("incident", "b" * 32)
    assert "ORDERBY" not in queries(transport)[0]
