"""Lists, paging, limits, and answers that are not what they seem: bugs of other connectors, by number."""

from __future__ import annotations

import gc
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from sqlalchemy import text

from app.features.tickets import refresh as refreshing
from app.features.tickets.models import Pace
from app.features.tickets.pace import note_trouble, why_not_now
from app.features.tickets.ticket import MARKERS, Kind
from app.foundation import clock
from app.foundation.clock import SetClock
from app.remote.errors import Ambiguous, Garbled, Refused, RemoteError, Throttled
from app.remote.messages import Answer
from app.remote.servicenow.client import ServiceNowClient
from tests.factories.connecting import expire
from tests.factories.house import House
from tests.factories.tickets import (
    Scripted,
    a_row,
    calls,
    client_over,
    cursor,
    read_ticket,
    records,
    refresh_now,
    replied,
    run_due_and_waiting,
    share_one,
    shared_ticket,
    told,
)

SINCE = datetime(2026, 11, 20, 8, tzinfo=UTC)
PAGE = "<html><head><title>Instance Hibernating page</title></head><body>" + "x" * 5000 + "</body></html>"


async def several(house: House, count: int) -> list[str]:
    """The sys_ids of so many tickets that arrived."""
    for _ in range(count):
        await share_one(house, Kind.INCIDENT)
    await house.work()
    return [record["sys_id"] for record in records(house, "incident")]


async def move_all(house: House, state: str = "2") -> None:
    for record in records(house, "incident"):
        house.snow.control("records", number=record["number"], fields={"state": state})


async def states(house: House) -> set[str]:
    page = await told(house, "/tickets?group=new")
    return {record["number"] for record in records(house, "incident") if record["number"] in page}


async def test_bug_50_a_list_that_does_not_advance_is_left(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instance gives the first page again and again, whatever is asked."""
    monkeypatch.setattr(refreshing, "PAGE", 2)
    await house.connect()
    await several(house, 3)
    await move_all(house)
    page = await client_over_first_page(house)

    async def same(*_: object, **__: object) -> Any:
        return page

    monkeypatch.setattr("app.remote.servicenow.client.ServiceNowClient.fetch_changed", same)
    before = len(calls(house))
    await refresh_now(house)
    assert (await cursor(house)).changes_refused == 1
    assert len(calls(house)) <= before + 1


async def client_over_first_page(house: House) -> Any:
    rows = [a_row(sys_id=record["sys_id"]) for record in records(house, "incident")[:2]]
    moment = clock.now().strftime("%Y-%m-%d %H:%M:%S")
    rows = [row | {"sys_updated_on": {"value": moment}} for row in sorted(rows, key=lambda row: str(row["sys_id"]))]
    return await client_over(Scripted(replied(rows))).fetch_changed(
        "incident", marker=MARKERS[Kind.INCIDENT], since=SINCE, limit=2
    )


async def test_bug_51_every_page_is_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "PAGE", 3)
    await house.connect()
    await several(house, 10)
    await move_all(house)
    await refresh_now(house)
    assert await states(house) == set()


async def test_bug_52_every_list_is_in_a_unique_order(house: House) -> None:
    await house.connect()
    house.snow.instance.switches.shuffle_unordered = True
    await several(house, 3)
    await refresh_now(house, later=3600)
    asked = [call.query for call in calls(house, "GET")]
    assert asked
    assert all("ORDERBYsys_id" in query for query in asked)
    assert not any("sysparm_offset" in query for query in asked)


async def test_bug_53_a_page_cut_short_by_hidden_rows_is_not_the_last(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "PAGE", 4)
    await house.connect()
    ids = sorted(await several(house, 9))
    await move_all(house)
    numbers = {record["sys_id"]: record["number"] for record in records(house, "incident")}
    for sys_id in ids[1:3]:
        house.snow.control("records", number=numbers[sys_id], hidden=True)
    await refresh_now(house)
    assert await states(house) == {numbers[sys_id] for sys_id in ids[1:3]}


async def test_bug_54_no_link_is_followed_least_of_all_a_foreign_one(house: House) -> None:
    await house.connect()
    house.snow.instance.switches.foreign_links = True
    await several(house, 2)
    await refresh_now(house, later=3600)
    assert (await cursor(house)).problem is None
    assert all("sysparm_suppress_pagination_header=true" in call.query for call in calls(house, "GET"))


async def test_bug_55_fifty_ids_fit_where_long_questions_are_refused(house: House) -> None:
    await house.connect()
    ids = await several(house, 51)
    house.snow.instance.switches.long_query_limit = 500
    await refresh_now(house)
    await refresh_now(house, later=3600)
    assert (await cursor(house)).problem is None
    in_turn = [call.query for call in calls(house, "GET") if "sys_idIN" in call.query]
    assert [query.count("%2C") - query.split("sysparm_query")[0].count("%2C") for query in in_turn] == [49, 49, 0]
    assert len(ids) == 51


async def test_bug_56_an_error_in_the_middle_is_no_success(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "PAGE", 2)
    await house.connect()
    await several(house, 5)
    await refresh_now(house)
    before = await cursor(house)
    await move_all(house)
    monkeypatch.setattr(refreshing, "OVERLAP", timedelta(minutes=10))
    pages = 0
    fetch = "app.remote.servicenow.client.ServiceNowClient.fetch_changed"
    real = ServiceNowClient.fetch_changed

    async def second_page_breaks(*args: Any, **kwargs: Any) -> Any:
        nonlocal pages
        pages += 1
        if pages == 2:
            raise Garbled
        return await real(*args, **kwargs)

    monkeypatch.setattr(fetch, second_page_breaks)
    await refresh_now(house)
    after = await cursor(house)
    assert after.problem is not None
    assert (after.watermark, after.succeeded_at) == (before.watermark, before.succeeded_at)
    monkeypatch.setattr(fetch, real)
    await refresh_now(house)
    assert (await cursor(house)).problem is None
    assert await states(house) == set()


@pytest.mark.parametrize("trouble", ["broken_json", "partial_result"])
async def test_bug_57_a_list_that_breaks_off_changes_nothing(house: House, trouble: str) -> None:
    await house.connect()
    await several(house, 3)
    await move_all(house)
    before = await states(house)
    house.snow.fault(trouble, method="GET")
    await refresh_now(house)
    assert await states(house) == before
    assert "broke off" in str((await cursor(house)).problem)
    assert "broke off" in await told(house, "/")


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({}, 3, 8),
        ({"retry_after": "0"}, 1, 1),
        ({"retry_after": "7"}, 7, 7),
        ({"retry_after": "3600"}, 3600, 3600),
        ({"retry_after": "7200"}, 7200, 7200),
        ({"retry_after": "999999"}, 86_400, 86_400),
        ({"retry_after": "-5"}, 1, 1),
        ({"retry_after": "soon"}, 3, 8),
        ({"retry_after": "NaN"}, 3, 8),
        ({"retry_after": format_datetime(datetime(2026, 11, 20, 9, 2, tzinfo=UTC))}, 120, 120),
        ({"retry_after": format_datetime(datetime(2026, 11, 20, 8, 0, tzinfo=UTC))}, 1, 1),
        ({"x_ratelimit_reset": str(int(datetime(2026, 11, 20, 9, 5, tzinfo=UTC).timestamp()))}, 300, 300),
        ({"x_ratelimit_reset": "1"}, 1, 1),
        ({"x_ratelimit_reset": "tomorrow"}, 3, 8),
    ],
)
async def test_bug_58_a_429_is_obeyed_in_each_of_its_shapes(
    house: House, still_clock: SetClock, headers: dict[str, str], least: float, most: float
) -> None:
    with pytest.raises(Throttled) as slow:
        await client_over(Scripted(replied(status=429, body="", **headers))).whoami()
    pace = Pace(failures=0)
    note_trouble(pace, slow.value)
    assert pace.paused_until is not None
    assert least <= (pace.paused_until - still_clock.now()).total_seconds() <= most


@pytest.mark.parametrize("headers", [{"retry_after": "0"}, {"retry_after": "-5"}, {"x_ratelimit_reset": "1"}])
async def test_bug_58_a_named_time_that_does_not_help_is_not_obeyed_to_the_letter(
    still_clock: SetClock, headers: dict[str, str]
) -> None:
    """429 with `Retry-After: 0`, or with a moment that has passed, again and again: waits grow as without it."""
    with pytest.raises(Throttled) as slow:
        await client_over(Scripted(replied(status=429, body="", **headers))).whoami()
    pace, asked, start = Pace(failures=0), 0, still_clock.now()
    while still_clock.now() - start < timedelta(hours=1):
        if why_not_now(pace) is None:
            asked += 1
            note_trouble(pace, slow.value)
        still_clock.move(1)
    assert 10 <= asked <= 25


@pytest.mark.parametrize(("retry_after", "least", "most"), [("600", 600, 661), ("7200", 7200, 7921), ("0", 0, 3)])
@pytest.mark.parametrize("asked", ["ServiceNow", "its token service"])
async def test_bug_58_a_delivery_waits_as_long_as_it_was_told_whoever_said_so(
    house: House, asked: str, retry_after: str, least: float, most: float
) -> None:
    await house.connect()
    path = "/table/" if asked == "ServiceNow" else "/oauth_token"
    if path == "/oauth_token":
        await expire(house)
    house.snow.fault("rate_limited", path=path, retry_after=retry_after)
    ticket_id = await share_one(house, Kind.INCIDENT)
    await house.work()
    ticket = await read_ticket(house, ticket_id)
    assert ticket.next_try_at is not None
    async with house.resources.database.transaction() as session:
        paused_until, job_at = (
            await session.execute(
                text("SELECT paused_until, scheduled_at FROM pace, procrastinate_jobs WHERE task_name LIKE '%deliver'")
            )
        ).one()
    for moment in (ticket.next_try_at, paused_until, job_at):
        assert least - 2 <= (moment - clock.now()).total_seconds() <= most
    assert records(house, "incident") == []


async def test_bug_58_a_delivery_that_is_told_nought_again_and_again_waits_longer_each_time(house: House) -> None:
    await house.connect()
    house.snow.fault("rate_limited", times=4, path="/table/", retry_after="0")
    ticket_id = await share_one(house, Kind.INCIDENT)
    waits = []
    for _ in range(4):
        await run_due_and_waiting(house)
        ticket = await read_ticket(house, ticket_id)
        assert ticket.next_try_at is not None
        waits.append((ticket.next_try_at - clock.now()).total_seconds())
    assert waits[0] < 2 < 5 < waits[1] < waits[3]
    assert waits[3] > 25


async def test_bug_59_after_a_429_nothing_is_asked_until_the_time_has_come(house: House) -> None:
    await house.connect()
    for _ in range(5):
        await share_one(house, Kind.INCIDENT)
    house.snow.fault("rate_limited", method="POST", retry_after="600")
    await house.work()
    before = len(calls(house))
    async with house.resources.database.transaction() as session:
        await session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'"))
    await house.work()
    await refreshing.refresh_states(house.resources)
    assert len(calls(house)) == before == 1
    page = await told(house, "/")
    assert "slow down" in page
    assert "We ask again at" in page


@pytest.mark.parametrize(
    "trouble", ["hibernating", "sso_page", "sso_redirect", "hibernating_503", "bad_gateway", "unavailable"]
)
async def test_bug_60_61_a_web_page_is_no_ticket_and_no_state(house: House, trouble: str) -> None:
    await house.connect()
    ticket_id, record = await shared_ticket(house)
    house.snow.fault(trouble, times=3)
    waiting = await share_one(house, Kind.INCIDENT)
    await house.work()
    await refresh_now(house)
    assert (await read_ticket(house, waiting)).delivery == "queued"
    assert (await read_ticket(house, ticket_id)).state == record["state"]
    problem = str((await cursor(house)).problem)
    assert "hibernating" in problem or "error page" in problem
    house.snow.control("faults", clear=True)
    await expire_landing(house)
    await run_due_and_waiting(house, 2)
    assert (await read_ticket(house, waiting)).delivery == "shared"
    assert len(records(house, "incident")) == 2


async def expire_landing(house: House) -> None:
    """Time passes, until nothing that was sent can still arrive."""
    async with house.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket SET landing_until = now() - interval '1 second'"))


async def test_bug_60_a_200_in_place_of_201_is_taken_for_what_it_is(house: House) -> None:
    await house.connect()
    house.snow.fault("not_created", method="POST")
    ticket_id = await share_one(house, Kind.INCIDENT)
    await house.work()
    assert (await read_ticket(house, ticket_id)).delivery == "shared"


@pytest.mark.parametrize(
    "answer",
    [
        replied(status=202, body=""),
        replied(status=204, body=""),
        replied(status=201, body=""),
        replied(status=201, body="<?xml version='1.0'?><response/>", content_type="application/xml"),
        replied(status=201, body="{"),
        replied(status=201, body="[]"),
        replied(status=201, body="null"),
        replied({}, 201),
        replied([], 201),
        replied("CHG1", 201),
        replied({"sys_id": ""}, 201),
    ],
)
async def test_bug_62_an_empty_or_strange_answer_to_a_create_may_hide_a_record(answer: Answer) -> None:
    with pytest.raises(Ambiguous):
        await client_over(Scripted(answer)).create("incident", {"short_description": "x"})


@pytest.mark.parametrize(
    "answer",
    [
        replied(status=200, body=PAGE, content_type="text/html"),
        replied(status=503, body=PAGE, content_type="text/html"),
        replied(status=403, body=PAGE, content_type="text/html"),
        replied(status=400, body=PAGE, content_type="text/html"),
        replied(status=302, body=PAGE, content_type="text/html", location="https://login.example/" + "y" * 3000),
        replied(status=403, body='{"error":{"message":"' + "m" * 9000 + '"}}'),
    ],
)
async def test_bug_63_no_page_is_copied_into_what_a_person_reads(answer: Answer) -> None:
    for question in (
        client_over(Scripted(answer)).create("incident", {"short_description": "x"}),
        client_over(Scripted(answer)).fetch_many("incident", ["0" * 32]),
    ):
        with pytest.raises(RemoteError) as error:
            await question
        assert len(str(error.value)) < 800
        assert "<" not in str(error.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error":"no way"}', "no way"),
        ('{"error":{"message":"No","detail":null}}', "refused: No"),
        ('{"error":{"message":null,"detail":"rule X"}}', "rule X"),
        ('{"error":{"detail":""}}', "without saying why"),
        ('{"error":["a"]}', "without saying why"),
        ('{"status":"failure"}', "without saying why"),
        ("[]", "without saying why"),
        ("", "without saying why"),
    ],
)
async def test_bug_64_an_error_may_be_text_or_object_or_nothing(body: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        await client_over(Scripted(replied(status=403, body=body))).create("incident", {})


async def test_bug_64_a_refusal_of_the_journal_alone_hurts_nothing_else(house: House) -> None:
    await house.connect()
    ticket_id, record = await shared_ticket(house)
    house.snow.fault("missing", times=5, method="GET", path="/table/incident")
    await told(house, f"/tickets/{ticket_id}")
    await house.work()
    house.snow.control("faults", clear=True)
    house.snow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(house)
    ticket = await read_ticket(house, ticket_id)
    assert (ticket.delivery, ticket.state, ticket.visible) == ("shared", "2", True)


def held_bytes() -> int:
    """What every list, dictionary and object of this process takes, without what the coverage tracer keeps in C."""
    gc.collect()
    return sum(sys.getsizeof(one) for one in gc.get_objects())


async def test_bug_80_a_poller_that_runs_for_long_does_not_grow(house: House) -> None:
    await house.connect()
    await several(house, 5)
    for _ in range(15):
        await refresh_now(house)
    before = held_bytes()
    for _ in range(30):
        await refresh_now(house)
    # An answer kept from each call would make it grow tenfold.
    assert held_bytes() - before < 30 * 2_000
