"""One missing role causes few refused requests, and is tried again later."""

from __future__ import annotations

import pytest

from app.features.connection.slots import SLOTS, Pool
from app.features.tickets.delivery.circuit_breaker import ENOUGH_REFUSALS
from app.features.tickets.delivery.next_step import BELIEVED_REFUSALS
from app.features.tickets.models import Ticket
from app.features.tickets.types import TicketKind
from tests.factories.system import System
from tests.factories.tickets import calls, read_ticket, records, run_due_and_waiting, share_one, told

# The sentence for a refusal as earlier versions might have stored it.
EARLIER_WORDING = "ServiceNow would not let us: %(reason)s"


@pytest.mark.thorough
@pytest.mark.fact("other-connectors bug-69")
async def test_one_missing_role_is_not_asked_about_forty_times(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "incident.create"
    tickets = [await share_one(system, TicketKind.INCIDENT) for _ in range(40)]
    await run_due_and_waiting(system, 4)
    ends = [await read_ticket(system, ticket_id) for ticket_id in tickets]
    assert {ticket.delivery for ticket in ends} == {"held"}
    asked = len(calls(system, "POST"))
    # Work on the first few begins before any of them is refused, and each is asked about a second time.
    assert ENOUGH_REFUSALS * BELIEVED_REFUSALS <= asked <= 2 * (ENOUGH_REFUSALS + SLOTS[Pool.SHARED])
    # A person may have fixed the cause: of those that are shared later, one tries, and the others wait for it.
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


@pytest.mark.fact("other-connectors bug-69")
async def test_after_the_role_is_granted_the_next_share_is_sent_at_once_and_frees_the_rest(
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


@pytest.mark.fact("other-connectors bug-69")
async def test_a_person_who_insists_is_heard_and_one_success_frees_the_rest(system: System) -> None:
    await system.connect("no.roles")
    for _ in range(6):
        await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 4)
    system.servicenow.control("users", user_name="no.roles", roles="itil")
    async with await system.signed_in("sharer") as browser:
        await browser.post("/tickets/retry-held")
    await run_due_and_waiting(system, 3)
    assert len(records(system, "incident")) == 6


@pytest.mark.fact("other-connectors bug-69")
async def test_refusals_of_one_cause_count_together_whatever_the_wording_of_their_stored_sentences(
    system: System,
) -> None:
    """An upgrade may word the sentence differently; tickets refused before and after it have the same cause."""
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "incident.create"
    refused = [await share_one(system, TicketKind.INCIDENT) for _ in range(ENOUGH_REFUSALS)]
    await run_due_and_waiting(system, 4)
    async with system.resources.database.transaction() as session:
        for ticket_id in refused[1:]:
            ticket = await session.get_one(Ticket, ticket_id)
            ticket.problem = dict(ticket.problem or {}, message=EARLIER_WORDING)
    asked = len(calls(system, "POST"))
    later = [await share_one(system, TicketKind.INCIDENT) for _ in range(3)]
    await run_due_and_waiting(system)
    assert len(calls(system, "POST")) == asked + 1
    waiting = [str((await read_ticket(system, ticket_id)).problem) for ticket_id in later]
    assert sum("this one waits for the outcome" in problem and "ACL Exception" in problem for problem in waiting) == 2


@pytest.mark.fact("other-connectors bug-69")
async def test_refusals_of_different_causes_do_not_add_up(system: System) -> None:
    """As many tickets were refused as open the circuit, each for something else."""
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "incident.create"
    refused = [await share_one(system, TicketKind.INCIDENT) for _ in range(ENOUGH_REFUSALS)]
    await run_due_and_waiting(system, 4)
    async with system.resources.database.transaction() as session:
        for number, ticket_id in enumerate(refused[1:]):
            ticket = await session.get_one(Ticket, ticket_id)
            ticket.refusal_cause = f"servicenow.refused Data Policy Exception {number}"
    asked = len(calls(system, "POST"))
    for _ in range(2):
        await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system)
    assert len(calls(system, "POST")) == asked + 2


@pytest.mark.fact("other-connectors bug-69")
async def test_a_lookup_that_is_lost_later_is_no_newer_refusal(system: System) -> None:
    """Of three refused tickets one is not decided, as its lookups are lost. What got through meanwhile counts."""
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "incident.create"
    refused = [await share_one(system, TicketKind.INCIDENT) for _ in range(ENOUGH_REFUSALS)]
    await run_due_and_waiting(system)

    async def run_and_lose_a_lookup() -> None:
        system.servicenow.fault("dropped_before", method="GET", table="incident")
        await run_due_and_waiting(system)

    await run_and_lose_a_lookup()
    assert sorted([(await read_ticket(system, ticket_id)).delivery for ticket_id in refused]) == [
        "held",
        "held",
        "queued",
    ]
    system.servicenow.instance.switches.acl_refuses = ""
    insisted = await share_one(system, TicketKind.INCIDENT)
    async with system.resources.database.transaction() as session:
        (await session.get_one(Ticket, insisted)).force_retry = True
    await run_and_lose_a_lookup()
    await run_and_lose_a_lookup()
    later = await share_one(system, TicketKind.INCIDENT)
    await run_and_lose_a_lookup()
    assert [(await read_ticket(system, ticket_id)).delivery for ticket_id in (insisted, later)] == ["shared", "shared"]
