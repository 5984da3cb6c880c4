"""A page is believed only if every row on it was asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.features.tickets.polling.fetch_page import fits
from app.features.tickets.types import MARKERS, TicketKind
from app.integrations.servicenow.parse_response import ticket_of
from app.integrations.servicenow.protocol import ByIds, Changed
from tests.factories.tickets import a_row

MARKER = MARKERS[TicketKind.INCIDENT]
ASKED = Changed(marker=MARKER, since=datetime(2026, 11, 20, 9, 0, 0, 999, tzinfo=UTC), created_by="m365.integration")


@pytest.mark.fact("other-connectors bug-22", "servicenow trap-6")
@pytest.mark.parametrize(
    ("changes", "fitting"),
    [
        ({}, True),
        ({"sys_updated_on": "2026-11-20 08:59:59"}, False),
        ({"sys_updated_on": ""}, True),
        ({"correlation_display": "Another"}, False),
        ({"correlation_display": "", "sys_created_by": "M365.Integration"}, True),
        ({"correlation_display": "", "sys_created_by": "abel.tuter"}, False),
        ({"correlation_display": "", "sys_created_by": ""}, False),
    ],
)
def test_a_row_has_to_be_ours_and_recent_enough(changes: dict[str, str], fitting: bool) -> None:
    assert fits([ticket_of(a_row(**changes))], ASKED) is fitting


def test_without_a_creator_in_the_query_the_marker_has_to_be_there() -> None:
    row = ticket_of(a_row(correlation_display="", sys_created_by=""))
    assert not fits([row], replace(ASKED, created_by=""))


@pytest.mark.fact("other-connectors bug-50")
def test_rows_come_in_the_order_of_their_ids_and_after_the_page_before() -> None:
    first, second = (ticket_of(a_row(sys_id="0" * 31 + last)) for last in "12")
    assert fits([first, second], ASKED)
    assert not fits([second, first], ASKED)
    assert not fits([first, first], ASKED)
    assert not fits([first], replace(ASKED, after=first.sys_id))
    assert fits([second], replace(ASKED, after=first.sys_id))


@pytest.mark.fact("servicenow trap-6")
def test_of_records_asked_for_by_their_ids_some_may_be_missing_and_none_another_one() -> None:
    first, second = (ticket_of(a_row(sys_id="0" * 31 + last)) for last in "12")
    asked = ByIds([first.sys_id, "0" * 32])
    assert fits([first], asked)
    assert fits([], asked)
    assert not fits([first, second], asked)
