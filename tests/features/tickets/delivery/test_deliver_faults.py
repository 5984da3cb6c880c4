"""Each answer to a create: one record for each fault, and a sentence of its own on the ticket's page."""

from __future__ import annotations

import asyncio
from uuid import UUID

import httpx
import pytest

from app.features.tickets.types import TicketKind
from app.integrations.http.http_types import RemoteResponse, Request
from tests.factories.delivering import let_time_pass
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
    told,
)

pytestmark = pytest.mark.thorough

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
# After the token is renewed, or a pause of a moment.
REPEATED_AT_ONCE = {"signed_out", "semaphore_full"}


@pytest.mark.fact("other-connectors bug-65", "servicenow trap-3", "servicenow trap-4")
@pytest.mark.parametrize("trouble", VERDICTS)
async def test_every_fault_of_the_answer_leaves_one_record(system: System, trouble: str) -> None:
    await system.connect()
    system.servicenow.fault(trouble, method="POST", path="/table/")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    left_behind, is_final = VERDICTS[trouble]
    assert len(records(system, "incident")) == left_behind or trouble in REPEATED_AT_ONCE
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
    """Every fault has a sentence of its own on the ticket's page, and never ServiceNow's page itself."""
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


@pytest.mark.fact("other-connectors bug-65")
async def test_a_create_that_lands_late_is_not_repeated(system: System) -> None:
    """The instance continues after we closed the connection: the record appears seconds after our time-out."""
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


async def test_a_create_that_a_gateway_gave_up_on_is_not_repeated_while_it_goes_on(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway answers 504, in JSON, while the insert is still running behind it."""
    await system.connect()
    transport = system.resources.servicenow
    real, behind = transport.send, list[Request]()

    async def send(request: Request) -> RemoteResponse:
        if request.method == "POST" and "/table/" in request.url and not behind:
            behind.append(request)
            return RemoteResponse(
                504, {"content-type": "application/json"}, b'{"message":"The upstream server is timing out"}'
            )
        return await real(request)

    monkeypatch.setattr(transport, "send", send)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 3)
    assert records(system, "incident") == []
    await asyncio.wait_for(real(behind[0]), 20)
    await run_due_and_waiting(system)
    assert len(records(system, "incident")) == 1
    assert (await read_ticket(system, ticket_id)).delivery == "shared"


@pytest.mark.fact("other-connectors bug-72")
async def test_a_share_while_servicenow_sleeps_is_kept_and_delivered_later(
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
