"""Lookups by correlation ID: which ids are asked for, and which answers prove nothing."""

from __future__ import annotations

import pytest

from app.integrations.http.errors import QueryIgnored
from tests.factories.tickets import (
    ScriptedServiceNow,
    a_row,
    client_over,
    replied,
)


@pytest.mark.fact("other-connectors bug-21", "servicenow trap-5")
@pytest.mark.parametrize(
    "wrong",
    [
        "",
        " ",
        "None",
        "null",
        "undefined",
        "a" * 31,
        "a" * 33,
        "A" * 32,
        "g" * 32,
        "a" * 32 + "^ORstate=1",
        "a" * 32 + "\n",
    ],
)
async def test_an_empty_or_strange_correlation_id_never_becomes_a_request(wrong: str) -> None:
    transport = ScriptedServiceNow(replied([]))
    with pytest.raises(ValueError, match="of our own making"):
        await client_over(transport).find_by_correlation("incident", wrong)
    assert transport.requests == []


@pytest.mark.fact("other-connectors bug-22", "servicenow trap-6")
@pytest.mark.parametrize("other", ["", "b" * 32])
async def test_rows_that_were_not_asked_for_prove_nothing(other: str) -> None:
    """An instance that ignores the condition answers with other people's tickets; ours may be among those it left out."""
    others = [a_row(), a_row(correlation_id={"value": other, "display_value": other})]
    with pytest.raises(QueryIgnored, match="listed other records"):
        await client_over(ScriptedServiceNow(replied(others))).find_by_correlation("incident", "a" * 32)


@pytest.mark.fact("other-connectors bug-22")
async def test_a_row_without_its_id_and_a_count_without_a_row_prove_nothing() -> None:
    row = a_row()
    del row["correlation_id"]
    with pytest.raises(QueryIgnored, match="does not show the integration user the field"):
        await client_over(ScriptedServiceNow(replied([row]))).find_by_correlation("incident", "a" * 32)
    with pytest.raises(QueryIgnored, match="counts a record"):
        await client_over(ScriptedServiceNow(replied([], x_total_count="1"))).find_by_correlation("incident", "a" * 32)
    assert (
        await client_over(ScriptedServiceNow(replied([], x_total_count="0"))).find_by_correlation("incident", "a" * 32)
        == []
    )
