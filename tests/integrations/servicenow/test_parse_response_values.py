"""Values of records and choices in every shape that the APIs give them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.integrations.http.errors import InvalidResponse
from app.integrations.servicenow import protocol
from app.integrations.servicenow.parse_response import canonical_state, choices_of, parse_time, ticket_of
from app.integrations.servicenow.protocol import format_time
from tests.factories.tickets import (
    a_row,
)

ORIGIN = "https://contoso.service-now.com"


FIRST, LAST = datetime(1970, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 - a zone is drawn to it.


@pytest.mark.fact("other-connectors bug-26")
def test_odd_sys_ids_are_taken_from_the_server_and_refused_in_requests() -> None:
    assert ticket_of(a_row(sys_id="ABCDEF" + "0" * 26)).sys_id == "abcdef" + "0" * 26
    assert ticket_of(a_row(sys_id="glide.maint")).sys_id == "glide.maint"
    for wrong in ("", "a^b", "a,b", "a b", "x" * 65):
        with pytest.raises(InvalidResponse):
            ticket_of(a_row(sys_id=wrong))
        with pytest.raises(ValueError, match="sys_id"):
            protocol.records_request(ORIGIN, "incident", protocol.ByIds([wrong]))


@pytest.mark.fact("other-connectors bug-31", "servicenow trap-17")
@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("-5", "-5"), (-5, "-5"), (-5.0, "-5"), ("-5.0", "-5"), (3.0, "3"), (0, "0"), ("0", "0"), (False, "false"),
        ("", ""), (None, ""), ("Closed", "Closed"), ("3.5", "3.5"), (" 7 ", "7"), ("1e3", "1e3"), ("٣", "٣"),
    ],
)  # fmt: skip
def test_numbers_of_either_api_are_the_same_state(value: object, plain: str) -> None:
    assert canonical_state(value) == plain
    assert ticket_of(a_row(state={"value": value, "display_value": "x"})).state == plain


@pytest.mark.fact("other-connectors bug-32")
def test_a_workers_own_state_is_not_the_records() -> None:
    row = a_row(worker={"state": {"value": "9"}, "value": "w"}, messages=[{"state": "8"}])
    assert ticket_of(row).state == "2"


@pytest.mark.fact("other-connectors bug-42", "servicenow 4.4")
def test_choices_come_in_english_or_in_another_language() -> None:
    def choice(value: str, label: str, language: str, name: str = "incident") -> dict[str, str]:
        return {"name": name, "element": "state", "value": value, "label": label, "language": language}

    rows = [
        choice("1", "Neu", "de"),
        choice("1", "New", "en"),
        choice("7", "Geschlossen", "de"),
        choice("1", "X", "fr"),
    ]
    found = choices_of(rows, "incident", "state")
    assert [(one.value, one.label) for one in found] == [("1", "New"), ("7", "Geschlossen")]
    others = [choice("9", "Other", "en") | {"element": "priority"}, choice("9", "Other", "en", "problem")]
    assert choices_of(others, "incident", "state") == []


@pytest.mark.fact("servicenow 4.4")
@pytest.mark.parametrize("is_first", [True, False])
def test_a_retired_choice_counts_only_where_no_active_one_has_its_value(is_first: bool) -> None:
    retired = {"value": "3", "label": "Awaiting Problem", "inactive": "true", "sequence": "3"}
    rows = [retired, {"value": "3", "label": "On Hold", "inactive": "false", "sequence": "4"}]
    rows = [row | {"name": "incident", "element": "state", "language": "en"} for row in rows]
    rows.append(retired | {"name": "incident", "element": "state", "language": "en", "value": "4"})
    found = choices_of(rows if is_first else list(reversed(rows)), "incident", "state")
    assert {(one.value, one.label) for one in found} == {("3", "On Hold"), ("4", "Awaiting Problem")}


@pytest.mark.fact("servicenow 2.4")
def test_a_record_with_display_values_only_is_not_taken_for_the_raw_one() -> None:
    shown = {name: value.get("display_value", "") for name, value in a_row().items()}
    with pytest.raises(InvalidResponse):
        ticket_of(shown)


@pytest.mark.fact("other-connectors bug-44", "servicenow 2.4", "servicenow trap-16")
@pytest.mark.parametrize(
    ("shape", "label"),
    [
        ("", ""), (None, ""), ("6816f79cc0a8016401c5a33be04be441", "6816f79cc0a8016401c5a33be04be441"),
        ({"link": "https://x/api", "value": "6816f79c"}, ""), ({"display_value": "Fred", "link": "https://x/api"}, "Fred"),
        ({"display_value": "Fred", "value": "6816f79c"}, "Fred"), ({"display_value": None, "value": ""}, ""),
        ({}, ""), ([], ""),
    ],
)  # fmt: skip
def test_references_come_in_many_shapes(shape: object, label: str) -> None:
    assert ticket_of(a_row(assigned_to=shape)).assigned_to == label


@pytest.mark.fact("other-connectors bug-49", "servicenow 2.4")
@given(st.builds(lambda moment, zone: moment.replace(tzinfo=zone), st.datetimes(FIRST, LAST), st.timezones()))
def test_times_survive_the_way_there_and_back(moment: datetime) -> None:
    back = parse_time(format_time(moment))
    assert back is not None
    assert back == moment.astimezone(UTC).replace(microsecond=0)


@pytest.mark.fact("other-connectors bug-49")
@pytest.mark.parametrize(
    "text", ["", "soon", "2026-11-20", "2026-11-20T09:00:00Z", "2026-13-01 00:00:00", "20.11.2026 09:00:00"]
)
def test_a_text_that_is_no_time_of_theirs_is_none(text: str) -> None:
    assert parse_time(text) is None
