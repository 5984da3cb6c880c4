"""State names: raw values decide, unknown states are never done, and an administrator has the last word."""

from __future__ import annotations

from uuid import uuid4

import pytest

from app.core.errors import InvalidInput
from app.features.tickets.models import Ticket
from app.features.tickets.polling.state_names import (
    Names,
    list_state_names,
    load_names,
    reset_state_names,
    set_state_name,
)
from app.features.tickets.types import StateCategory, TicketKind
from tests.factories.system import System
from tests.factories.tickets import share_one

NOBODY = uuid4()


@pytest.mark.parametrize(
    ("kind", "value", "group"),
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
def test_groups_come_from_raw_values(kind: str, value: str, group: StateCategory) -> None:
    assert Names({}).group(NOBODY, kind, value) is group


def test_labels_come_from_the_administrator_then_the_instance_then_usage() -> None:
    names = Names({(NOBODY, "incident", "6"): ("Fixed", StateCategory.DONE)})
    assert names.label(NOBODY, "incident", "6", "Gelöst") == "Fixed"
    assert names.label(NOBODY, "incident", "7", "Geschlossen") == "Geschlossen"
    assert names.label(NOBODY, "change", "0", "") == "Review"
    assert names.label(NOBODY, "change", "42", "42") == "42"
    assert names.label(NOBODY, "change", "", "") == "Not readable"


async def test_the_list_has_usual_and_seen_states_with_counts(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    async with system.resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id)
        ticket.state, ticket.state_label, ticket.sys_id = "18", "Awaiting evidence", "0" * 32
    async with system.resources.database.transaction() as session:
        lines = {line.value: line for line in await list_state_names(session, "incident")}
    assert list(lines) == ["1", "2", "3", "6", "7", "8", "18"]
    assert (lines["18"].label, lines["18"].group, lines["18"].count) == ("Awaiting evidence", "unknown", 1)
    assert (lines["6"].label, lines["6"].group, lines["6"].count) == ("Resolved", "done", 0)


async def test_a_name_is_set_changed_and_reset(system: System) -> None:
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        await set_state_name(session, "incident", "18", own_label="  Evidence   wanted ", group="waiting")
        await set_state_name(session, "incident", "18", own_label="Evidence wanted", group="progress")
    async with system.resources.database.transaction() as session:
        names = await load_names(session)
        assert names.label(connection.id, "incident", "18", "x") == "Evidence wanted"
        assert names.group(connection.id, "incident", "18") is StateCategory.PROGRESS
        assert names.group(connection.id, "change", "18") is StateCategory.UNKNOWN
        await reset_state_names(session, "incident")
    async with system.resources.database.transaction() as session:
        assert (await load_names(session)).given == {}


@pytest.mark.parametrize(
    ("kind", "value", "label", "group", "field"),
    [
        ("incident", "1", "x" * 41, "new", "own_label"),
        ("incident", "1", "x", "closed", "group"),
        ("incident", "", "x", "new", "value"),
        ("problem", "1", "x", "new", "kind"),
    ],
)
async def test_what_is_no_name_is_refused(
    system: System, kind: str, value: str, label: str, group: str, field: str
) -> None:
    await system.connect()
    async with system.resources.database.transaction() as session:
        with pytest.raises(InvalidInput) as refused:
            await set_state_name(session, kind, value, own_label=label, group=group)
    assert field in refused.value.fields
