"""The record that was sent is compared with the one that was stored."""

from __future__ import annotations

import pytest

from app.features.tickets.models import Ticket
from app.features.tickets.polling.differences import differences
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.parse_response import ticket_of
from tests.factories.system import System
from tests.factories.tickets import (
    a_row,
    shared_ticket,
    told,
)


@pytest.mark.fact("other-connectors bug-41", "servicenow trap-7")
async def test_a_priority_that_servicenow_replaced_is_shown(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.keep_change_priority = False
    ticket_id, _ = await shared_ticket(system, TicketKind.CHANGE, priority=1)
    page = await told(system, f"/tickets/{ticket_id}")
    assert "ServiceNow changed what you sent." in page
    assert "Priority: sent Critical, ServiceNow stored Low." in page


@pytest.mark.fact("other-connectors bug-41", "servicenow 4.1", "servicenow trap-7")
def test_an_incidents_looked_up_priority_is_compared_with_the_one_asked_for() -> None:
    ticket = Ticket(kind="incident", priority=1, record={"impact": "1", "urgency": "1"})
    row = a_row(impact={"value": "1"}, urgency={"value": "1"}, priority={"value": "3"})
    (said,) = differences(ticket, ticket_of(row))
    assert "asked for Critical, ServiceNow made it Moderate" in str(said)


def said(record: dict[str, str], stored: dict[str, str], kind: str = "change") -> list[str]:
    """What is said of a record that was sent, and of which these values came back."""
    ticket = Ticket(kind=kind, priority=2, record=record)
    row = a_row(**{name: {"value": value} for name, value in {"priority": "2", **stored}.items()})
    return [str(sentence) for sentence in differences(ticket, ticket_of(row))]


@pytest.mark.parametrize(
    ("name", "sent", "stored", "sentence"),
    [
        ("short_description", "Close the port", "Close", "Name: ServiceNow cut it after 5 characters."),
        ("short_description", "Close the port", "Open", "Name: ServiceNow stored another text."),
        ("description", "Why", "What", "Description: ServiceNow stored another text."),
        ("description", "Why", "", "Description: ServiceNow did not keep it."),
        ("impact", "1", "3", "Impact: sent 1, ServiceNow stored 3."),
        ("priority", "1", "4", "Priority: sent Critical, ServiceNow stored Low."),
        ("u_source", "a", "b", "u_source: sent a, ServiceNow stored b."),
    ],
)
def test_each_difference_has_its_sentence(name: str, sent: str, stored: str, sentence: str) -> None:
    assert said({name: sent}, {name: stored}) == [sentence]


@pytest.mark.parametrize(("sent", "stored"), [("a\r\nb", "a\nb"), ("a  ", "a"), ("a", "a\n"), ("", "")])
def test_line_ends_and_trailing_blanks_are_no_difference(sent: str, stored: str) -> None:
    assert said({"description": sent}, {"description": stored}) == []


@pytest.mark.fact("servicenow trap-15", "servicenow 2.6")
def test_a_field_that_may_not_be_read_is_reported() -> None:
    assert said({"due_date": "2030-12-31 12:00:00"}, {}) == [
        "Due date: not readable, so we cannot tell what ServiceNow stored."
    ]


def test_an_incidents_priority_as_asked_for_is_no_difference() -> None:
    assert said({"impact": "1"}, {"impact": "1"}, kind="incident") == []


@pytest.mark.fact("servicenow 4.1")
def test_a_priority_that_servicenow_left_empty_is_told() -> None:
    ticket = Ticket(kind="incident", priority=2, record={"impact": "1"})
    row = a_row(impact={"value": "1"}, priority={"value": "", "display_value": ""})
    (sentence,) = differences(ticket, ticket_of(row))
    assert "Priority: asked for High, ServiceNow left it empty" in str(sentence)


@pytest.mark.fact("servicenow trap-15")
def test_a_priority_that_may_not_be_read_is_told_and_not_said_to_be_empty() -> None:
    row = a_row(impact={"value": "1"})
    del row["priority"]
    (sentence,) = differences(Ticket(kind="incident", priority=2, record={"impact": "1"}), ticket_of(row))
    assert str(sentence) == "Priority: not readable, so we cannot tell what ServiceNow stored."


def test_a_fixed_value_that_comes_back_empty_is_told() -> None:
    assert said({"type": "standard"}, {"type": ""}) == ["Change type: ServiceNow did not keep it."]
