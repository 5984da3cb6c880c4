"""Look-ups for fixed values: choices in use, records that fit, change models; what may not be read is none."""

from __future__ import annotations

from typing import Any

import pytest

from app.integrations.servicenow.field_lookup import (
    find_record,
    list_active_choices,
    list_change_models,
    search_records,
)
from tests.factories.tickets import ScriptedServiceNow, client_over, replied

MODEL = {"sys_id": "a" * 32, "name": "Cloud change", "active": "true"}
ROWS = [
    {"name": "change_request", "element": "type", "value": "normal", "label": "Normal", "language": "en"},
    {"name": "change_request", "element": "type", "value": "normal", "label": "Normale Änderung", "language": "de"},
    {"name": "change_request", "element": "type", "value": "old", "label": "Old", "language": "en", "inactive": "true"},
    {"name": "change_request", "element": "type", "value": "eigen", "label": "Eigene", "language": "de"},
    {"name": "task", "element": "type", "value": "parent", "label": "Of the parent", "language": "en"},
    {"name": "incident", "element": "type", "value": "foreign", "label": "Not asked for", "language": "en"},
]


def over(*replies: Any) -> tuple[Any, ScriptedServiceNow]:
    transport = ScriptedServiceNow(*replies)
    return client_over(transport), transport


@pytest.mark.fact("servicenow 4.4")
async def test_choices_in_use_come_once_with_the_english_label_and_without_those_of_the_parent() -> None:
    client, _ = over(replied(ROWS))
    found = await list_active_choices(client, "change_request", ["type", "no^such"])
    assert [(choice.value, choice.label) for choice in found["type"]] == [("normal", "Normal"), ("eigen", "Eigene")]


REFUSED = replied(status=403, body='{"error":{"message":"Operation Failed","detail":"no"},"status":"failure"}')
NO_TABLE = replied(status=400, body='{"error":{"message":"Invalid table chg_model","detail":null},"status":"failure"}')
NO_RECORD = replied(status=404, body='{"error":{"message":"No Record found","detail":"-"},"status":"failure"}')


@pytest.mark.fact("servicenow 4.2")
async def test_models_in_use_are_offered_and_none_where_they_may_not_be_read() -> None:
    client, transport = over(replied([MODEL, MODEL | {"sys_id": "b" * 32, "active": "false"}]))
    assert [(model.sys_id, model.name) for model in await list_change_models(client)] == [("a" * 32, "Cloud change")]
    assert "/table/chg_model" in transport.requests[0].url
    for reply in (REFUSED, NO_TABLE):
        client, _ = over(reply)
        assert await list_change_models(client) == []
        assert await list_active_choices(client, "change_request", ["type"]) == {}


@pytest.mark.fact("servicenow trap-6")
async def test_records_that_do_not_fit_what_was_typed_are_not_offered() -> None:
    rows = [{"sys_id": "a" * 32, "name": "Fred Luddy", "user_name": "fred"}, {"sys_id": "b" * 32, "name": "Other"}]
    client, _ = over(replied(rows))
    found = await search_records(client, "sys_user", "fred")
    assert found is not None
    assert [(record.sys_id, record.name) for record in found] == [("a" * 32, "Fred Luddy (fred)")]


async def test_a_record_is_found_by_its_number_where_it_has_no_such_name() -> None:
    client, transport = over(replied([]), replied([{"sys_id": "a" * 32, "number": "SVC0001"}]))
    found = await search_records(client, "cmdb_ci_service", "SVC0001")
    assert found is not None
    assert [record.name for record in found] == ["SVC0001"]
    assert [request.query["sysparm_query"].split("LIKE")[0] for request in transport.requests] == ["name", "number"]


@pytest.mark.parametrize(("table", "typed"), [("sys_user", "a^ORb"), ("../sys_user", "a"), ("sys_user?x", "")])
async def test_what_would_widen_a_query_never_leaves(table: str, typed: str) -> None:
    client, transport = over(replied([]))
    with pytest.raises(ValueError, match="may not enter"):
        await search_records(client, table, typed)
    assert await find_record(client, "../x", "a" * 32) is None
    assert transport.requests == []


async def test_a_table_that_may_not_be_read_finds_none_and_a_missing_record_is_none() -> None:
    client, _ = over(REFUSED)
    assert await search_records(client, "cmdb_ci", "x") is None
    client, _ = over(NO_RECORD)
    assert await find_record(client, "cmdb_ci", "a" * 32) is None
    client, _ = over(replied({"sys_id": "a" * 32, "name": "Mail"}))
    record = await find_record(client, "cmdb_ci", "a" * 32)
    assert record is not None
    assert record.name == "Mail"
