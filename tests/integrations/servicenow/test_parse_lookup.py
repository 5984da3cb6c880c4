"""Rows by which records of ours are found again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.integrations.http.errors import QueryIgnored
from app.integrations.http.http_types import RemoteResponse
from app.integrations.servicenow.parse_lookup import HIDDEN_OWNER, IGNORED, emptied_of
from tests.factories.tickets import a_row

MARKER = "Microsoft 365 Security and Configuration Incident"


def answer(row: dict[str, Any]) -> RemoteResponse:
    headers = {"content-type": "application/json", "x-total-count": "1"}
    return RemoteResponse(200, headers, json.dumps({"result": [row]}).encode())


@pytest.mark.fact("servicenow 2.6", "servicenow trap-15")
def test_a_row_that_shows_neither_marker_nor_creator_is_not_called_another_record() -> None:
    row = a_row(correlation_id={"value": "", "display_value": ""})
    assert len(emptied_of(answer(row), MARKER, "m365.integration").rows) == 1
    del row["correlation_display"]
    with pytest.raises(QueryIgnored) as hidden:
        emptied_of(answer(row), MARKER, "m365.integration")
    assert hidden.value.message == HIDDEN_OWNER
    with pytest.raises(QueryIgnored) as other:
        emptied_of(answer(row | {"sys_created_by": "a.person"}), MARKER, "m365.integration")
    assert other.value.message == IGNORED
