"""The record that is sent: complete, within ServiceNow's lengths, and safe for any text."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.text_limits import FORBIDDEN
from app.features.connection.preferences import Preferences
from app.features.tickets.sharing.record import Links, RecordPayload, compose_record
from app.features.tickets.ticket_fields import Requester, TicketRequest, TicketSource
from app.features.tickets.types import TicketKind
from tests.factories.tickets import an_ask

REQUESTER = Requester(None, "0f8fad5b-d9cb-469f-a165-70867728950e", "Megan Bowen", "megan@contoso.example")
LINKS = Links("https://portal.example/tickets/1", [("Turn on MFA", "https://portal.example/secure-score/actions/mfa")])
REQUEST = TicketRequest(
    kind=TicketKind.INCIDENT,
    name="Turn on MFA",
    description="Everybody needs it.",
    priority=2,
    due_date=date(2026, 12, 31),
    source=TicketSource.MICROSOFT,
    category="Identity",
)
CORRELATION = "0" * 31 + "1"


def composed(**changes: Any) -> RecordPayload:
    return compose_record(replace(REQUEST, **changes), REQUESTER, LINKS, CORRELATION, Preferences())


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def test_all_seven_data_items_are_in_the_text() -> None:
    text = composed().fields["description"]
    for line in (
        "Everybody needs it.",
        "Requested by: Megan Bowen <megan@contoso.example>, user ID 0f8fad5b-d9cb-469f-a165-70867728950e",
        "Task name: Turn on MFA",
        "Priority: 2 - High",
        "Due date: 2026-12-31",
        "Recommendation source: Microsoft recommendation",
        "Recommendation category: Identity",
        "Ticket in the security center: https://portal.example/tickets/1",
        "Improvement action: Turn on MFA https://portal.example/secure-score/actions/mfa",
    ):
        assert line in text.split("\n")


def test_the_record_is_marked_as_ours_and_due_on_the_day() -> None:
    incident = composed().fields
    assert incident["correlation_id"] == CORRELATION
    assert incident["correlation_display"] == "Microsoft 365 Security and Configuration Incident"
    assert incident["due_date"] == "2026-12-31 12:00:00"
    change = composed(kind=TicketKind.CHANGE).fields
    assert change["correlation_display"] == "Microsoft 365 Security and Configuration Change Request"


@pytest.mark.parametrize(
    ("priority", "impact", "urgency"), [(1, "1", "1"), (2, "1", "2"), (3, "2", "2"), (4, "2", "3"), (5, "3", "3")]
)
def test_an_incidents_priority_is_reached_through_impact_and_urgency(priority: int, impact: str, urgency: str) -> None:
    fields = composed(priority=priority).fields
    assert (fields["impact"], fields["urgency"]) == (impact, urgency)
    assert "priority" not in fields


def test_a_changes_priority_is_sent_as_it_is() -> None:
    fields = composed(kind=TicketKind.CHANGE, priority=3).fields
    assert fields["priority"] == "3"
    assert "impact" not in fields


def test_long_texts_are_cut_visibly_and_a_person_is_told() -> None:
    payload = composed(name="n" * 161, description="d" * 5000)
    assert payload.fields["short_description"] == "n" * 159 + "…"
    assert "Task name: " + "n" * 161 in payload.fields["description"]
    assert "d…\n\nMicrosoft 365 Security and Configuration Incident\nRequested by" in payload.fields["description"]
    assert units(payload.fields["description"]) <= 4000
    assert len(payload.warnings) == 2


def test_what_fits_is_not_cut_and_not_warned_about() -> None:
    payload = composed(name="n" * 160)
    assert payload.fields["short_description"] == "n" * 160
    assert payload.warnings == []


def test_many_actions_are_counted_where_they_do_not_fit() -> None:
    links = replace(LINKS, actions=[(f"Action {n}", f"https://portal.example/a/{n}") for n in range(100)])
    text = compose_record(REQUEST, REQUESTER, links, CORRELATION, Preferences()).fields["description"]
    assert "more improvement actions" in text
    assert units(text) <= 4000


@given(st.text(st.characters(), max_size=6000), st.text(st.characters(), max_size=400))
def test_any_text_becomes_one_that_fits_and_can_travel(description: str, name: str) -> None:
    fields = composed(description=description, name=name).fields
    assert units(fields["short_description"]) <= 160
    assert units(fields["description"]) <= 4000
    for text in fields.values():
        text.encode()
        assert not FORBIDDEN.search(text)
    assert "\n" not in fields["short_description"]
    assert "Recommendation category: Identity" in fields["description"]


@pytest.mark.fact("microsoft-graph edge-50")
@pytest.mark.parametrize("kind", list(TicketKind))
def test_all_seven_data_items_are_in_the_record_of_each_kind(kind: TicketKind) -> None:
    request = an_ask(kind, name="Turn on MFA", description="Everybody needs it.", due_date=date(2030, 12, 31))
    payload = compose_record(request, REQUESTER, Links("https://portal.example/t", []), CORRELATION, Preferences())
    for line in (
        "user ID 0f8fad5b-d9cb-469f-a165-70867728950e",
        "Task name: Turn on MFA",
        "Everybody needs it.",
        "Priority: 2 - High",
        "Due date: 2030-12-31",
        "Recommendation source: Microsoft recommendation",
        "Recommendation category: Identity",
    ):
        assert line in payload.fields["description"], line


def test_a_requester_without_an_address_is_named_alone() -> None:
    nameless = replace(REQUESTER, email="")
    fields = compose_record(REQUEST, nameless, LINKS, CORRELATION, Preferences()).fields
    assert "Requested by: Megan Bowen, user ID" in fields["description"]


@pytest.mark.fact("microsoft-graph 3.4")
@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (TicketKind.CHANGE, "Microsoft 365 Security and Configuration Change Request"),
        (TicketKind.INCIDENT, "Microsoft 365 Security and Configuration Incident"),
    ],
)
def test_a_stock_form_shows_what_the_record_is(kind: TicketKind, line: str) -> None:
    assert line in composed(kind=kind).fields["description"].split("\n")


def test_the_senders_name_and_address_are_left_out_where_the_organization_wants_that() -> None:
    fields = compose_record(REQUEST, REQUESTER, LINKS, CORRELATION, Preferences(names_sender=False)).fields
    text = " ".join(fields.values())
    assert "Megan" not in text
    assert "contoso.example" not in text
    assert "Requested by: user ID 0f8fad5b-d9cb-469f-a165-70867728950e" in fields["description"]


def test_a_new_record_carries_the_group_and_the_copies_but_nothing_in_place_of_our_own_columns() -> None:
    wanted = Preferences(
        group_id="g" * 32, columns={"incident": {"category": "u_category", "description": "short_description"}}
    )
    fields = compose_record(REQUEST, REQUESTER, LINKS, CORRELATION, wanted).fields
    assert (fields["assignment_group"], fields["u_category"]) == ("g" * 32, "Identity")
    assert fields["short_description"] == "Turn on MFA"


def test_an_earlier_ticket_is_named() -> None:
    links = replace(LINKS, predecessor="INC0010007")
    text = compose_record(REQUEST, REQUESTER, links, CORRELATION, Preferences()).fields["description"]
    assert "Follows: INC0010007" in text.split("\n")
