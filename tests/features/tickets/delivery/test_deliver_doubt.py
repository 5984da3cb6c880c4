"""What is clear is not turned into doubt, and what is doubtful is not taken for clear."""

from __future__ import annotations

import pytest

from app.features.tickets.types import TicketKind
from tests.factories.delivering import let_time_pass, made_by_us
from tests.factories.system import System
from tests.factories.tickets import calls, read_ticket, records, run_due_and_waiting, share_one, shared_ticket, told

LOST = {"method": "POST", "path": "/table/"}


async def held_after_rounds(system: System) -> str:
    """The page of an incident that was shared now and is held in the end."""
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    await let_time_pass(system)
    await run_due_and_waiting(system, 3)
    assert (await read_ticket(system, ticket_id)).delivery == "held"
    return await told(system, f"/tickets/{ticket_id}", "sharer")


@pytest.mark.fact("servicenow 2.6")
async def test_a_create_and_a_lookup_that_the_api_refuses_as_a_whole_are_a_refusal_and_no_doubt(system: System) -> None:
    await system.connect()
    system.servicenow.fault("acl_hiccup", place="before", times=9, path="/table/incident")
    page = await held_after_rounds(system)
    assert "We cannot tell" not in page
    assert "Failed API level ACL Validation" in page


@pytest.mark.parametrize("scope", ["unscoped", "missing"])
async def test_a_ticket_of_a_client_without_its_scope_waits_and_is_in_no_doubt(system: System, scope: str) -> None:
    await system.connect()
    system.servicenow.instance.switches.auth_scope_missing = scope
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 3)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.uncertain_until) == ("queued", None)
    assert "We cannot tell" not in await told(system, f"/tickets/{ticket_id}", "sharer")


async def test_a_lost_create_whose_lookup_is_turned_away_at_the_door_stays_in_doubt(system: System) -> None:
    """Nothing is known of that create: the refusal is of the lookup alone."""
    await system.connect()
    system.servicenow.fault("dropped_after_commit", **LOST)
    system.servicenow.fault("acl_hiccup", place="before", times=9, method="GET", path="/table/incident")
    assert "We cannot tell whether this ticket arrived." in await held_after_rounds(system)


@pytest.mark.fact("servicenow 2.6")
async def test_a_first_lost_answer_where_the_correlation_id_is_dropped_is_held_and_makes_no_second_record(
    system: System,
) -> None:
    """A record that our account made shows an empty correlation id, so not finding one by it proves nothing."""
    await system.connect()
    switches = system.servicenow.instance.switches
    switches.dropped_fields, switches.chosen_sys_id = "correlation_id", "ignored"
    system.servicenow.fault("dropped_after_commit", **LOST)
    assert "does not keep the correlation id" in await held_after_rounds(system)
    assert len(made_by_us(system)) == 1


@pytest.mark.fact("servicenow 2.6")
async def test_a_first_lost_answer_where_records_hide_whose_they_are_as_well_is_held_too(system: System) -> None:
    await system.connect()
    switches = system.servicenow.instance.switches
    switches.dropped_fields, switches.unreadable_fields = "correlation_id", "correlation_display,sys_created_by"
    switches.chosen_sys_id = "ignored"
    system.servicenow.fault("dropped_after_commit", **LOST)
    assert "does not show the integration user whose they are" in await held_after_rounds(system)
    assert len(made_by_us(system)) == 1


@pytest.mark.parametrize("strict", [False, True])
async def test_a_first_create_that_was_lost_is_repeated_where_neither_marker_nor_creator_may_be_asked_by(
    system: System, *, strict: bool
) -> None:
    await system.connect()
    switches = system.servicenow.instance.switches
    switches.closed_fields, switches.strict_queries = "sys_created_by,correlation_display", strict
    system.servicenow.fault("dropped_before", **LOST)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    await let_time_pass(system)
    await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert len(made_by_us(system)) == 1


async def test_a_rule_that_begins_to_drop_the_correlation_id_later_makes_no_second_record_either(
    system: System,
) -> None:
    await system.connect()
    switches = system.servicenow.instance.switches
    switches.chosen_sys_id = "ignored"
    await shared_ticket(system)
    switches.dropped_fields = "correlation_id"
    system.servicenow.fault("dropped_after_commit", **LOST)
    assert "does not keep the correlation id" in await held_after_rounds(system)
    assert len(made_by_us(system)) == 2


async def test_records_of_others_who_use_our_account_raise_no_doubt_once_the_id_is_known_to_be_kept(
    system: System,
) -> None:
    await system.connect()
    system.servicenow.instance.switches.chosen_sys_id = "ignored"
    _, record = await shared_ticket(system)
    store = system.servicenow.instance.store
    theirs = {"sys_id": "e" * 32, "correlation_id": "", "correlation_display": "", "short_description": "Theirs"}
    store.put("incident", {**record, **theirs})
    system.servicenow.fault("dropped_before", **LOST)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    await let_time_pass(system)
    await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"


@pytest.mark.parametrize("content_type", ["json", "html", "no_type"])
async def test_a_create_that_is_answered_without_a_body_is_looked_for_alone(system: System, content_type: str) -> None:
    await system.connect()
    system.servicenow.instance.switches.created_without_body = content_type
    first = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    other = await share_one(system, TicketKind.CHANGE)
    # Only what is due: a pause would keep the other one back.
    await system.work()
    assert len(calls(system, "POST")) == 2
    await run_due_and_waiting(system)
    for ticket_id in (first, other):
        assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert len(records(system, "incident")) == 1


@pytest.mark.fact("servicenow 2.3")
async def test_a_lost_answer_is_settled_where_sorting_is_refused(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.range_refused = True
    system.servicenow.fault("dropped_after_commit", **LOST)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert len(records(system, "incident")) == 1


@pytest.mark.fact("servicenow 2.3")
async def test_where_the_correlation_id_may_not_be_queried_the_first_lost_answer_is_held_and_not_sent_again(
    system: System,
) -> None:
    """Such a query is answered with 200 and no rows, as if the record were not there."""
    await system.connect()
    switches = system.servicenow.instance.switches
    switches.closed_fields, switches.invalid_query_returns_no_rows = "correlation_id", True
    switches.chosen_sys_id = "ignored"
    system.servicenow.fault("dropped_after_commit", **LOST)
    assert "We cannot tell whether this ticket arrived." in await held_after_rounds(system)
    assert len(records(system, "incident")) == 1
