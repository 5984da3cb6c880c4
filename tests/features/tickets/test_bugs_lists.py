"""Limits, and answers that are not what they seem: bugs of other connectors, by number."""

from __future__ import annotations

import gc
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from sqlalchemy import text

from app.core import clock
from app.core.clock import SetClock
from app.features.connection.models import InstanceThrottle
from app.features.connection.throttle import check_allowed, record_failure, record_success
from app.features.tickets.polling import poll as refreshing
from app.features.tickets.types import TicketKind
from app.integrations.http.errors import Ambiguous, Forbidden, RemoteError, Throttled
from app.integrations.http.http_types import RemoteResponse
from tests.factories.connecting import expire
from tests.factories.system import System
from tests.factories.tickets import (
    Scripted,
    calls,
    client_over,
    cursor,
    read_ticket,
    records,
    refresh_now,
    replied,
    run_due_and_waiting,
    several,
    share_one,
    shared_ticket,
    told,
)

PAGE = "<html><head><title>Instance Hibernating page</title></head><body>" + "x" * 5000 + "</body></html>"


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
    system: System, still_clock: SetClock, headers: dict[str, str], least: float, most: float
) -> None:
    with pytest.raises(Throttled) as slow:
        await client_over(Scripted(replied(status=429, body="", **headers))).whoami()
    throttle = InstanceThrottle(failures=0)
    record_failure(throttle, slow.value)
    assert throttle.paused_until is not None
    assert least <= (throttle.paused_until - still_clock.now()).total_seconds() <= most


@pytest.mark.parametrize("headers", [{"retry_after": "0"}, {"retry_after": "-5"}, {"x_ratelimit_reset": "1"}])
async def test_bug_58_a_named_time_that_does_not_help_is_not_obeyed_to_the_letter(
    still_clock: SetClock, headers: dict[str, str]
) -> None:
    """429 with `Retry-After: 0`, or with a moment that has passed, again and again: waits grow as without it."""
    with pytest.raises(Throttled) as slow:
        await client_over(Scripted(replied(status=429, body="", **headers))).whoami()
    throttle, asked, start = InstanceThrottle(failures=0), 0, still_clock.now()
    while still_clock.now() - start < timedelta(hours=1):
        if check_allowed(throttle) is None:
            asked += 1
            record_failure(throttle, slow.value)
        still_clock.move(1)
    assert 10 <= asked <= 25


@pytest.mark.parametrize(("retry_after", "least", "most"), [("600", 600, 661), ("7200", 7200, 7921), ("0", 0, 3)])
@pytest.mark.parametrize("asked", ["ServiceNow", "its token service"])
async def test_bug_58_a_delivery_waits_as_long_as_it_was_told_whoever_said_so(
    system: System, asked: str, retry_after: str, least: float, most: float
) -> None:
    await system.connect()
    path = "/table/" if asked == "ServiceNow" else "/oauth_token"
    if path == "/oauth_token":
        await expire(system)
    system.servicenow.fault("rate_limited", path=path, retry_after=retry_after)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    ticket = await read_ticket(system, ticket_id)
    assert ticket.next_try_at is not None
    async with system.resources.database.transaction() as session:
        paused_until, job_at = (
            await session.execute(
                text(
                    "SELECT paused_until, scheduled_at FROM instance_throttle, procrastinate_jobs WHERE task_name LIKE '%deliver'"
                )
            )
        ).one()
    for moment in (ticket.next_try_at, paused_until, job_at):
        assert least - 2 <= (moment - clock.now()).total_seconds() <= most
    assert records(system, "incident") == []


async def test_bug_58_a_delivery_that_is_told_nought_again_and_again_waits_longer_each_time(system: System) -> None:
    await system.connect()
    system.servicenow.fault("rate_limited", times=4, path="/table/", retry_after="0")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    waits = []
    for _ in range(4):
        await run_due_and_waiting(system)
        ticket = await read_ticket(system, ticket_id)
        assert ticket.next_try_at is not None
        waits.append((ticket.next_try_at - clock.now()).total_seconds())
    assert waits[0] < 2 < 5 < waits[1] < waits[3]
    assert waits[3] > 25


async def test_bug_59_after_a_429_nothing_is_asked_until_the_time_has_come(system: System) -> None:
    await system.connect()
    for _ in range(5):
        await share_one(system, TicketKind.INCIDENT)
    system.servicenow.fault("rate_limited", method="POST", retry_after="600")
    await system.work()
    before = len(calls(system))
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'"))
    await system.work()
    await refreshing.poll_states(system.resources)
    assert len(calls(system)) == before == 1
    page = await told(system, "/")
    assert "slow down" in page
    assert "We ask again at" in page


def test_bug_59_an_answer_that_was_on_its_way_ends_no_pause(still_clock: SetClock) -> None:
    """Of four calls one is told to wait; what the other three are answered changes nothing of that."""
    throttle = InstanceThrottle(failures=0)
    record_failure(throttle, Throttled(seconds=600))
    until = throttle.paused_until
    record_success(throttle)
    record_failure(throttle, Forbidden())
    record_failure(throttle, Ambiguous())
    record_failure(throttle, Throttled(seconds=5))
    assert throttle.paused_until == until
    still_clock.move(601)
    assert check_allowed(throttle) is None
    record_success(throttle)
    assert (throttle.paused_until, throttle.failures) == (None, 0)


@pytest.mark.parametrize(
    "trouble", ["hibernating", "sso_page", "sso_redirect", "hibernating_503", "bad_gateway", "unavailable"]
)
async def test_bug_60_61_a_web_page_is_no_ticket_and_no_state(system: System, trouble: str) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.fault(trouble, times=3)
    waiting = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    await refresh_now(system)
    assert (await read_ticket(system, waiting)).delivery == "queued"
    assert (await read_ticket(system, ticket_id)).state == record["state"]
    problem = str((await cursor(system)).problem)
    assert "hibernating" in problem or "error page" in problem
    system.servicenow.control("faults", clear=True)
    await expire_landing(system)
    await run_due_and_waiting(system, 2)
    assert (await read_ticket(system, waiting)).delivery == "shared"
    assert len(records(system, "incident")) == 2


async def expire_landing(system: System) -> None:
    """Time passes, until nothing that was sent can still arrive."""
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket SET uncertain_until = now() - interval '1 second'"))


async def test_bug_60_a_200_in_place_of_201_is_taken_for_what_it_is(system: System) -> None:
    await system.connect()
    system.servicenow.fault("not_created", method="POST")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    assert (await read_ticket(system, ticket_id)).delivery == "shared"


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
async def test_bug_62_an_empty_or_strange_answer_to_a_create_may_hide_a_record(answer: RemoteResponse) -> None:
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
async def test_bug_63_no_page_is_copied_into_what_a_person_reads(answer: RemoteResponse) -> None:
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
    with pytest.raises(Forbidden, match=said):
        await client_over(Scripted(replied(status=403, body=body))).create("incident", {})


async def test_bug_64_a_refusal_of_the_journal_alone_hurts_nothing_else(system: System) -> None:
    """Three people open a ticket, and the journal of each is refused (403). Everything else goes on, without a pause."""
    await system.connect()
    opened = [await shared_ticket(system) for _ in range(3)]
    system.servicenow.fault("acl_hiccup", times=3, method="GET", path="/table/incident")
    for ticket_id, _ in opened:
        await told(system, f"/tickets/{ticket_id}")
        await system.work()
    other = await share_one(system, TicketKind.CHANGE)
    await system.work()
    assert (await read_ticket(system, other)).delivery == "shared"
    ticket_id, record = opened[0]
    assert "Notes of others could not be read" in await told(system, f"/tickets/{ticket_id}")
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refreshing.poll_states(system.resources)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.state, ticket.visible) == ("shared", "2", True)


async def test_bug_64_a_journal_that_cannot_be_read_is_asked_for_once_a_minute(system: System) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    system.servicenow.fault("acl_hiccup", times=9, method="GET", path="/table/incident")
    before = len(calls(system, "GET"))
    for _ in range(3):
        await told(system, f"/tickets/{ticket_id}")
        await system.work()
    assert len(calls(system, "GET")) - before == 1


async def test_an_open_page_of_a_deleted_ticket_says_so_and_pauses_nobody(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], delete=True)
    before = len(calls(system, "GET"))
    for _ in range(4):
        await told(system, f"/tickets/{ticket_id}")
        await system.work()
    assert len(calls(system, "GET")) - before == 1
    assert "Deleted in ServiceNow" in await told(system, f"/tickets/{ticket_id}")
    other = await share_one(system, TicketKind.CHANGE)
    await system.work()
    assert (await read_ticket(system, other)).delivery == "shared"


async def test_a_role_that_is_missing_for_one_table_holds_up_no_other(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "incident.create"
    for _ in range(4):
        await share_one(system, TicketKind.INCIDENT)
    await system.work()
    change = await share_one(system, TicketKind.CHANGE)
    await system.work()
    assert (await read_ticket(system, change)).delivery == "shared"


def held_bytes() -> int:
    """What every list, dictionary and object of this process takes, without what the coverage tracer keeps in C."""
    gc.collect()
    return sum(sys.getsizeof(one) for one in gc.get_objects())


async def test_bug_80_a_poller_that_runs_for_long_does_not_grow(system: System) -> None:
    await system.connect()
    await several(system, 5)
    for _ in range(15):
        await refresh_now(system)
    before = held_bytes()
    for _ in range(30):
        await refresh_now(system)
    # An answer kept from each call would make it grow tenfold.
    assert held_bytes() - before < 30 * 2_000
