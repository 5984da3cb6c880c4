"""Records that were requested and did not come: hidden, deleted, or unknown which."""

from __future__ import annotations

import pytest

from app.core.messages import Message
from app.features.tickets.polling.apply_remote import DELETED, HIDDEN, NOT_SHOWN, why_missing
from app.integrations.servicenow.parse_response import ticket_of
from app.integrations.servicenow.schemas import Listed
from tests.factories.system import System
from tests.factories.tickets import (
    a_row,
    read_ticket,
    refresh_now,
    shared_ticket,
    told,
)


@pytest.mark.fact(
    "other-connectors bug-27",
    "other-connectors bug-28",
    "servicenow 2.5",
    "servicenow trap-38",
    "servicenow sandbox-50",
)
@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"hidden": True}, "the integration user may no longer see it"),
        ({"delete": True}, "Deleted in ServiceNow"),
    ],
)
async def test_a_record_that_is_gone_is_not_visible_and_not_closed(
    system: System, trouble: dict[str, bool], said: str
) -> None:
    """ServiceNow counts hidden records as well."""
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], **trouble)
    await refresh_now(system, later=3600)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.visible, ticket.state, ticket.delivery) == (False, "1", "shared")
    page = await told(system, f"/tickets/{ticket_id}")
    assert said in page
    assert "(last known)" in page
    assert "Closed" not in page


@pytest.mark.fact("other-connectors bug-27", "other-connectors bug-28", "servicenow 2.5")
async def test_what_the_count_cannot_tell_is_not_claimed(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """One was deleted and one hidden, and both were asked for together; or the instance does not count."""
    await system.connect()
    (first_id, first), (second_id, second) = await shared_ticket(system), await shared_ticket(system)
    system.servicenow.control("records", number=first["number"], delete=True)
    system.servicenow.control("records", number=second["number"], hidden=True)
    await refresh_now(system, later=3600)
    for ticket_id in (first_id, second_id):
        assert "no longer shows this record to us" in await told(system, f"/tickets/{ticket_id}")
    third_id, third = await shared_ticket(system)
    monkeypatch.setattr("app.integrations.servicenow.parse_response.counted", lambda _: None)
    system.servicenow.control("records", number=third["number"], delete=True)
    await refresh_now(system, later=3600)
    assert "no longer shows this record to us" in await told(system, f"/tickets/{third_id}")


@pytest.mark.fact("other-connectors bug-27", "other-connectors bug-28")
async def test_a_hidden_record_that_is_deleted_later_is_reported_once_more(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], hidden=True)
    for _ in range(2):
        await refresh_now(system, later=3600)
    system.servicenow.control("records", number=record["number"], delete=True)
    for _ in range(2):
        await refresh_now(system, later=3600)
    page = await told(system, f"/tickets/{ticket_id}")
    assert page.count("Deleted in ServiceNow") == 2, "above, and once in its history"
    assert page.count("may no longer see it") == 1


@pytest.mark.fact("other-connectors bug-27")
async def test_a_hidden_record_that_comes_back_is_followed_again(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], hidden=True)
    await refresh_now(system, later=3600)
    system.servicenow.control("records", number=record["number"], hidden=False)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"}, silent=True)
    await refresh_now(system, later=3600)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.visible, ticket.state) == (True, "2")


@pytest.mark.fact("servicenow 2.5", "servicenow trap-38")
@pytest.mark.parametrize(
    ("rows", "total", "requested", "reason"),
    [
        (0, 0, 1, DELETED),
        (0, 1, 1, HIDDEN),
        (1, 1, 3, DELETED),
        (1, 3, 3, HIDDEN),
        (1, 2, 3, NOT_SHOWN),
        (0, None, 1, NOT_SHOWN),
    ],
)
def test_the_count_tells_deleted_from_hidden(rows: int, total: int | None, requested: int, reason: Message) -> None:
    page = Listed([ticket_of(a_row(sys_id=f"{number:032x}")) for number in range(rows)], total, None)
    assert why_missing(page, [f"{number:032x}" for number in range(requested)]) is reason


def test_each_reason_has_a_code_of_its_own() -> None:
    assert len({DELETED.code, HIDDEN.code, NOT_SHOWN.code, None}) == 4
