"""Any JSON at all from an instance is a bounded value or a RemoteError: nothing else is raised, and nothing is unbounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, is_dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.integrations.http.errors import RemoteError
from app.integrations.http.http_types import RemoteResponse, clock_ahead
from app.integrations.servicenow import field_lookup, parse_response, probes
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.oauth import ServiceNowOAuth
from app.integrations.servicenow.parse_page import page_of
from app.integrations.servicenow.protocol import ByIds
from app.integrations.servicenow.responder import consent_page_of, responder_of, seen_address
from tests.factories.tickets import ScriptedServiceNow, a_row, client_over, replied

ANY_TEXT = st.text(st.characters(codec=None), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
# Columns that are read somewhere, so that the values get past the names.
COLUMNS = (
    "sys_id", "number", "state", "priority", "correlation_id", "correlation_display", "sys_class_name", "assigned_to",
    "sys_created_on", "sys_updated_on", "name", "user_name", "email", "value", "label", "element", "inactive", "language",
    "sequence", "active", "redirect_url", "client_id", "access_token_lifespan", "role.name", "user", "max_length",
    "internal_type", "reference", "column_label", "work_notes", "comments", "element_id", "sys_created_by", "locked_out",
)  # fmt: skip
SYS_ID = "0" * 31 + "1"
ROW = st.dictionaries(st.sampled_from(COLUMNS), JSON | st.fixed_dictionaries({"value": JSON, "display_value": JSON}))
ROWS = st.lists(ROW.map(lambda row: {"sys_id": SYS_ID, "name": "incident", "element": "state"} | row), max_size=4)
RESULT = JSON | ROWS | ROW
HEADERS = st.dictionaries(
    st.sampled_from(["date", "retry-after", "x-total-count", "x-ratelimit-limit", "x-ratelimit-reset", "location"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)
    | st.sampled_from(
        ["Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359", "1e400", "http://[", "9" * 400]
    ),
)
LONGEST = 70_000

CALLS: list[Callable[[ServiceNowClient], Awaitable[Any]]] = [
    lambda client: client.create("incident", {"short_description": "x"}),
    lambda client: client.find_by_correlation("incident", "0" * 32),
    lambda client: client.find_by_sys_ids("incident", [SYS_ID]),
    lambda client: client.emptied("incident", "marker", "m365"),
    lambda client: client.newest("incident"),
    lambda client: client.fetch_page("incident", ByIds([SYS_ID])),
    lambda client: client.add_note("incident", SYS_ID, "x"),
    lambda client: client.journal("incident", SYS_ID),
    lambda client: client.journal_rows(SYS_ID),
    lambda client: client.choices("incident", "state"),
    lambda client: client.release(),
    lambda client: client.whoami(),
    lambda client: field_lookup.list_active_choices(client, "incident", ["state"]),
    lambda client: field_lookup.search_records(client, "sys_user", ""),
    lambda client: field_lookup.find_record(client, "sys_user", SYS_ID),
    lambda client: field_lookup.list_change_models(client),
    lambda client: probes.read_table(client, "incident"),
    lambda client: probes.try_to_change(client, "incident"),
    lambda client: probes.list_changes(client, "incident", "marker"),
    lambda client: probes.count_unrelated(client, "incident", "0" * 32),
    lambda client: probes.find_client(client, "abc"),
    lambda client: probes.find_account(client, SYS_ID),
    lambda client: probes.list_roles(client, SYS_ID),
    lambda client: probes.list_columns(client, "incident"),
    lambda client: probes.list_groups(client, ""),
]


def texts_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if is_dataclass(value) and not isinstance(value, type):
        return texts_in(asdict(value))
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in texts_in(item)]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [text for item in value for text in texts_in(item)]
    return []


def taken_up(call: Callable[[ServiceNowClient], Awaitable[Any]], *answers: RemoteResponse) -> Any:
    async def run() -> Any:
        return await call(client_over(ScriptedServiceNow(*answers)))

    try:
        return asyncio.run(run())
    except RemoteError as error:
        return str(error)


@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
@settings(max_examples=25)
@given(result=RESULT, headers=HEADERS, status=st.sampled_from([200, 201, 400, 403, 404, 429, 500, 302]))
def test_any_result_is_a_bounded_value_or_a_remote_error(
    call: Callable[[ServiceNowClient], Awaitable[Any]], result: object, headers: dict[str, str], status: int
) -> None:
    body = json.dumps({"result": result} | ({"error": result, "status": "failure"} if status >= 400 else {}))
    answer = RemoteResponse(status, {"content-type": "application/json"} | headers, body.encode())
    found = taken_up(call, answer)
    for text in texts_in(found):
        text.encode()
        assert "\0" not in text
        assert len(text) <= LONGEST


@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
@settings(max_examples=25)
@given(body=st.binary(max_size=60), headers=HEADERS, kind=st.sampled_from(["application/json", "text/html", ""]))
def test_any_body_is_a_value_or_a_remote_error(
    call: Callable[[ServiceNowClient], Awaitable[Any]], body: bytes, headers: dict[str, str], kind: str
) -> None:
    found = taken_up(call, RemoteResponse(200, {"content-type": kind} | headers, body))
    for text in texts_in(found):
        text.encode()


@given(
    content=JSON
    | st.fixed_dictionaries({"access_token": JSON, "refresh_token": JSON, "expires_in": JSON, "scope": JSON})
)
def test_any_token_answer_is_tokens_or_a_remote_error(content: object) -> None:
    transport: Any = ScriptedServiceNow(
        RemoteResponse(200, {"content-type": "application/json"}, json.dumps(content).encode())
    )
    oauth = ServiceNowOAuth(transport, "https://x", client_id="c", client_secret="s", redirect_uri="https://us/")
    for work in (oauth.refresh("r"), oauth.exchange(code="c", code_verifier="v", state="s")):
        try:
            tokens = asyncio.run(_awaited(work))
        except RemoteError:
            continue
        assert tokens.access_token.isascii()
        assert len(tokens.scope) <= 255
        assert tokens.expires_in > 0
        tokens.scope.encode()


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


@given(body=st.binary(max_size=80), headers=HEADERS, status=st.sampled_from([200, 302, 401, 429, 503]))
def test_who_answered_is_told_of_any_answer(body: bytes, headers: dict[str, str], status: int) -> None:
    answer = RemoteResponse(status, {"content-type": "text/html"} | headers, body)
    assert responder_of(answer)
    assert consent_page_of(answer, "https://contoso.service-now.com/oauth_auth.do")
    assert len(seen_address(answer)) < 50
    clock_ahead(answer, 0.0, 1.0)
    parse_response.answered_at(answer)
    parse_response.counted(answer)
    parse_response.named_limit(answer)


def test_megabytes_in_every_column_become_columns() -> None:
    huge = "x" * 400_000
    row = a_row(
        **{name: {"value": huge, "display_value": huge} for name in ("number", "state", "priority", "assigned_to")}
    )
    ticket = parse_response.ticket_of(row)
    assert (len(ticket.number), len(ticket.state), len(ticket.priority)) == (40, 40, 40)
    assert (len(ticket.state_label), len(ticket.assigned_to)) == (255, 255)
    assert all(len(value) <= 65_536 for value in ticket.values.values())
    many = a_row(**{f"u_{number}": "1" for number in range(5_000)})
    assert len(parse_response.ticket_of(many).values) == parse_response.MOST_COLUMNS
    user = parse_response.user_of(replied([{"sys_id": SYS_ID, "user_name": huge, "name": huge, "email": huge}]))
    assert user is not None
    assert {len(user.user_name), len(user.name), len(user.email)} == {255}


def test_one_odd_record_hides_no_other_on_a_page_that_is_followed() -> None:
    good = a_row()
    page = page_of(replied([{"number": "no id"}, good, {"sys_id": "../x"}, {"sys_id": SYS_ID, "state": "label"}]))
    assert [row.sys_id for row in page.rows] == [parse_response.ticket_of(good).sys_id]
    assert page.unreadable == 3
    with pytest.raises(RemoteError):
        page_of(replied([{"number": "no id"}, {}, {}]))
    assert (page_of(replied([{}])).rows, page_of(replied([{}])).unreadable) == ([], 1)
