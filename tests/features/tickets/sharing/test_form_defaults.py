"""What the share form proposes: by impact, by the administrator's preferences, and within what a kind has."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from app.features.connection.preferences import Preferences
from app.features.tickets.sharing.form_defaults import (
    decided_category,
    decided_priority,
    describe,
    propose,
    propose_for_all,
    proposed_priority,
)
from app.features.tickets.ticket_fields import TicketSource
from app.features.tickets.types import TicketKind
from tests.factories.tickets import an_action

TODAY = date(2026, 11, 28)


def test_the_default_category_holds_for_an_action_without_one() -> None:
    decided = Preferences(category="Data")
    nameless, of_identity = an_action(category=None), an_action("other")
    assert propose(nameless, TODAY, preferences=decided).category == "Data"
    assert propose(of_identity, TODAY, preferences=decided).category == "Identity"
    assert propose(nameless, TODAY).category == ""
    assert propose_for_all([nameless, nameless], TODAY, preferences=decided).category == "Data"
    assert propose_for_all([nameless, of_identity], TODAY, preferences=decided).category == ""
    assert (decided_category(nameless, decided), decided_category(of_identity, decided)) == ("Data", "Identity")


@pytest.mark.parametrize(
    ("impact", "priority"), [(None, 4), (0.0, 4), (0.99, 4), (1.0, 3), (2.99, 3), (3.0, 2), (50.0, 2)]
)
def test_the_more_an_action_moves_the_score_the_sooner(impact: float | None, priority: int) -> None:
    assert proposed_priority(impact) == priority


def test_planning_is_proposed_for_incidents_only() -> None:
    decided, small = Preferences(priorities={"high": 1, "moderate": 2, "low": 5}), an_action(score_impact=0.1)
    assert decided_priority(small, decided, TicketKind.INCIDENT) == 5
    assert decided_priority(small, decided, TicketKind.CHANGE) == 4


@pytest.mark.parametrize(
    ("address", "preferred", "kind"),
    [
        ("", "", TicketKind.CHANGE),
        ("", "incident", TicketKind.INCIDENT),
        ("change", "incident", TicketKind.CHANGE),
        ("problem", "incident", TicketKind.INCIDENT),
        ("problem", "problem", TicketKind.CHANGE),
    ],
)
def test_the_address_decides_the_kind_before_the_preferences(address: str, preferred: str, kind: TicketKind) -> None:
    assert propose(None, TODAY, kind=address, preferences=Preferences(kind=preferred)).kind is kind


def test_a_free_task_is_empty_and_a_user_recommendation() -> None:
    request = propose(None, TODAY)
    assert (request.name, request.description, request.category) == ("", "", "")
    assert (request.source, request.priority) == (TicketSource.USER, 3)
    assert request.due_date == TODAY + timedelta(days=30)


def test_an_action_is_described_part_by_part() -> None:
    request = propose(an_action(score_impact=5.0), TODAY)
    assert (request.source, request.priority) == (TicketSource.MICROSOFT, 2)
    assert request.due_date == TODAY + timedelta(days=14)
    assert request.description == (
        "Administrators without a second factor are easy prey.\n\nWhat to do:\nTurn on the policy.\n\n"
        "What users will notice:\nThey are asked for a second factor.\n\n"
        "Threats it counters:\nPassword cracking\n\nProduct:\nEntra ID"
    )


def test_what_is_not_known_of_an_action_is_left_out() -> None:
    bare = an_action(description=" ", remediation="", remediation_impact="", threats=(), product="Teams")
    assert describe(bare) == "Product:\nTeams"


def test_one_ticket_for_all_is_as_urgent_as_the_most_urgent() -> None:
    actions = [an_action("first", score_impact=0.1), an_action("second", score_impact=4.0, remediation="")]
    request = propose_for_all(actions, TODAY, kind="incident")
    assert request.name == "2 improvement actions of Microsoft Secure Score"
    assert (request.kind, request.priority) == (TicketKind.INCIDENT, 2)
    assert request.due_date == TODAY + timedelta(days=14)
    first, second = request.description.split("\n\n")
    assert first == f"1. {actions[0].title}\nTurn on the policy."
    assert second == f"2. {actions[1].title}"
