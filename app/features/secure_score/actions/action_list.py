"""The view of the actions list: search, filters, order, groups, columns and page, to and from a query string. Pure.

The whole state of the view is in the address, so that it can be shared and bookmarked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import quote_plus, urlencode

from app.core.messages import Message, T
from app.features.secure_score.actions.action_rows import ActionLine
from app.features.secure_score.actions.action_status import NAMES, Status
from app.features.secure_score.actions.columns import (
    FIRST_COLUMN_KEYS,
    LIST_COLUMNS,
    LIST_COLUMNS_BY_KEY,
    SORTABLE_KEYS,
)
from app.features.secure_score.vocabulary import LEVEL_NAMES

PAGE_SIZE = 50
LONGEST_SEARCH = 200
# Values of one filter, and of all filters: each is a chip, whose address repeats all others.
MOST_CHOSEN, MOST_CHOSEN_IN_ALL = 50, 100
# Characters of all chosen values as an address holds them, where a letter can take nine.
LONGEST_CHOSEN = 4_000
# Values that one filter offers: not fewer than may be chosen, because a chosen one has to be there to be taken back.
MOST_OPTIONS = MOST_CHOSEN
Name = Message | str
Tickets = frozenset[str]  # Control ids of actions that have a ticket.

YES, NO = "yes", "no"
YES_NO = {YES: T("Yes"), NO: T("No")}


@dataclass(frozen=True)
class Facet:
    """One filter. `values` gives the values of an action, `names` what people read instead of them.

    `is_searched` is whether the search looks into these values too.
    """

    name: str
    label: Message
    values: Callable[[ActionLine, Tickets], Sequence[str]]
    names: Mapping[str, Name] = field(default_factory=dict)
    is_searched: bool = False

    def name_of(self, value: str) -> Name:
        if not value:
            return T("None")
        return self.names.get(value, value)


def _yes_no(test: Callable[[ActionLine], bool]) -> Callable[[ActionLine, Tickets], Sequence[str]]:
    return lambda line, _tickets: (YES if test(line) else NO,)


FACETS = (
    Facet("category", T("Category"), lambda line, _t: (line.category_name,), is_searched=True),
    Facet("status", T("Status"), lambda line, _t: (line.status,), {str(key): name for key, name in NAMES.items()}),
    Facet("product", T("Product"), lambda line, _t: (line.product,), is_searched=True),
    Facet("regressed", T("Regressed"), _yes_no(lambda line: line.is_regressed), YES_NO),
    Facet("licence", T("Have licence"), _yes_no(lambda line: line.scored), YES_NO),
    Facet("ticket", T("Ticket"), lambda line, t: (YES if line.control_id in t else NO,), YES_NO),
    Facet("tag", T("Tag"), lambda line, _t: line.tags or ("",), is_searched=True),
    Facet("threat", T("Threat"), lambda line, _t: line.threats or ("",), is_searched=True),
    Facet("impact", T("User impact"), lambda line, _t: (line.user_impact,), LEVEL_NAMES),
    Facet("cost", T("Implementation cost"), lambda line, _t: (line.implementation_cost,), LEVEL_NAMES),
    Facet("tier", T("Tier"), lambda line, _t: (line.tier,)),
    Facet("recent", T("Recent"), lambda line, _t: line.recent, {"added": T("Added"), "updated": T("Updated")}),
)
FACET_NAMES = tuple(facet.name for facet in FACETS)
# Which actions are hidden (_is_hidden) depends on whether these are used.
HIDING_FACETS = frozenset({"licence", "status"})


GROUPS = ("category", "status", "product", "tier", "impact", "licence")


@dataclass(frozen=True)
class View:
    """The list as one address describes it."""

    search: str = ""
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sort: str = "rank"
    descending: bool = False
    group: str = ""
    columns: tuple[str, ...] = FIRST_COLUMN_KEYS
    page: int = 1

    @classmethod
    def from_query(cls, pairs: Iterable[tuple[str, str]]) -> View:
        """Parse a query string. Unknown names and values are ignored, so that an old bookmark still opens."""
        chosen: dict[str, dict[str, None]] = {}
        single: dict[str, str] = {}
        columns: list[str] = []
        for name, value in pairs:
            if name in FACET_NAMES:
                values = chosen.setdefault(name, {})
                if len(values) < MOST_CHOSEN:
                    values[value] = None
            elif name == "col" and value in LIST_COLUMNS_BY_KEY:
                columns.append(value)
            else:
                single[name] = value
        sort = single.get("sort", "rank") if single.get("sort") in SORTABLE_KEYS else "rank"
        direction = single.get("dir", "")
        return cls(
            search=" ".join(single.get("q", "").split())[:LONGEST_SEARCH],
            chosen={name: tuple(values) for name, values in chosen.items()},
            sort=sort,
            descending=direction == "desc" if direction in ("asc", "desc") else LIST_COLUMNS_BY_KEY[sort].largest_first,
            group=single.get("group", "") if single.get("group") in GROUPS else "",
            columns=_in_order(columns) or FIRST_COLUMN_KEYS,
            # isdigit() accepts "²" as well, which int() does not.
            page=int(page) if (page := single.get("page", "1")).isascii() and page.isdigit() and len(page) < 7 else 1,
        )

    def fitting(self, lines: Sequence[ActionLine], tickets: Tickets) -> View:
        """Without filter values that no action has. Of a filter that has no others, one stays: it still finds nothing."""
        chosen: dict[str, tuple[str, ...]] = {}
        left, space = MOST_CHOSEN_IN_ALL, LONGEST_CHOSEN
        for facet in FACETS:
            asked = self.chosen.get(facet.name, ())
            if not asked:
                continue
            there = {value for line in lines for value in facet.values(line, tickets)}
            known = [value for value in asked if value in there]
            kept: list[str] = []
            for value in known or [asked[0][:LONGEST_SEARCH]]:
                length = len(quote_plus(value))
                if kept and (left < 1 or space < length):
                    break
                kept.append(value)
                left, space = left - 1, space - length
            chosen[facet.name] = tuple(kept)
        return replace(self, chosen=chosen)

    def query(self) -> str:
        """The view as a query string, without defaults."""
        pairs: list[tuple[str, str]] = [("q", self.search)] if self.search else []
        pairs += [(name, value) for name in FACET_NAMES for value in self.chosen.get(name, ())]
        if self.sort != "rank":
            pairs.append(("sort", self.sort))
        if self.descending != LIST_COLUMNS_BY_KEY[self.sort].largest_first:
            pairs.append(("dir", "desc" if self.descending else "asc"))
        if self.group:
            pairs.append(("group", self.group))
        if self.columns != FIRST_COLUMN_KEYS:
            pairs += [("col", column) for column in self.columns]
        if self.page > 1:
            pairs.append(("page", str(self.page)))
        return urlencode(pairs)

    def on_page(self, number: int) -> View:
        return replace(self, page=number)

    def sorted_by(self, name: str) -> View:
        """Sorted by this column; in the other direction when it is already."""
        usual = LIST_COLUMNS_BY_KEY[name].largest_first
        return replace(self, sort=name, descending=not self.descending if self.sort == name else usual, page=1)

    def without(self, name: str, value: str) -> View:
        left = tuple(other for other in self.chosen.get(name, ()) if other != value)
        return replace(self, chosen={**self.chosen, name: left}, page=1)


def _in_order(keys: Sequence[str]) -> tuple[str, ...]:
    """Chosen columns in the table's order, with the permanent one; empty when none was chosen."""
    if not keys:
        return ()
    return tuple(column.key for column in LIST_COLUMNS if column.key in keys or column.is_permanent)


@dataclass(frozen=True)
class FacetOption:
    """One value of a facet; `count` is the number of actions that have it and pass all other filters."""

    value: str
    name: Name
    count: int
    chosen: bool


@dataclass(frozen=True)
class FacetOptions:
    """A filter with what it offers; `left_out` counts the values that are not among the options."""

    name: str
    label: Message
    options: tuple[FacetOption, ...]
    left_out: int = 0
    is_searched: bool = False

    @property
    def chosen(self) -> int:
        return sum(option.chosen for option in self.options)


@dataclass(frozen=True)
class ActionGroup:
    """The actions of a group on this page. `total` counts the whole list; `name` is None when nothing is grouped."""

    name: Name | None
    total: int
    lines: tuple[ActionLine, ...]


@dataclass(frozen=True)
class Listing:
    total: int
    page: int
    pages: int
    groups: tuple[ActionGroup, ...]
    lines: tuple[ActionLine, ...]


def select_lines(
    lines: Sequence[ActionLine], view: View, tickets: Tickets, *, except_facet: str = ""
) -> list[ActionLine]:
    """The actions that pass the search and every filter, except that of the facet `except_facet`."""
    needles = view.search.casefold().split()
    filters = [(facet, frozenset(view.chosen[facet.name])) for facet in FACETS if view.chosen.get(facet.name)]
    found = []
    for line in lines:
        if _is_hidden(line, view, except_facet):
            continue
        if any(
            not wanted.intersection(facet.values(line, tickets))
            for facet, wanted in filters
            if facet.name != except_facet
        ):
            continue
        if needles and not all(needle in line.search_text for needle in needles):
            continue
        found.append(line)
    return found


def shows_unscored(view: View) -> bool:
    """Whether the view asks for actions that Microsoft does not score for this tenant."""
    return "licence" in view.chosen or Status.NOT_APPLICABLE in view.chosen.get("status", ())


def _is_hidden(line: ActionLine, view: View, except_facet: str) -> bool:
    # The catalog holds controls that the tenant has no license for. They are hidden until one of the two filters that
    # name them is used: docs/facts/microsoft-graph.md#edge-25
    if line.scored or "licence" in view.chosen or except_facet == "licence":
        return False
    is_asked_for = except_facet == "status" or shows_unscored(view)
    return not (is_asked_for and line.status is Status.NOT_APPLICABLE)


def order_lines(lines: Iterable[ActionLine], view: View) -> list[ActionLine]:
    """Sorted by the view; unknown values come last in both directions."""
    # Most controls tie in rank, and a total order keeps them in place at a reload: docs/facts/microsoft-graph.md#edge-39
    key = LIST_COLUMNS_BY_KEY[view.sort].sort_key or (lambda line: line.rank)
    ordered = sorted(lines, key=lambda line: (-(line.score_impact or 0.0), line.title.casefold(), line.control_id))
    known = [line for line in ordered if key(line) is not None]
    unknown = [line for line in ordered if key(line) is None]
    # Python's sort is stable, also in reverse.
    known.sort(key=lambda line: cast("Any", key(line)), reverse=view.descending)
    return [*known, *unknown]


def list_actions(lines: Sequence[ActionLine], view: View, tickets: Tickets) -> Listing:
    """One page of the list. A page beyond the end is the last one."""
    ordered = order_lines(select_lines(lines, view, tickets), view)
    totals: dict[str, int] = {}
    facet = next((facet for facet in FACETS if facet.name == view.group), None)
    if facet is not None:
        by_group: dict[str, list[ActionLine]] = {}
        for line in ordered:
            by_group.setdefault(facet.values(line, tickets)[0], []).append(line)
        names = sorted(by_group, key=lambda value: (value == "", str(facet.name_of(value)).casefold()))
        totals = {name: len(by_group[name]) for name in names}
        ordered = [line for name in names for line in by_group[name]]
    pages = max((len(ordered) + PAGE_SIZE - 1) // PAGE_SIZE, 1)
    page = min(max(view.page, 1), pages)
    shown = ordered[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    if facet is None:
        groups = [ActionGroup(None, len(ordered), tuple(shown))]
    else:
        here: dict[str, list[ActionLine]] = {}
        for line in shown:
            here.setdefault(facet.values(line, tickets)[0], []).append(line)
        groups = [ActionGroup(facet.name_of(name), totals[name], tuple(found)) for name, found in here.items()]
    return Listing(len(ordered), page, pages, tuple(groups), tuple(shown))


def facet_options(lines: Sequence[ActionLine], view: View, tickets: Tickets) -> list[FacetOptions]:
    """The facets with a choice of values. Chosen values are always there, so that they can be taken back.

    A facet whose values the other filters have reduced to one stays, because a control that vanishes cannot be understood.
    Of more than MOST_OPTIONS values, the chosen and the most frequent ones are offered, in this order.
    """
    found = []
    selected = select_lines(lines, view, tickets)
    for facet in FACETS:
        chosen = view.chosen.get(facet.name, ())
        counts: dict[str, int] = dict.fromkeys(chosen, 0)
        # Most facets leave nothing out, and are counted over the same actions.
        is_plain = not chosen and facet.name not in HIDING_FACETS
        for line in selected if is_plain else select_lines(lines, view, tickets, except_facet=facet.name):
            for value in facet.values(line, tickets):
                counts[value] = counts.get(value, 0) + 1
        options = [FacetOption(value, facet.name_of(value), count, value in chosen) for value, count in counts.items()]
        options.sort(key=lambda option: (option.value == "", str(option.name).casefold()))
        left_out = max(len(options) - MOST_OPTIONS, 0)
        if left_out:
            options = sorted(options, key=lambda option: (not option.chosen, -option.count))[:MOST_OPTIONS]
        if chosen or len(options) > 1 or (options and _has_choice(facet, lines, tickets)):
            found.append(FacetOptions(facet.name, facet.label, tuple(options), left_out, facet.is_searched))
    return found


def _has_choice(facet: Facet, lines: Sequence[ActionLine], tickets: Tickets) -> bool:
    """Whether the tenant's actions differ in this facet at all."""
    first: str | None = None
    for line in lines:
        for value in facet.values(line, tickets):
            if first is not None and value != first:
                return True
            first = value
    return False
