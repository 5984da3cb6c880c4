"""The list of home cards: which of them a person wants, may see, and can add."""

from __future__ import annotations

from uuid import uuid4

import pytest

from app.features.accounts.permissions import Role, Viewer
from app.features.tickets.types import TicketKind
from app.web.home_cards import BY_NAME, CARDS, USUAL, addable_cards, possible_cards, wanted_cards
from app.web.templating import environment


def person(role: Role | None) -> Viewer:
    return Viewer(uuid4(), "", "", "", "", role)


@pytest.mark.fact("microsoft-graph edge-57")
def test_a_person_who_changed_nothing_sees_the_usual_cards() -> None:
    viewer = person(Role.VIEWER)
    assert wanted_cards(None, viewer) == list(USUAL)
    assert wanted_cards([], viewer) == []


def test_kept_names_lose_repetitions_unknown_ones_and_cards_of_other_roles() -> None:
    kept = ["imports", "score", "weather", "score", "top"]
    assert wanted_cards(kept, person(Role.SHARER)) == ["score", "top"]
    assert wanted_cards(kept, person(Role.MANAGER)) == ["imports", "score", "top"]
    assert wanted_cards(kept, person(None)) == []


@pytest.mark.parametrize(
    ("hidden", "is_connected", "absent"),
    [
        (set(), False, {"change", "incident", "results"}),
        ({"incident"}, False, {"change", "incident", "results"}),
        (set(), True, {"connect"}),
        ({"incident"}, True, {"connect", "incident"}),
    ],
)
def test_what_can_be_shown_depends_on_the_connection_and_on_provisioning(
    hidden: set[str], is_connected: bool, absent: set[str]
) -> None:
    possible = possible_cards(hidden, is_connected=is_connected)
    assert possible == [card.name for card in CARDS if card.name not in absent]


def test_results_stay_on_the_page_while_tickets_of_a_removed_connection_are_kept() -> None:
    assert "results" in possible_cards(set(), is_connected=False, has_tickets=True)
    assert "incident" not in possible_cards(set(), is_connected=False, has_tickets=True)


def test_cards_that_are_possible_and_not_on_the_page_can_be_added() -> None:
    possible = ["score", "top", "imports"]
    assert [card.name for card in addable_cards(["score"], possible, person(Role.VIEWER))] == ["top"]
    assert [card.name for card in addable_cards([], possible, person(Role.MANAGER))] == possible


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_card_has_a_name_of_its_own_and_a_template(card: object) -> None:
    assert len(BY_NAME) == len(CARDS)
    assert environment.get_template(BY_NAME[getattr(card, "name", "")].template)


def test_the_cards_that_refresh_are_those_of_the_ticket_kinds() -> None:
    assert {card.name for card in CARDS if card.refreshes} == set(TicketKind)
