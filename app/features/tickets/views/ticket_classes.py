"""The classes of tickets that the tally counts, and which of them a filter means. Pure.

A class is an index range of `ix_ticket_of_class`, so a filter that is a set of classes has a total without counting, and a
page without reading what it leaves out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.features.tickets.polling.state_names import StateNames
from app.features.tickets.types import CLOSED_CATEGORIES, Delivery, StateCategory, TicketKind
from app.features.tickets.views.ticket_tally import TallyRow

# Values of the progress filter that are no category of states.
OPEN, ABSENT, ARCHIVED = "open", "absent", "archived"


@dataclass(frozen=True)
class LineContext:
    """What the lines of all tickets need. `archived` are the instances that are not connected any more: {connection: name}."""

    names: StateNames
    archived: Mapping[UUID, str]


@dataclass(frozen=True)
class Filters:
    """What a list shows; empty means all. `batch` is the id of a bulk share.

    `state_category` is a StateCategory or one of OPEN, ABSENT and ARCHIVED. `at` is what `ListPlace.write` gives, `page` a number
    in an address of earlier versions.
    """

    kind: str = ""
    state_category: str = ""
    state: str = ""
    delivery: str = ""
    search: str = ""
    batch: str = ""
    page: int = 1
    at: str = ""


@dataclass(frozen=True)
class TicketClass:
    """`count` tickets that are alike. `label` is the instance's for the state, `shown` whether it shows their records."""

    connection_id: UUID
    kind: str
    delivery: str
    state: str
    shown: bool
    label: str
    count: int

    @property
    def has_state(self) -> bool:
        """Whether its state says anything of the work now."""
        return self.delivery == Delivery.SHARED and self.shown


def classes_of(tally: Iterable[TallyRow]) -> list[TicketClass]:
    """Without the labels as a distinction: an instance may have renamed a state, which is still one."""
    found: dict[tuple[UUID, str, str, str, bool], TicketClass] = {}
    for row in tally:
        key = (row.connection_id, row.kind, row.delivery, row.state, row.shown)
        known = found.get(key)
        label, count = (max(known.label, row.state_label), known.count + row.n) if known else (row.state_label, row.n)
        found[key] = TicketClass(*key, label, count)
    return list(found.values())


def choose_classes(
    classes: Iterable[TicketClass], filters: Filters, context: LineContext
) -> tuple[list[TicketClass], list[str]]:
    """The classes that pass the filters, and the labels of all states that tickets are in."""
    every = list(classes)
    labels = {one: _label(one, context) for one in every if one.has_state}
    chosen = [one for one in every if _passes(one, filters, context)]
    # By label: several raw values of both kinds may have the same one, and people mean them all.
    if filters.state:
        chosen = [one for one in chosen if labels.get(one) == filters.state]
    return chosen, sorted(set(labels.values()))


def total_of(classes: Sequence[TicketClass]) -> int:
    return sum(one.count for one in classes)


def _label(one: TicketClass, context: LineContext) -> str:
    return context.names.label(one.connection_id, one.kind, one.state, one.label)


def _passes(one: TicketClass, filters: Filters, context: LineContext) -> bool:
    if filters.kind in {kind.value for kind in TicketKind} and one.kind != filters.kind:
        return False
    if filters.delivery in {delivery.value for delivery in Delivery} and one.delivery != filters.delivery:
        return False
    wanted = filters.state_category
    if wanted == ABSENT:
        return not one.shown
    if wanted == ARCHIVED:
        return one.connection_id in context.archived
    if wanted not in {OPEN, *(category.value for category in StateCategory)}:
        return True
    category = context.names.category(one.connection_id, one.kind, one.state) if one.has_state else None
    if wanted != OPEN:
        return category is not None and category.value == wanted
    is_followed = one.shown and one.delivery != Delivery.GIVEN_UP and one.connection_id not in context.archived
    return is_followed and category not in CLOSED_CATEGORIES
