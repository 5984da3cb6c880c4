"""Answers by which records of ours are found again: what they prove, and what they leave open."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.features.tickets.types import MARKERS, TicketKind
from app.integrations.http.errors import QueryIgnored
from app.integrations.http.http_types import RemoteResponse
from app.integrations.servicenow.parse_lookup import emptied_of
from tests.factories.tickets import a_row, replied

MARKER = MARKERS[TicketKind.INCIDENT]


def listing(*rows: dict[str, Any]) -> RemoteResponse:
    return replied(list(rows))


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


EMPTY = {"value": "", "display_value": ""}
OURS = a_row(correlation_id=EMPTY, sys_created_by={"value": "m365.integration", "display_value": "m365.integration"})


@pytest.mark.fact("servicenow 2.6")
@pytest.mark.parametrize(
    ("row", "code"),
    [
        (OURS | {"correlation_display": EMPTY, "sys_created_by": EMPTY}, "servicenow.query_ignored"),
        (OURS | {"correlation_id": {"value": "b" * 32, "display_value": ""}}, "servicenow.query_ignored"),
        (without(OURS, "correlation_display", "sys_created_by"), "servicenow.owner_hidden"),
    ],
)
def test_records_that_may_be_of_anyone_prove_nothing_and_the_cause_is_named(row: dict[str, Any], code: str) -> None:
    with pytest.raises(QueryIgnored) as raised:
        emptied_of(listing(row), MARKER, "m365.integration")
    assert raised.value.code == code


@pytest.mark.parametrize("hidden", ["correlation_display", "sys_created_by"])
def test_the_marker_or_the_creator_is_enough_to_know_a_record_of_ours(hidden: str) -> None:
    page = emptied_of(listing(without(OURS, hidden)), MARKER, "m365.integration")
    assert [row.sys_id for row in page.rows] == [json.loads(listing(OURS).body)["result"][0]["sys_id"]["value"]]
