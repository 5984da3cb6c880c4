"""The cards of the home page: which there are, for whom, and in which order somebody sees them. Reads nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from app.core.messages import Message, T
from app.features.accounts.permissions import Viewer
from app.features.tickets.types import KINDS


@dataclass(frozen=True)
class HomeCard:
    """One card. `is_usual` says whether it is there until somebody removes it; others are added by whoever wants them."""

    name: str
    title: Message
    is_usual: bool = True
    for_managers: bool = False


CARDS = (
    HomeCard("score", T("Microsoft Secure Score")),
    HomeCard("connect", T("Do you use ServiceNow?")),
    *(HomeCard(kind.value, spec.card_title) for kind, spec in KINDS.items()),
    HomeCard("results", T("Tickets and results")),
    HomeCard("review", T("Actions to review"), is_usual=False),
    HomeCard("top", T("Top improvement actions"), is_usual=False),
    HomeCard("categories", T("Breakdown by category"), is_usual=False),
    HomeCard("imports", T("Imports"), is_usual=False, for_managers=True),
)
BY_NAME = {card.name: card for card in CARDS}
USUAL = tuple(card.name for card in CARDS if card.is_usual)


def wanted_cards(kept: Iterable[str] | None, viewer: Viewer) -> list[str]:
    """What this person wants to see and may: names that we do not know (any more) are passed over."""
    names = USUAL if kept is None else kept
    return [name for name in dict.fromkeys(names) if name in BY_NAME and _may_see(BY_NAME[name], viewer)]


def left_to_add(wanted: Collection[str], possible: Collection[str], viewer: Viewer) -> list[HomeCard]:
    """What could be added: possible just now, allowed, and not there yet."""
    return [card for card in CARDS if card.name in possible and card.name not in wanted and _may_see(card, viewer)]


def moved(wanted: Sequence[str], shown: Sequence[str], name: str, step: int) -> list[str]:
    """The order after a card changed places with the shown one before (-1) or after it (1); at the end nothing happens."""
    if name not in shown:
        return list(wanted)
    here = shown.index(name)
    there = here + step
    if not 0 <= there < len(shown):
        return list(wanted)
    order = list(shown)
    order[here], order[there] = order[there], order[here]
    return in_order(wanted, order)


def in_order(wanted: Sequence[str], order: Sequence[str]) -> list[str]:
    """The wanted cards with those of `order` in that order; the others, which nobody saw just now, keep their places."""
    asked = [name for name in dict.fromkeys(order) if name in wanted]
    following = iter(asked)
    return [next(following) if name in asked else name for name in wanted]


def _may_see(card: HomeCard, viewer: Viewer) -> bool:
    return viewer.may_manage or not card.for_managers
