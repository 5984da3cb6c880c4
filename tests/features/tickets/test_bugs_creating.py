"""Creating: bugs of other connectors, by number; and each verdict on the answer to a create."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from app.core.errors import RetryLater
from app.features.connection.throttle import CALLS_AT_ONCE
from app.features.tickets.delivery.circuit_breaker import ENOUGH_REFUSALS
from app.features.tickets.delivery.deliver import BELIEVED_REFUSALS, deliver
from app.features.tickets.models import Ticket
from app.features.tickets.types import TicketKind
from tests.factories.system import System
from tests.factories.tickets import (
    an_action,
    calls,
    fill_and_send,
    know_actions,
    read_ticket,
    records,
    run_due_and_waiting,
    share_one,
    shared_ticket,
    told,
)

# name of the fault: what the first create may leave behind, and whether it is known at once that nothing is at work.
VERDICTS = {
    "session_overflow": (0, True),
    "refused_after_commit": (1, True),
    "cancelled_after_commit": (1, True),
    "acl_hiccup": (0, True),
    "dropped_after_commit": (1, False),
    "dropped_before": (0, False),
    "hibernating": (0, True),
    "hibernating_503": (0, False),
    "bad_gateway": (0, False),
    "unavailable": (0, False),
    "sso_page": (0, True),
    "sso_redirect": (0, True),
    "strange_page": (0, True),
    "ip_blocked": (0, True),
    "broken_json": (0, True),
    "partial_result": (0, True),
    "rate_limited": (0, True),
    "semaphore_full": (0, True),
    "signed_out": (0, True),
    "not_created": (1, True),
}


@pytest.mark.parametrize("trouble", VERDICTS)
async def test_bug_65_one_record_whatever_happens_to_the_answer(system: System, trouble: str) -> None:
    await system.connect()
    system.servicenow.fault(trouble, method="POST", path="/table/")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    left_behind, is_final = VERDICTS[trouble]
    assert len(records(system, "incident")) == left_behind or trouble == "signed_out"  # Which is repeated at once.
    await run_due_and_waiting(system, 4)
    if not is_final and not left_behind:
        # What gave up on the call may stand before the instance, which may still be at work behind it.
        assert records(system, "incident") == []
        assert len(calls(system, "POST")) == 1
        await let_time_pass(system)
        await run_due_and_waiting(system, 2)
    ticket = await read_ticket(system, ticket_id)
    (record,) = records(system, "incident")
    assert (ticket.delivery, ticket.number) == ("shared", record["number"])


async def test_each_verdict_names_what_happened(system: System) -> None:
    """Every trouble has a sentence of its own on the ticket's page, and never ServiceNow's page itself."""
    await system.connect()
    said = {
        "session_overflow": "put the call aside",
        "refused_after_commit": "ACL Exception Insert Failed",
        "cancelled_after_commit": "internal error (status 500)",
        "dropped_after_commit": "cannot know yet whether it was received",
        "hibernating": "A web page answered",
        "bad_gateway": "error page (status 502)",
        "broken_json": "broke off",
        "semaphore_full": "slow down",
    }
    for trouble, sentence in said.items():
        system.servicenow.fault(trouble, method="POST", path="/table/")
        ticket_id = await share_one(system, TicketKind.INCIDENT)
        await system.work()
        assert sentence in await told(system, f"/tickets/{ticket_id}"), trouble
        await run_due_and_waiting(system)


async def let_time_pass(system: System) -> None:
    """Nothing that was sent can still arrive."""
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket SET uncertain_until = now() - interval '1 second'"))


async def test_bug_65_a_create_that_lands_late_is_not_repeated(system: System) -> None:
    """The instance works on after we hung up: the record appears seconds after our time-out."""
    await system.connect()
    system.resources.servicenow._client.timeout = httpx.Timeout(0.5)
    system.servicenow.fault("slow", method="POST", path="/table/", place="before", seconds=5)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    await run_due_and_waiting(system)
    assert records(system, "incident") == []
    system.resources.servicenow._client.timeout = httpx.Timeout(5)
    for _ in range(600):
        if records(system, "incident"):
            break
        await asyncio.sleep(0.1)
    await run_due_and_waiting(system)
    assert len(records(system, "incident")) == 1
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert [call.method for call in calls(system)].count("POST") == 1


async def test_bug_66_two_workers_at_the_same_ticket_make_one_record(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    outcomes = await asyncio.gather(*(deliver(system.resources, ticket_id) for _ in range(4)), return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, RetryLater) for outcome in outcomes)
    assert len(records(system, "incident")) == 1


async def test_bug_66_a_stalled_attempt_that_wakes_up_sends_nothing(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its token took so long that another attempt began and delivered: the number of the attempt stops it."""
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    waiting, go_on = asyncio.Event(), asyncio.Event()
    real = deliver.__globals__["with_client"]

    async def stalls(*args: object, **kwargs: object) -> object:
        if not waiting.is_set():
            waiting.set()
            await go_on.wait()
        return await real(*args, **kwargs)

    monkeypatch.setattr("app.features.tickets.delivery.deliver.with_client", stalls)
    stalled = asyncio.create_task(deliver(system.resources, ticket_id))
    await waiting.wait()
    async with system.resources.database.transaction() as session:
        old = text("UPDATE ticket SET in_flight_since = now() - interval '76 seconds'")
        await session.execute(old)
    await deliver(system.resources, ticket_id)
    go_on.set()
    await stalled
    assert len(records(system, "incident")) == 1
    assert (await read_ticket(system, ticket_id)).attempts == 2


async def test_bug_66_a_double_click_makes_one_ticket(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    async with await system.signed_in("sharer") as browser:
        page = await browser.get("/tickets/new?action=AdminMFAV2")
        first = await fill_and_send(browser, "/tickets/new?action=AdminMFAV2")
        assert page.status_code == 200
        body = first.request.content.decode()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        again = await browser.post("/tickets/new?action=AdminMFAV2", content=body, headers=form)
    assert again.headers["location"] == first.headers["location"]
    await system.work()
    assert len(records(system, "change_request")) == 1


async def test_bug_68_a_create_carries_no_filter_of_the_question_before(system: System) -> None:
    await system.connect()
    system.servicenow.fault("acl_hiccup", method="POST", path="/table/")
    await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 2)
    assert [call.method for call in calls(system)] == ["POST", "GET", "GET", "POST"]
    for call in calls(system, "POST"):
        assert "sysparm_query" not in call.query
        assert "sysparm_limit" not in call.query


async def test_bug_69_one_missing_role_is_not_asked_about_forty_times(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "incident.create"
    tickets = [await share_one(system, TicketKind.INCIDENT) for _ in range(40)]
    await run_due_and_waiting(system, 4)
    ends = [await read_ticket(system, ticket_id) for ticket_id in tickets]
    assert {ticket.delivery for ticket in ends} == {"held"}
    asked = len(calls(system, "POST"))
    # Work on the first few begins before any of them is refused, and each is asked about a second time.
    assert ENOUGH_REFUSALS * BELIEVED_REFUSALS <= asked <= 2 * (ENOUGH_REFUSALS + CALLS_AT_ONCE)
    # Somebody may have mended the cause: of those that are shared later, one tries, and the others wait for it.
    later = [await share_one(system, TicketKind.INCIDENT) for _ in range(20)]
    await run_due_and_waiting(system)
    assert len(calls(system, "POST")) == asked + 1
    waiting = [await read_ticket(system, ticket_id) for ticket_id in later]
    assert sum("this one waits for the outcome" in str(ticket.problem) for ticket in waiting) == 19
    await run_due_and_waiting(system, 3)
    ends = [await read_ticket(system, ticket_id) for ticket_id in later]
    assert {ticket.delivery for ticket in ends} == {"held"}
    assert len(calls(system, "POST")) == asked + BELIEVED_REFUSALS
    unsent = [ticket.id for ticket in ends if not ticket.attempts]
    assert len(unsent) == 19
    reason = await told(system, f"/tickets/{unsent[0]}")
    assert "Not sent, because others were just refused for this reason" in reason
    assert "ACL Exception" in reason


async def test_bug_69_after_the_role_is_granted_the_next_share_is_sent_at_once_and_frees_the_rest(
    system: System,
) -> None:
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "incident.create"
    for _ in range(ENOUGH_REFUSALS):
        await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 4)
    system.servicenow.instance.switches.acl_refuses = ""
    new = [await share_one(system, TicketKind.INCIDENT) for _ in range(3)]
    await run_due_and_waiting(system, 2)
    assert [(await read_ticket(system, ticket_id)).delivery for ticket_id in new] == ["shared"] * 3
    assert len(records(system, "incident")) == 3


async def test_bug_69_a_person_who_insists_is_heard_and_one_success_frees_the_rest(system: System) -> None:
    await system.connect("no.roles")
    for _ in range(6):
        await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 4)
    system.servicenow.control("users", user_name="no.roles", roles="itil")
    async with await system.signed_in("sharer") as browser:
        await browser.post("/tickets/retry-held")
    await run_due_and_waiting(system, 3)
    assert len(records(system, "incident")) == 6


HOSTILE = [
    "Two\nlines\ttabbed",
    "n" * 161,
    "\U0001f512 locks \U0001f469\u200d\U0001f4bb and fam\u0301ily",
    "\u202eright to left\u202c",
    "nul\u0001 and \ufffe non-characters \U0001ffff",
    "<script>alert(1)</script> & 'quotes' \"double\" `ticks` ${x} {{ 7*7 }} %s %(x)s",
    "한국어 العربية ไทย",
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_bug_70_71_any_name_arrives_as_sent_and_is_shown_harmless(system: System, name: str) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system, name=name, description=name)
    ticket = await read_ticket(system, ticket_id)
    assert ticket.differences == []
    assert record["short_description"] == ticket.record["short_description"]
    assert len(record["short_description"].encode("utf-16-le")) // 2 <= 160
    for address in (f"/tickets/{ticket_id}", "/tickets", "/"):
        page = await told(system, address)
        assert "<script>alert" not in page
        assert "{{ 7*7 }}" in page or "7*7" not in name


async def test_bug_70_a_name_that_was_cut_is_said_to_be(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system, name="n" * 200)
    page = await told(system, f"/tickets/{ticket_id}")
    assert "ServiceNow keeps 160 characters of a name." in page
    assert "n" * 200 in page
    assert f"Task name: {'n' * 200}" in record["description"]


async def test_bug_72_a_share_while_servicenow_sleeps_is_kept_and_delivered_later(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    system.servicenow.instance.switches.api_asleep = True
    async with await system.signed_in("sharer") as browser:
        shared = await fill_and_send(browser, "/tickets/new?action=AdminMFAV2")
        assert shared.status_code == 303
        await system.work()
        page = (await browser.get(shared.headers["location"])).text
        assert "hibernating" in page
    system.servicenow.instance.switches.api_asleep = False
    await run_due_and_waiting(system, 2)
    ticket = await read_ticket(system, UUID(shared.headers["location"].rsplit("/", 1)[1]))
    assert ticket.delivery == "shared"


async def test_what_servicenow_cut_or_dropped_is_told(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await system.connect()
    real = deliver.__globals__["ServiceNowClient"].create

    async def loses(self: object, table: str, fields: dict[str, str]) -> object:
        kept = {**fields, "description": fields["description"][:100], "due_date": "", "u_unknown": "x"}
        return await real(self, table, kept)

    monkeypatch.setattr("app.integrations.servicenow.client.ServiceNowClient.create", loses)
    ticket_id, _ = await shared_ticket(system)
    page = await told(system, f"/tickets/{ticket_id}")
    assert "Description: ServiceNow cut it after 100 characters." in page
    assert "Due date: ServiceNow did not keep it." in page


async def test_edit_and_retry_sends_the_changed_ticket(system: System) -> None:
    await system.connect("no.roles")
    ticket_id = await share_one(system, TicketKind.INCIDENT, name="Wrong")
    await run_due_and_waiting(system, 3)
    system.servicenow.control("users", user_name="no.roles", roles="itil")
    async with await system.signed_in("sharer", follow_redirects=True) as browser:
        refused = await fill_and_send(browser, f"/tickets/{ticket_id}/edit", name="", due_date="2020-01-01")
        assert refused.status_code == 422
        other = await fill_and_send(browser, f"/tickets/{ticket_id}/edit", kind="change")
        assert other.status_code == 422
        assert "the type stays as it is" in other.text
        page = await fill_and_send(browser, f"/tickets/{ticket_id}/edit", name="Right", priority="1")
        assert "Changed, and asked to try again." in page.text
    await system.work()
    (record,) = records(system, "incident")
    assert (record["short_description"], record["priority"]) == ("Right", "1")
    assert "Requested by: Megan Bowen" in record["description"]
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.requested_by_name) == ("shared", "Megan Bowen")
    async with await system.signed_in("sharer") as browser:
        assert (await browser.get(f"/tickets/{ticket_id}/edit")).status_code == 409


async def test_an_edited_ticket_whose_first_version_arrived_is_found_and_compared(system: System) -> None:
    await system.connect()
    system.servicenow.fault("refused_after_commit", method="POST", path="/table/")
    system.servicenow.fault("acl_hiccup", method="GET", path="/table/")
    ticket_id = await share_one(system, TicketKind.INCIDENT, name="First version")
    await run_due_and_waiting(system, 2)
    assert (await read_ticket(system, ticket_id)).delivery == "held"
    async with await system.signed_in("sharer") as browser:
        await fill_and_send(browser, f"/tickets/{ticket_id}/edit", name="Second version")
    await run_due_and_waiting(system)
    (record,) = records(system, "incident")
    assert record["short_description"] == "First version"
    page = await told(system, f"/tickets/{ticket_id}")
    assert "Name: ServiceNow stored another text." in page


async def test_what_is_sent_is_what_the_page_shows(system: System) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    body = json.loads(calls(system, "POST")[0].body)
    ticket: Ticket = await read_ticket(system, ticket_id)
    assert body == ticket.record
    page = await told(system, f"/tickets/{ticket_id}")
    for name in body:
        assert f"<code>{name}</code>" in page
