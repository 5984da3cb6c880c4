"""A page is believed only if every row on it was asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.features.tickets.polling.fetch_page import MOST_OTHER_ROWS, fits
from app.features.tickets.types import MARKERS, TicketKind
from app.integrations.servicenow.parse_response import ticket_of
from app.integrations.servicenow.protocol import ByIds, Changed
from app.integrations.servicenow.schemas import RemoteTicket
from tests.factories.tickets import a_row

MARKER = MARKERS[TicketKind.INCIDENT]
ASKED = Changed(marker=MARKER, since=datetime(2026, 11, 20, 9, 0, 0, 999, tzinfo=UTC))


def many(count: int, **changes: str) -> list[RemoteTicket]:
    """Rows with these values, in the order of their ids."""
    return [ticket_of(a_row(sys_id=f"{number:032x}", **changes)) for number in range(1, count + 1)]


@pytest.mark.fact("other-connectors bug-22", "servicenow trap-6")
@pytest.mark.parametrize(
    ("changes", "fitting"),
    [
        ({}, True),
        ({"sys_updated_on": "2026-11-20 08:59:59"}, False),
        ({"sys_updated_on": ""}, True),
        ({"correlation_display": MARKER.upper()}, True),
        ({"correlation_display": MARKER.replace("o", "ò") + " "}, True),
        ({"correlation_display": "Another"}, False),
        ({"correlation_display": "", "sys_created_by": "abel.tuter"}, False),
        ({"correlation_display": "", "sys_created_by": ""}, False),
    ],
)
def test_rows_have_to_be_ours_and_recent_enough(changes: dict[str, str], fitting: bool) -> None:
    assert fits(many(MOST_OTHER_ROWS + 1, **changes), ASKED) is fitting


def test_a_few_rows_of_others_prove_nothing() -> None:
    assert fits([*many(MOST_OTHER_ROWS, correlation_display="Another"), ticket_of(a_row(sys_id="f" * 32))], ASKED)
    assert fits(many(1, correlation_display="Another", sys_updated_on="2020-01-01 00:00:00"), ASKED)


def test_rows_asked_for_by_their_ids_as_well_may_be_old_and_without_a_marker() -> None:
    rows = many(MOST_OTHER_ROWS + 1, correlation_display="", sys_updated_on="2020-01-01 00:00:00")
    assert not fits(rows, ASKED)
    assert fits(rows, replace(ASKED, also=[row.sys_id for row in rows]))
    assert not fits(rows[::-1], replace(ASKED, also=[row.sys_id for row in rows]))


def test_ids_that_were_imported_with_other_signs_have_no_order() -> None:
    assert fits([ticket_of(a_row(sys_id=sys_id)) for sys_id in ("0" * 32, "imported_B", "Imported-a", "f" * 32)], ASKED)


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
