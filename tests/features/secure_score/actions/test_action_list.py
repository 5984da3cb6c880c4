"""The view of the list: to an address and back, filters, facets, order, groups, pages."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.database import Database
from app.features.secure_score.actions.action_list import (
    FACET_NAMES,
    FACETS,
    GROUPS,
    LONGEST_CHOSEN,
    MOST_CHOSEN,
    MOST_CHOSEN_IN_ALL,
    MOST_OPTIONS,
    PAGE_SIZE,
    View,
    facet_options,
    list_actions,
    order_lines,
    select_lines,
)
from app.features.secure_score.actions.action_rows import ActionLine, load_lines
from app.features.secure_score.actions.action_status import Status
from app.features.secure_score.actions.columns import FIRST_COLUMN_KEYS, LIST_COLUMNS, SORTABLE_KEYS
from app.features.secure_score.vocabulary import Category
from tests.factories.graph_payloads import TENANT, keep, profile, score, snapshot
from tests.factories.secure_score import action_line, lines_of, shown_status

NO_TICKETS: frozenset[str] = frozenset()


NAMES_OF = st.sampled_from(["A", "b", "B", "", "Ü"])


LINES = st.lists(
    st.builds(
        action_line,
        st.uuids().map(str),
        rank=st.none() | st.integers(1, 3),
        score_impact=st.none() | st.sampled_from([0.0, 1.5, 9.0]),
        points=st.none() | st.integers(0, 10),
        title=NAMES_OF,
        product=NAMES_OF,
        category=st.none() | st.sampled_from(Category),
        category_raw=NAMES_OF,
        scored=st.booleans(),
        status_shown=st.sampled_from(Status).map(shown_status),
        tags=st.lists(NAMES_OF.filter(bool), unique=True).map(tuple),
        threats=st.lists(NAMES_OF.filter(bool), unique=True).map(tuple),
        last_synced_at=st.none() | st.just(datetime(2026, 11, 1, tzinfo=UTC)),
        regressed_on=st.none() | st.just(date(2026, 11, 1)),
    ),
    max_size=120,
)


PARAMETERS = [*FACET_NAMES, "q", "sort", "dir", "group", "col", "page", "odd"]


PAIRS = st.lists(st.tuples(st.sampled_from(PARAMETERS), st.text(max_size=8)))


CHOSEN = st.lists(NAMES_OF, min_size=1, max_size=2, unique=True).map(tuple)


VIEWS = st.builds(
    View,
    search=st.sampled_from(["", "title", "a b", "ü"]),
    chosen=st.dictionaries(st.sampled_from(FACET_NAMES), CHOSEN, max_size=2),
    sort=st.sampled_from(SORTABLE_KEYS),
    descending=st.booleans(),
    group=st.sampled_from(["", *GROUPS]),
    columns=st.lists(st.sampled_from(LIST_COLUMNS), min_size=1, unique=True).map(
        lambda some: tuple(column.key for column in LIST_COLUMNS if column in some or column.is_permanent)
    ),
    page=st.integers(1, 5),
)  # fmt: skip


@given(VIEWS)
def test_a_view_comes_back_from_its_own_address(view: View) -> None:
    assert View.from_query(parse_qsl(view.query(), keep_blank_values=True)) == view


@given(PAIRS)
def test_any_address_is_a_view(pairs: list[tuple[str, str]]) -> None:
    view = View.from_query(pairs)
    assert View.from_query(parse_qsl(view.query(), keep_blank_values=True)) == view
    list_actions([action_line()], view, NO_TICKETS)


def test_the_usual_view_has_the_shortest_address() -> None:
    assert View().query() == ""
    assert View.from_query([]) == View()
    assert View.from_query([("page", "999999999999999999")]).page == 1
    assert View.from_query([("page", "²")]).page == 1
    assert View.from_query([("col", "nonsense")]).columns == FIRST_COLUMN_KEYS


@given(LINES, VIEWS)
def test_pages_together_hold_every_fitting_action_once(lines: list[ActionLine], view: View) -> None:
    expected = sorted(one.control_id for one in select_lines(lines, view, NO_TICKETS))
    first = list_actions(lines, view.on_page(1), NO_TICKETS)
    found = []
    for number in range(1, first.pages + 1):
        page = list_actions(lines, view.on_page(number), NO_TICKETS)
        assert len(page.lines) <= PAGE_SIZE
        in_groups = [one.control_id for group in page.groups for one in group.lines]
        assert in_groups == [one.control_id for one in page.lines]
        found += in_groups
    assert sorted(found) == expected
    assert first.total == len(expected)
    assert list_actions(lines, view.on_page(999), NO_TICKETS).page == first.pages


@given(LINES, st.sampled_from(SORTABLE_KEYS), st.booleans(), st.randoms())
def test_the_order_does_not_depend_on_how_the_rows_came(
    lines: list[ActionLine], sort: str, descending: bool, random: Any
) -> None:
    view = View(sort=sort, descending=descending)
    shuffled = list(lines)
    random.shuffle(shuffled)
    assert order_lines(lines, view) == order_lines(shuffled, view)


@given(LINES, VIEWS)
def test_a_facets_count_is_what_choosing_it_alone_shows(lines: list[ActionLine], view: View) -> None:
    for facet in facet_options(lines, view, NO_TICKETS):
        for option in facet.options:
            alone = View(search=view.search, chosen={**view.chosen, facet.name: (option.value,)})
            assert len(select_lines(lines, alone, NO_TICKETS)) == option.count


def test_unknown_comes_last_both_ways() -> None:
    lines = [
        action_line("none", score_impact=None),
        action_line("low", score_impact=1.0),
        action_line("high", score_impact=5.0),
    ]
    assert [one.control_id for one in order_lines(lines, View(sort="impact", descending=True))] == [
        "high",
        "low",
        "none",
    ]
    assert [one.control_id for one in order_lines(lines, View(sort="impact", descending=False))] == [
        "low",
        "high",
        "none",
    ]


def test_a_search_needs_every_word_somewhere() -> None:
    lines = [
        action_line("A", title="Turn on MFA", threats=("Account breach",)),
        action_line("B", title="Turn off POP", tags=("Quick win",)),
    ]
    for search, found in {
        "mfa": "A",
        "TURN breach": "A",
        "quick": "B",
        "exchange": "AB",
        "mfa pop": "",
        "apps b": "AB",
    }.items():
        assert "".join(one.control_id for one in select_lines(lines, View(search=search), NO_TICKETS)) == found, search


def test_filters_join_values_by_or_and_facets_by_and() -> None:
    lines = [
        action_line("A", tags=("x",)),
        action_line("B", tags=("x",), product="Teams"),
        action_line("C", product="Teams"),
    ]
    view = View(chosen={"tag": ("x",), "product": ("Teams", "Zoom")})
    assert [one.control_id for one in select_lines(lines, view, NO_TICKETS)] == ["B"]


def test_a_view_is_fitted_to_what_the_actions_have() -> None:
    """Values of one filter are joined by "or": without unknown ones the list is the same, and "none" does not become "all"."""
    lines = [action_line("A", tags=("x",)), action_line("B", tags=("y",))]
    asked = View.from_query([*(("tag", f"no{number}") for number in range(40)), ("tag", "x"), ("product", "gone")])
    view = asked.fitting(lines, NO_TICKETS)
    assert view.chosen == {"tag": ("x",), "product": ("gone",)}
    assert select_lines(lines, view, NO_TICKETS) == select_lines(lines, asked, NO_TICKETS) == []
    assert View(chosen={"ticket": ("yes",)}).fitting(lines, NO_TICKETS).chosen == {"ticket": ("yes",)}


def test_the_number_of_chosen_values_is_bounded() -> None:
    names = [f"{number:04}" for number in range(300)]
    lines = [action_line(name, tags=(name,), product=name, threats=(name,)) for name in names]
    asked = View.from_query([(facet, name) for facet in ("tag", "product", "threat") for name in names])
    assert {name: len(values) for name, values in asked.chosen.items()} == dict.fromkeys(asked.chosen, MOST_CHOSEN)
    chosen = asked.fitting(lines, NO_TICKETS).chosen
    assert sum(map(len, chosen.values())) <= MOST_CHOSEN_IN_ALL + len(chosen)


def test_the_length_of_chosen_values_is_bounded_as_addresses_hold_them() -> None:
    """Each chip's address repeats all others, and a letter can take nine characters of it."""
    names = [f"{number:04} " + "界" * 30 for number in range(60)]
    lines = [action_line(name, tags=(name,), product=name) for name in names]
    view = View.from_query([(facet, name) for facet in ("tag", "product") for name in names])
    fitting = view.fitting(lines, NO_TICKETS)
    assert 5 < sum(map(len, fitting.chosen.values())) < 20
    assert len(fitting.query()) < LONGEST_CHOSEN + 500
    assert set(fitting.chosen) == {"tag", "product"}


def test_a_filter_offers_the_chosen_and_the_most_frequent_of_very_many_values() -> None:
    names = [f"{number:04}" for number in range(300)]
    lines = [action_line(name, product=name) for name in names]
    lines += [action_line(f"again {name}", product=name) for name in names[100:110]]
    view = View(chosen={"product": (names[250],)})
    [product] = [facet for facet in facet_options(lines, view, NO_TICKETS) if facet.name == "product"]
    assert [option.value for option in product.options] == [names[250], *names[100:110], *names[:39]]
    assert (len(product.options), product.left_out) == (MOST_OPTIONS, 250)
    assert [option.chosen for option in product.options] == [True] + [False] * (MOST_OPTIONS - 1)
    [product] = [facet for facet in facet_options(lines[:MOST_OPTIONS], View(), NO_TICKETS) if facet.name == "product"]
    assert ([option.value for option in product.options], product.left_out) == (names[:MOST_OPTIONS], 0)


def test_the_search_finds_the_values_of_every_filter_that_says_so() -> None:
    line = action_line("A", category=None, category_raw="cc", product="pp", tags=("tt",), threats=("hh",), tier="ii")
    values = {facet.name: facet.values(line, NO_TICKETS)[0] for facet in FACETS if facet.is_searched}
    assert values == {"category": "cc", "product": "pp", "tag": "tt", "threat": "hh"}
    assert all(select_lines([line], View(search=value), NO_TICKETS) for value in values.values())


def test_actions_with_a_ticket_can_be_separated_from_those_without() -> None:
    lines = [action_line("A"), action_line("B")]
    with_ticket = View(chosen={"ticket": ("yes",)})
    assert [one.control_id for one in select_lines(lines, with_ticket, frozenset({"B"}))] == ["B"]


def test_sorting_by_the_same_column_turns_it_round() -> None:
    view = View(page=3).sorted_by("points")
    assert (view.sort, view.descending, view.page) == ("points", True, 1)
    assert view.sorted_by("points").descending is False
    assert view.sorted_by("rank").descending is False


@pytest.mark.fact("microsoft-graph edge-38")
async def test_spellings_are_one_facet(database: Database) -> None:
    profiles = [
        profile("A", threats=["Account breach"]),
        profile("B", threats=["Account Breach"], tier="Advanced"),
        profile("C", threats=[]),
    ]
    await keep(database, snapshots=[snapshot(controls=[score(key) for key in "ABC"])], profiles=profiles)
    async with database.transaction() as session:
        lines = await load_lines(session, TENANT)
    threats = next(facet for facet in facet_options(lines, View(), frozenset()) if facet.name == "threat")
    assert [(option.value, option.count) for option in threats.options] == [("Account breach", 2), ("", 1)]


@pytest.mark.fact("microsoft-graph edge-39")
async def test_ties_keep_their_order_on_every_reload(database: Database) -> None:
    keys = [f"C{number:03}" for number in range(120)]
    scores = [snapshot(controls=[score(key, 1, 10) for key in keys])]
    await keep(database, snapshots=scores, profiles=[profile(key, rank=10, title="Same") for key in reversed(keys)])
    async with database.transaction() as session:
        lines = await load_lines(session, TENANT)
        again = list(reversed(await load_lines(session, TENANT)))
    for sort in ("rank", "impact", "points", "status", "category", "product", "synced", "action"):
        for descending in (False, True):
            view = View(sort=sort, descending=descending)
            assert [line.control_id for line in order_lines(lines, view)] == [
                line.control_id for line in order_lines(again, view)
            ]
    pages = [list_actions(lines, View(page=number), frozenset()).lines for number in (1, 2, 3)]
    assert [line.control_id for page in pages for line in page] == keys


@pytest.mark.fact("microsoft-graph edge-25")
async def test_a_profile_without_score_is_hidden_and_unknown(database: Database) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A")])], profiles=[profile("A"), profile("B")])
    lines = await lines_of(database)
    assert lines["B"].points is None
    assert lines["B"].status is Status.NOT_APPLICABLE
    every = list(lines.values())
    assert [line.control_id for line in list_actions(every, View(), frozenset()).lines] == ["A"]
    unlicensed = View(chosen={"licence": ("no",)})
    assert [line.control_id for line in list_actions(every, unlicensed, frozenset()).lines] == ["B"]
    licence = next(facet for facet in facet_options(every, View(), frozenset()) if facet.name == "licence")
    assert {option.value: option.count for option in licence.options} == {"yes": 1, "no": 1}


@pytest.mark.fact("microsoft-graph edge-25")
def test_asking_for_what_does_not_apply_shows_it_and_counts_it_beside_the_filter() -> None:
    outside = shown_status(Status.NOT_APPLICABLE)
    lines = [action_line("A"), action_line("B")]
    lines += [action_line(name, scored=False, status_shown=outside) for name in ("C", "D", "E")]
    view = View.from_query([("status", "not_applicable")])
    assert [line.control_id for line in select_lines(lines, view, NO_TICKETS)] == ["C", "D", "E"]
    [status] = [facet for facet in facet_options(lines, View(), NO_TICKETS) if facet.name == "status"]
    assert {option.value: option.count for option in status.options} == {"to_address": 2, "not_applicable": 3}


def test_a_filter_stays_when_the_others_leave_it_one_value() -> None:
    lines = [action_line("A", tier="Core"), action_line("B", tier="Advanced", product="Microsoft Teams")]
    view = View.from_query([("product", "Microsoft Teams")])
    [tier] = [facet for facet in facet_options(lines, view, NO_TICKETS) if facet.name == "tier"]
    assert [(option.value, option.count) for option in tier.options] == [("Advanced", 1)]
    assert "cost" not in [facet.name for facet in facet_options(lines, view, NO_TICKETS)]
