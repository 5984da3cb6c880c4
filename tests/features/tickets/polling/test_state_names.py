"""State names: raw values decide, unknown states are never done, and an administrator has the last word."""

from __future__ import annotations

from uuid import uuid4

import pytest

from app.core.errors import InvalidInput
from app.features.tickets.models import Ticket
from app.features.tickets.polling.state_names import (
    StateNames,
    category_choices,
    list_state_names,
    load_names,
    reset_state_names,
    set_state_name,
)
from app.features.tickets.types import StateCategory, TicketKind
from tests.factories.system import System
from tests.factories.tickets import (
    read_ticket,
    refresh_now,
    share_one,
    shared_ticket,
    told,
)

pytestmark = pytest.mark.thorough

CLOSED = {"close_code": "Solution provided", "close_notes": "Done."}


CONNECTION_ID = uuid4()


@pytest.mark.fact("other-connectors bug-30", "other-connectors bug-42")
async def test_labels_in_another_language_change_no_logic(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.language = "de"
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "6", **CLOSED})
    await refresh_now(system)
    ticket = await read_ticket(system, ticket_id)
    assert ticket.state == "6"
    assert ticket.state_label not in ("", "6", "Resolved")
    assert ticket.state_label in await told(system, "/")
    assert ticket.number in await told(system, "/tickets?state_category=done")


@pytest.mark.fact("other-connectors bug-33")
@pytest.mark.parametrize("value", ["18", "10", "77", "-3 ", "3,7", "6 7"])
def test_a_state_is_compared_whole(value: str) -> None:
    assert StateNames({}).category(uuid4(), "incident", value) is StateCategory.UNKNOWN


@pytest.mark.fact("other-connectors bug-34")
async def test_a_custom_state_keeps_its_name_and_is_never_done(system: System) -> None:
    await system.connect()
    system.servicenow.control("choices", table="incident", element="state", value="22", label="Awaiting evidence")
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "22"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "22"
    for address in ("/", f"/tickets/{ticket_id}", "/tickets?state_category=unknown", "/tickets?state_category=open"):
        assert "Awaiting evidence" in await told(system, address)
    assert record["number"] not in await told(system, "/tickets?state_category=done")
    async with system.resources.database.transaction() as session:
        line = next(line for line in await list_state_names(session, "incident") if line.value == "22")
    assert (line.label, line.category, line.count) == ("Awaiting evidence", "unknown", 1)


@pytest.mark.fact("other-connectors bug-35", "servicenow 4.1", "servicenow 4.2", "servicenow trap-10")
@pytest.mark.parametrize(
    ("kind", "state", "category"),
    [
        (TicketKind.INCIDENT, "6", "done"), (TicketKind.INCIDENT, "7", "done"), (TicketKind.INCIDENT, "8", "canceled"),
        (TicketKind.CHANGE, "3", "done"), (TicketKind.CHANGE, "4", "canceled"), (TicketKind.CHANGE, "0", "progress"),
    ],
)  # fmt: skip
async def test_there_are_several_ends_and_they_differ_by_table(
    system: System, kind: TicketKind, state: str, category: str
) -> None:
    await system.connect()
    system.servicenow.instance.switches.check_transitions = False
    ticket_id, record = await shared_ticket(system, kind)
    close_code = {TicketKind.INCIDENT: "Solution provided", TicketKind.CHANGE: "successful"}[kind]
    fields = CLOSED | {"state": state, "close_code": close_code}
    system.servicenow.control("records", number=record["number"], fields=fields)
    await refresh_now(system)
    ticket = await read_ticket(system, ticket_id)
    assert ticket.state == state
    assert ticket.number in await told(system, f"/tickets?state_category={category}")
    is_open = category == "progress"
    assert (ticket.number in await told(system, "/tickets?state_category=open")) is is_open


@pytest.mark.parametrize(
    ("kind", "value", "category"),
    [
        ("change", "0", StateCategory.PROGRESS),
        ("change", "-5", StateCategory.NEW),
        ("change", "3", StateCategory.DONE),
        ("change", "4", StateCategory.CANCELED),
        ("incident", "3", StateCategory.WAITING),
        ("incident", "6", StateCategory.DONE),
        ("incident", "7", StateCategory.DONE),
        ("incident", "8", StateCategory.CANCELED),
        ("incident", "18", StateCategory.UNKNOWN),
        ("incident", "", StateCategory.UNKNOWN),
        ("change", "Closed", StateCategory.UNKNOWN),
    ],
)
def test_categories_come_from_raw_values(kind: str, value: str, category: StateCategory) -> None:
    assert StateNames({}).category(CONNECTION_ID, kind, value) is category


def test_labels_come_from_the_administrator_then_the_instance_then_the_defaults() -> None:
    names = StateNames({(CONNECTION_ID, "incident", "6"): ("Fixed", StateCategory.DONE)})
    assert names.label(CONNECTION_ID, "incident", "6", "Gelöst") == "Fixed"
    assert names.label(CONNECTION_ID, "incident", "7", "Geschlossen") == "Geschlossen"
    assert names.label(CONNECTION_ID, "change", "0", "") == "Review"
    assert names.label(CONNECTION_ID, "change", "42", "42") == "42"
    assert names.label(CONNECTION_ID, "change", "", "") == "Not readable"


async def test_the_list_has_usual_and_seen_states_with_counts(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    async with system.resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id)
        ticket.state, ticket.state_label, ticket.sys_id = "18", "Awaiting evidence", "0" * 32
    async with system.resources.database.transaction() as session:
        lines = {line.value: line for line in await list_state_names(session, "incident")}
    assert list(lines) == ["1", "2", "3", "6", "7", "8", "18"]
    assert (lines["18"].label, lines["18"].category, lines["18"].count) == ("Awaiting evidence", "unknown", 1)
    assert (lines["6"].label, lines["6"].category, lines["6"].count) == ("Resolved", "done", 0)


async def test_a_name_is_set_changed_and_reset(system: System) -> None:
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        await set_state_name(session, "incident", "18", own_label="  Evidence   wanted ", category="waiting")
        await set_state_name(session, "incident", "18", own_label="Evidence wanted", category="progress")
    async with system.resources.database.transaction() as session:
        names = await load_names(session)
        assert names.label(connection.id, "incident", "18", "x") == "Evidence wanted"
        assert names.category(connection.id, "incident", "18") is StateCategory.PROGRESS
        assert names.category(connection.id, "change", "18") is StateCategory.UNKNOWN
        await reset_state_names(session, "incident")
    async with system.resources.database.transaction() as session:
        assert (await load_names(session)).given == {}


@pytest.mark.parametrize(
    ("kind", "value", "label", "category", "field"),
    [
        ("incident", "1", "x" * 41, "new", "own_label"),
        ("incident", "1", "x", "closed", "category"),
        ("incident", "", "x", "new", "value"),
        ("problem", "1", "x", "new", "kind"),
    ],
)
async def test_what_is_no_name_is_refused(
    system: System, kind: str, value: str, label: str, category: str, field: str
) -> None:
    await system.connect()
    async with system.resources.database.transaction() as session:
        with pytest.raises(InvalidInput) as refused:
            await set_state_name(session, kind, value, own_label=label, category=category)
    assert field in refused.value.fields


@pytest.mark.fact("other-connectors bug-37")
@pytest.mark.parametrize(
    ("before", "after", "reopened"),
    [("7", "2", True), ("6", "1", True), ("2", "7", False), ("6", "7", False), ("1", "2", False), ("8", "18", True)],
)
def test_a_change_from_a_closed_category_to_an_open_one_is_a_reopening(before: str, after: str, reopened: bool) -> None:
    change = StateNames({}).change(CONNECTION_ID, "incident", before=(before, "x"), after=(after, "y"))
    assert (change.before, change.after, change.reopened) == ("x", "y", reopened)


def test_closed_values_follow_what_an_administrator_set() -> None:
    assert StateNames({}).closed_values(CONNECTION_ID, "incident") == ["6", "7", "8"]
    assert StateNames({}).closed_values(CONNECTION_ID, "change") == ["3", "4", "7"]
    given = {
        (CONNECTION_ID, "incident", "6"): ("", StateCategory.WAITING),
        (CONNECTION_ID, "incident", "22"): ("", StateCategory.DONE),
        (CONNECTION_ID, "change", "0"): ("", StateCategory.DONE),
        (uuid4(), "incident", "2"): ("", StateCategory.DONE),
    }
    assert StateNames(given).closed_values(CONNECTION_ID, "incident") == ["22", "7", "8"]


def test_a_form_offers_every_category() -> None:
    assert [value for value, _ in category_choices()] == [category.value for category in StateCategory]
