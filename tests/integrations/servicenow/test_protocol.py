"""Requests to the Table API: what each asks for, and what may never enter a query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.integrations.http.http_types import Request
from app.integrations.servicenow import protocol
from app.integrations.servicenow.protocol import IDS_PER_CALL, TICKET_FIELDS, ByIds, Changed

ORIGIN = "https://dev00001.service-now.com"
OURS = "0123456789abcdef0123456789abcdef"
SINCE = datetime(2026, 11, 28, 9, 30, 15, 999_999, tzinfo=UTC)


def changed(asked: Changed) -> Request:
    return protocol.records_request(ORIGIN, "incident", asked)


def by_ids(sys_ids: Sequence[str]) -> Request:
    return protocol.records_request(ORIGIN, "change_request", ByIds(sys_ids))


def query(request: Request) -> str:
    return request.query["sysparm_query"]


EVERY_READ: dict[str, Request] = {
    "find": protocol.find_by_correlation_request(ORIGIN, "incident", OURS),
    "changed": changed(Changed("marker", SINCE)),
    "by ids": by_ids([OURS]),
    "journal": protocol.journal_request(ORIGIN, "incident", OURS),
    "sight": protocol.sight_request(ORIGIN, "incident"),
    "choices": protocol.choices_request(ORIGIN, "incident", "state"),
    "release": protocol.release_request(ORIGIN),
    "whoami": protocol.whoami_request(ORIGIN),
}


@pytest.mark.fact("servicenow trap-35", "servicenow sandbox-26")
@pytest.mark.parametrize("name", EVERY_READ)
def test_every_read_names_its_fields_has_a_limit_and_uses_version_2(name: str) -> None:
    request = EVERY_READ[name]
    assert request.method == "GET"
    assert request.body is None
    assert request.url.startswith(f"{ORIGIN}/api/now/v2/table/")
    assert request.query["sysparm_fields"]
    assert 0 < int(request.query["sysparm_limit"]) <= 1000


@pytest.mark.parametrize("name", [name for name in EVERY_READ if name != "sight"])
def test_every_read_has_a_condition_except_the_one_that_asks_for_any_record(name: str) -> None:
    assert "=" in query(EVERY_READ[name]) or "IN" in query(EVERY_READ[name])


@pytest.mark.fact("servicenow sandbox-23")
@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (SINCE, "2026-11-28 09:30:15"),
        (datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2025-12-31 19:00:00"),
        (datetime(2026, 7, 1, 23, 0, tzinfo=timezone(timedelta(hours=-7))), "2026-07-02 06:00:00"),
    ],
)
def test_times_are_written_in_utc_to_the_second(moment: datetime, written: str) -> None:
    assert protocol.format_time(moment) == written


@pytest.mark.fact("servicenow 2.4")
def test_a_create_sends_the_record_and_asks_for_what_we_follow_and_what_we_set() -> None:
    record = {"short_description": "Require MFA", "correlation_id": OURS, "u_reason": "audit"}
    request = protocol.create_request(ORIGIN, "incident", record)
    assert (request.method, request.url) == ("POST", f"{ORIGIN}/api/now/v2/table/incident")
    assert request.body == record
    assert request.query["sysparm_fields"].split(",") == [*TICKET_FIELDS, "short_description", "u_reason"]
    assert request.query["sysparm_display_value"] == "all"


@pytest.mark.fact("servicenow 6", "servicenow 2.5")
def test_a_lookup_asks_for_our_id_alone_oldest_first_and_counts_hidden_records() -> None:
    request = protocol.find_by_correlation_request(ORIGIN, "incident", OURS, ["u_reason"])
    assert query(request) == f"correlation_id={OURS}^ORDERBYsys_created_on^ORDERBYsys_id"
    assert request.query["sysparm_no_count"] == "false"
    assert request.query["sysparm_fields"].endswith(",u_reason")


@pytest.mark.fact("servicenow 2.3")
@pytest.mark.parametrize(
    "odd",
    [
        "",
        OURS.upper(),
        OURS[:-1],
        f"{OURS}0",
        f"{OURS}\n",
        f"{OURS}^ORactive=true",
        "0b7c1c8e-0000-4a6e-9c3e-5d1f0a00ffff",
    ],
)
def test_a_lookup_takes_no_id_but_ours(odd: str) -> None:
    with pytest.raises(ValueError, match="of our own making"):
        protocol.find_by_correlation_request(ORIGIN, "incident", odd)


def test_changed_records_are_ours_by_marker_since_a_time_in_the_order_of_a_unique_key() -> None:
    asked = Changed("marker", SINCE, after=OURS, limit=50)
    changes = f"correlation_display=marker^sys_updated_on>=2026-11-28 09:30:15^sys_id>{OURS}"
    assert query(changed(asked)) == f"{changes}^ORDERBYsys_id"
    also = replace(asked, also=["a" * 32, "b" * 32])
    assert query(changed(also)) == f"{changes}^NQsys_idIN{'a' * 32},{'b' * 32}^sys_id>{OURS}^ORDERBYsys_id"
    assert changed(asked).query["sysparm_limit"] == "50"


@pytest.mark.fact("servicenow sandbox-24")
def test_changed_records_are_counted_and_a_page_is_skipped_only_when_asked() -> None:
    first, second = changed(Changed("marker", SINCE)).query, changed(Changed("marker", SINCE, offset=200)).query
    assert first["sysparm_no_count"] == "false"
    assert "sysparm_offset" not in first
    assert second["sysparm_offset"] == "200"
    assert second["sysparm_query"] == first["sysparm_query"]


@pytest.mark.fact("other-connectors bug-26")
def test_imported_records_with_an_odd_id_can_be_asked_for() -> None:
    assert query(by_ids([OURS, "INC-legacy_1.a"])) == f"sys_idIN{OURS},INC-legacy_1.a"


@pytest.mark.fact("servicenow 2.9")
@pytest.mark.parametrize("count", [0, IDS_PER_CALL + 1])
def test_a_call_asks_for_some_records_and_not_for_too_many(count: int) -> None:
    assert by_ids([OURS] * IDS_PER_CALL).query["sysparm_limit"] == str(IDS_PER_CALL)
    with pytest.raises(ValueError, match="between 1 and"):
        by_ids([OURS] * count)


@pytest.mark.fact("other-connectors bug-23")
@pytest.mark.parametrize(
    "build",
    [
        lambda text: changed(Changed(text, SINCE)),
        lambda text: changed(Changed("marker", SINCE, also=[text])),
        lambda text: changed(Changed("marker", SINCE, after=text)),
        lambda text: by_ids([text]),
        lambda text: protocol.note_request(ORIGIN, "incident", text, "A note."),
        lambda text: protocol.journal_request(ORIGIN, "incident", text),
        lambda text: protocol.choices_request(ORIGIN, "incident", text),
    ],
)
@given(st.tuples(st.text(max_size=10), st.text(max_size=10)).map("^".join))
def test_a_caret_never_enters_a_query_or_a_path(build: Callable[[str], Request], text: str) -> None:
    with pytest.raises(ValueError, match=r"may not enter|not a sys_id"):
        build(text)


@pytest.mark.fact("other-connectors bug-67")
def test_a_note_is_one_update_of_one_record_and_of_no_other_field() -> None:
    request = protocol.note_request(ORIGIN, "incident", OURS, "a^b\n[portal]")
    assert (request.method, request.url) == ("PATCH", f"{ORIGIN}/api/now/v2/table/incident/{OURS}")
    assert request.body == {"work_notes": "a^b\n[portal]"}


def test_the_user_of_a_token_is_asked_for_by_the_instance_itself() -> None:
    request = EVERY_READ["whoami"]
    assert query(request) == "sys_id=javascript:gs.getUserID()"
    # An instance that ignores the condition answers more than one row, and that has to be seen.
    assert request.query["sysparm_limit"] == "2"
