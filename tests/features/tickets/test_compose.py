"""The record that is sent: complete, within ServiceNow's lengths, and safe for any text."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.tickets.sharing.record import FORBIDDEN, Links, Requester, TicketRequest, clean, compose_record, cut
from app.features.tickets.types import TicketKind, TicketSource

SENDER = Requester(None, "0f8fad5b-d9cb-469f-a165-70867728950e", "Megan Bowen", "megan@contoso.example")
LINKS = Links("https://portal.example/tickets/1", [("Turn on MFA", "https://portal.example/secure-score/actions/mfa")])
ASKED = TicketRequest(
    kind=TicketKind.INCIDENT,
    name="Turn on MFA",
    description="Everybody needs it.",
    priority=2,
    due_date=date(2026, 12, 31),
    source=TicketSource.MICROSOFT,
    category="Identity",
)
CORRELATION = "0" * 31 + "1"


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def test_all_seven_data_items_are_in_the_text() -> None:
    text = compose_record(ASKED, SENDER, LINKS, CORRELATION).fields["description"]
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
    incident = compose_record(ASKED, SENDER, LINKS, CORRELATION).fields
    assert incident["correlation_id"] == CORRELATION
    assert incident["correlation_display"] == "Microsoft 365 Security and Configuration Incident"
    assert incident["due_date"] == "2026-12-31 12:00:00"
    change = compose_record(replace(ASKED, kind=TicketKind.CHANGE), SENDER, LINKS, CORRELATION).fields
    assert change["correlation_display"] == "Microsoft 365 Security and Configuration Change Request"


@pytest.mark.parametrize(
    ("priority", "impact", "urgency"), [(1, "1", "1"), (2, "1", "2"), (3, "2", "2"), (4, "2", "3"), (5, "3", "3")]
)
def test_an_incidents_priority_is_reached_through_impact_and_urgency(priority: int, impact: str, urgency: str) -> None:
    fields = compose_record(replace(ASKED, priority=priority), SENDER, LINKS, CORRELATION).fields
    assert (fields["impact"], fields["urgency"]) == (impact, urgency)
    assert "priority" not in fields


def test_a_changes_priority_is_sent_as_it_is() -> None:
    fields = compose_record(replace(ASKED, kind=TicketKind.CHANGE, priority=3), SENDER, LINKS, CORRELATION).fields
    assert fields["priority"] == "3"
    assert "impact" not in fields


def test_long_texts_are_cut_visibly_and_a_person_is_told() -> None:
    composed = compose_record(replace(ASKED, name="n" * 161, description="d" * 5000), SENDER, LINKS, CORRELATION)
    assert composed.fields["short_description"] == "n" * 159 + "…"
    assert "Task name: " + "n" * 161 in composed.fields["description"]
    assert "d…\n\nRequested by" in composed.fields["description"]
    assert units(composed.fields["description"]) <= 4000
    assert len(composed.warnings) == 2


def test_what_fits_is_not_cut_and_not_warned_about() -> None:
    composed = compose_record(replace(ASKED, name="n" * 160), SENDER, LINKS, CORRELATION)
    assert composed.fields["short_description"] == "n" * 160
    assert composed.warnings == []


def test_many_actions_are_counted_where_they_do_not_fit() -> None:
    links = replace(LINKS, actions=[(f"Action {n}", f"https://portal.example/a/{n}") for n in range(100)])
    text = compose_record(ASKED, SENDER, links, CORRELATION).fields["description"]
    assert "more improvement actions" in text
    assert units(text) <= 4000


@given(st.text(st.characters(), max_size=6000), st.text(st.characters(), max_size=400))
def test_any_text_becomes_one_that_fits_and_can_travel(description: str, name: str) -> None:
    fields = compose_record(replace(ASKED, description=description, name=name), SENDER, LINKS, CORRELATION).fields
    assert units(fields["short_description"]) <= 160
    assert units(fields["description"]) <= 4000
    for text in fields.values():
        text.encode()
        assert not FORBIDDEN.search(text)
    assert "\n" not in fields["short_description"]
    assert "Recommendation category: Identity" in fields["description"]


@given(st.text(), st.integers(1, 60))
def test_cutting_keeps_the_beginning_and_never_half_a_character(text: str, limit: int) -> None:
    whole = clean(text)
    short = cut(whole, limit)
    assert units(short) <= limit
    assert short == whole or (short.endswith("…") and whole.startswith(short[:-1]))


def test_a_letter_keeps_its_marks_and_a_flagged_emoji_stays_whole() -> None:
    assert cut("abcx\u0301\u0323\u0324", 5) == "abc…"
    assert cut("ab\U0001f44d\U0001f3fdcd", 5) == "ab…"
