"""A sys_id of our own: learned from answers, settles lost ones where it is kept, and makes no second record anywhere."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from app.core import clock
from app.features.connection.models import Connection
from app.features.tickets.delivery.own_sys_id import Verdict, learn, sys_id_to_send, verdict_of
from app.features.tickets.models import OwnSysIdRule, Ticket
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.parse_response import ticket_of
from tests.factories.delivering import let_time_pass, made_by_us
from tests.factories.system import System
from tests.factories.tickets import a_row, calls, read_ticket, records, run_due_and_waiting, share_one, shared_ticket

OWN, OTHER = "a" * 32, "b" * 32
LOST = {"method": "POST", "path": "/table/"}


async def rules(system: System) -> dict[str, str]:
    """What was learned, by kind."""
    async with system.resources.database.transaction() as session:
        return {rule.kind: rule.verdict for rule in (await session.execute(select(OwnSysIdRule))).scalars()}


async def deliver_all(system: System, rounds: int = 3) -> None:
    await system.work()
    for _ in range(rounds):
        await let_time_pass(system)
        await run_due_and_waiting(system)


def sent_ids(system: System) -> list[str]:
    """The sys_id in each create, empty where there was none."""
    return [json.loads(entry.body).get("sys_id", "") for entry in calls(system, "POST")]


def a_ticket(**changes: object) -> Ticket:
    return Ticket(**{"own_sys_id": OWN, "sent_plain": False, "refusals": 0, "failures": 0, **changes})


@pytest.mark.parametrize(
    ("verdict", "ticket", "sent"),
    [
        (Verdict.UNKNOWN, a_ticket(), OWN),
        (Verdict.KEPT, a_ticket(refusals=1), OWN),
        (Verdict.NOT_KEPT, a_ticket(), OWN),
        (Verdict.REFUSED, a_ticket(), ""),
        (Verdict.UNKNOWN, a_ticket(refusals=1), ""),
        (Verdict.UNKNOWN, a_ticket(failures=1), ""),
        (Verdict.KEPT, a_ticket(own_sys_id=""), ""),
    ],
)
def test_a_create_carries_it_unless_it_is_what_is_refused(verdict: Verdict, ticket: Ticket, sent: str) -> None:
    assert sys_id_to_send(ticket, verdict) == sent


async def test_it_is_learned_for_each_table_and_forgotten_with_a_new_consent(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    assert record["sys_id"] == (await read_ticket(system, ticket_id)).own_sys_id
    assert await rules(system) == {"incident": "kept"}
    system.servicenow.instance.switches.chosen_sys_id = "ignored"
    await shared_ticket(system)
    assert await rules(system) == {"incident": "not_kept"}
    async with system.resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id)
        assert await verdict_of(session, ticket) is Verdict.NOT_KEPT
        connection = await session.get_one(Connection, ticket.connection_id)
        connection.connected_at = clock.now() + timedelta(seconds=1)
        await session.flush()
        assert await verdict_of(session, ticket) is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("before", "found", "sent", "plain", "after"),
    [
        (Verdict.UNKNOWN, OWN, None, False, "kept"),
        (Verdict.NOT_KEPT, OWN, OWN, False, "kept"),
        (Verdict.UNKNOWN, OTHER, None, False, "not_kept"),
        (Verdict.UNKNOWN, OTHER, None, True, None),
        (Verdict.KEPT, OTHER, OWN, True, "not_kept"),
        (Verdict.KEPT, OTHER, "", True, None),
    ],
)
async def test_only_an_answer_that_can_tell_teaches(
    system: System, before: Verdict, found: str, sent: str | None, after: str | None, *, plain: bool
) -> None:
    """A lookup tells nothing once a create has left without it."""
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    async with system.resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id)
        ticket.own_sys_id, ticket.sent_plain = OWN, plain
        await learn(session, ticket, before, [ticket_of(a_row(sys_id=found))], sent)
    assert (await rules(system)).get("incident") == after


@pytest.mark.fact("servicenow 6")
async def test_an_instance_that_refuses_it_is_not_sent_one_any_more(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.chosen_sys_id = "refused"
    for _ in range(2):
        await share_one(system, TicketKind.INCIDENT)
        await deliver_all(system, 1)
    assert await rules(system) == {"incident": "refused"}
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert [bool(sent) for sent in sent_ids(system)] == [True, False, True, False, False]
    assert len(records(system, "incident")) == 3


async def test_a_table_that_kept_it_and_now_refuses_it_is_learned_again(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    system.servicenow.instance.switches.chosen_sys_id = "refused"
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await deliver_all(system, 2)
    assert (await read_ticket(system, ticket_id)).delivery == "held"
    assert await rules(system) == {"incident": "unknown"}
    other = await share_one(system, TicketKind.INCIDENT)
    await deliver_all(system, 1)
    assert (await read_ticket(system, other)).delivery == "shared"


@pytest.mark.fact("servicenow 6")
async def test_where_it_is_kept_a_lost_answer_is_settled_by_it_though_the_correlation_id_is_dropped(
    system: System,
) -> None:
    await system.connect()
    await shared_ticket(system)
    system.servicenow.instance.switches.dropped_fields = "correlation_id"
    system.servicenow.fault("dropped_after_commit", **LOST)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await deliver_all(system, 1)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.sys_id) == ("shared", ticket.own_sys_id)
    assert len(made_by_us(system)) == len(calls(system, "POST")) == 2


async def test_where_it_is_kept_and_surely_absent_the_create_is_repeated_with_it(system: System) -> None:
    """Its absence is believed because records under other sys_ids of ours are shown, also without correlation ids."""
    await system.connect()
    await shared_ticket(system)
    system.servicenow.instance.switches.dropped_fields = "correlation_id"
    system.servicenow.fault("dropped_before", **LOST)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await deliver_all(system, 1)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.sys_id) == ("shared", ticket.own_sys_id)
    assert sent_ids(system)[1:] == [ticket.own_sys_id, ticket.own_sys_id]


async def land(system: System, ticket_id: UUID) -> None:
    """What an earlier create of this ticket has made."""
    ticket = await read_ticket(system, ticket_id)
    row = {**ticket.record, "sys_id": ticket.own_sys_id, "sys_class_name": "incident", "number": "INC0099999"}
    system.servicenow.instance.store.put("incident", {**row, "sys_created_on": "2026-11-20 09:00:00"})


@pytest.mark.fact("servicenow 6")
async def test_a_repeated_create_that_is_refused_as_a_duplicate_has_arrived(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await land(system, ticket_id)
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket SET sent_at = now(), refusals = 1, refusal_cause = 'x'"
                                   " WHERE delivery = 'queued'"))  # fmt: skip
    # The lookup of that attempt was made before the record landed: it sees nothing, by either id.
    with pytest.MonkeyPatch.context() as patch:
        blind(patch, "find_by_correlation")
        blind(patch, "find_by_sys_ids")
        await run_due_and_waiting(system)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.sys_id) == ("shared", ticket.own_sys_id)
    assert [entry.status for entry in calls(system, "POST")][-1] == 403
    assert len(records(system, "incident")) == 2


def blind(patch: pytest.MonkeyPatch, name: str) -> None:
    """The first call of this lookup finds nothing; later ones tell the truth."""
    real: Any = getattr(ServiceNowClient, name)
    asked: list[Any] = []

    async def once(client: ServiceNowClient, *arguments: object) -> object:
        asked.append(arguments)
        return [] if len(asked) == 1 else await real(client, *arguments)

    patch.setattr(ServiceNowClient, name, once)


async def test_a_record_under_our_sys_id_with_another_correlation_id_is_not_taken_for_ours(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await land(system, ticket_id)
    store = system.servicenow.instance.store
    own = (await read_ticket(system, ticket_id)).own_sys_id
    store.put("incident", {**(store.get("incident", own) or {}), "correlation_id": "f" * 32})
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket SET sent_at = now() WHERE delivery = 'queued'"))
    await run_due_and_waiting(system, 2)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.uncertain_until is None) == ("held", False)
    assert "another correlation id" in str(ticket.problem)
    assert len(calls(system, "POST")) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("chosen", ["kept", "ignored", "refused"])
@pytest.mark.parametrize("duplicate", ["refused", "new_record", "overwritten"])
@pytest.mark.parametrize(
    "trouble", ["dropped_after_commit", "cancelled_after_commit", "refused_after_commit", "broken_json"]
)
async def test_every_share_makes_one_record_whatever_the_instance_does_with_a_chosen_sys_id(
    system: System, chosen: str, duplicate: str, trouble: str
) -> None:
    await system.connect()
    switches = system.servicenow.instance.switches
    switches.chosen_sys_id, switches.duplicate_sys_id = chosen, duplicate
    await share_one(system, TicketKind.INCIDENT)
    await deliver_all(system, 1)
    system.servicenow.fault(trouble, times=2, place="after", **LOST)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await deliver_all(system, 4)
    # On a table of which nothing is known yet, a create that is refused for its sys_id and then refused behind a commit is
    # taken for refused. It is held, and Retry finds its record.
    is_taken_for_refused = (chosen, trouble) == ("refused", "refused_after_commit")
    assert (await read_ticket(system, ticket_id)).delivery == ("held" if is_taken_for_refused else "shared")
    assert len(records(system, "incident")) == 2
