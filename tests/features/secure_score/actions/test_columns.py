"""The one list of columns: what the list, its chooser, its order and the export take from it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime

import pytest

from app.features.secure_score.actions.action_list import View, order_lines
from app.features.secure_score.actions.columns import (
    COLUMNS,
    EXPORT_COLUMNS,
    FIRST_COLUMN_KEYS,
    LIST_COLUMNS,
    SORTABLE_KEYS,
    Cell,
    Column,
    day_order,
    day_text,
    number_text,
)
from app.features.secure_score.actions.export import as_csv
from app.features.tickets.views.tickets_of_actions import NO_TICKETS
from app.web.templating import environment
from tests.factories.secure_score import action_line


def test_keys_are_unique_and_every_column_is_in_the_list_or_in_the_export() -> None:
    assert len({column.key for column in COLUMNS}) == len(COLUMNS)
    assert [column.key for column in COLUMNS if column.cell is None and column.export is None] == []


def test_the_list_begins_with_these_columns_and_offers_more() -> None:
    assert FIRST_COLUMN_KEYS == (
        "rank",
        "action",
        "impact",
        "points",
        "opportunity",
        "status",
        "category",
        "product",
        "ticket",
    )
    assert [column.key for column in LIST_COLUMNS] == [
        "rank", "action", "impact", "points", "opportunity", "status", "regressed", "licence", "category", "product",
        "synced", "updated", "notes", "tags", "ticket",
    ]  # fmt: skip
    assert [column.key for column in LIST_COLUMNS if column.is_permanent] == ["action"]
    assert [column.key for column in LIST_COLUMNS if column.is_numeric] == [
        "rank",
        "impact",
        "points",
        "opportunity",
        "notes",
    ]
    assert {column.key for column in LIST_COLUMNS} - set(SORTABLE_KEYS) == {"tags", "ticket"}


@pytest.mark.fact("microsoft-graph 3.1", "microsoft-graph 5")
def test_the_export_has_these_headings_in_this_order() -> None:
    [header] = csv.reader(io.StringIO(as_csv([], {}, {}).removeprefix("\ufeff")))
    assert header == [
        "Rank", "Recommended action", "Score impact", "Points achieved", "Status",
        "Planned for", "Regressed", "Have licence", "Category", "Product", "Last synced", "Microsoft update", "Notes", "Tags",
        "Tickets", "Threats", "User impact", "Implementation cost", "Description", "Next steps",
        "Points achieved (number)", "Points possible (number)", "Opportunity (number)", "Id",
    ]  # fmt: skip


def test_a_row_of_the_export_says_what_is_known_and_nothing_else() -> None:
    known = action_line(
        "A1", score_impact=3.2449, planned_for=date(2026, 12, 1), regressed_on=date(2026, 11, 2), tags=("mail", "spring"),
        last_synced_at=datetime(2026, 11, 3, 7, tzinfo=UTC), updated_at=datetime(2026, 11, 4, tzinfo=UTC), notes=2,
    )  # fmt: skip
    unknown = action_line("B2", rank=None, score_impact=None, points=None, max_points=None, scored=False, threats=())
    content = as_csv([known, unknown], {"A1": ["INC1", "CHG2"]}, {"A1": ("<p>Why</p>", "<ol><li>How</li></ol>")})
    _, first, second = csv.reader(io.StringIO(content))
    assert first == [
        "1", "Title A1", "+3.24%", "1\u00a0/\u00a010", "To address", "2026-12-01", "2026-11-02", "Yes", "Apps", "Exchange Online",
        "2026-11-03", "2026-11-04", "2", "mail, spring", "INC1, CHG2", "Malware", "Low", "Low", "Why", "1. How",
        "1", "10", "9", "A1",
    ]  # fmt: skip
    assert second == [
        "", "Title B2", "", "", "To address", "", "", "No", "Apps", "Exchange Online", "", "", "", "", "", "", "Low",
        "Low", "", "", "", "", "", "B2",
    ]  # fmt: skip


def test_every_kind_of_cell_has_a_macro_and_every_macro_is_a_kind_of_cell() -> None:
    macros = environment.get_template("actions/_cell.html").module
    imported = {"badge", "icon"}
    assert {name for name in vars(macros) if not name.startswith("_")} - imported == set(Cell)


@pytest.mark.parametrize("column", LIST_COLUMNS, ids=lambda column: column.key)
def test_every_column_has_a_cell_for_what_is_known_and_for_what_is_not(column: Column) -> None:
    macro = getattr(environment.get_template("actions/_cell.html").module, column.cell or "")
    unknown = action_line(
        rank=None, score_impact=None, points=None, max_points=None, product="", category=None, category_raw=""
    )
    for line in (action_line(), unknown):
        assert macro(column, line, NO_TICKETS).strip()


def test_a_column_without_a_value_cannot_take_a_general_cell() -> None:
    with pytest.raises(TypeError, match="odd has no value"):
        Column("odd", COLUMNS[0].heading, Cell.TEXT).show(action_line())


@pytest.mark.parametrize(
    "column", [column for column in LIST_COLUMNS if column.sort_key], ids=lambda column: column.key
)
def test_every_sortable_column_orders_the_list_both_ways(column: Column) -> None:
    lines = [action_line("A"), action_line("B", points=None, score_impact=None, rank=None, scored=False)]
    for descending in (False, True):
        ordered = order_lines(lines, View(sort=column.key, descending=descending))
        assert sorted(line.control_id for line in ordered) == ["A", "B"]


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.0, "0"), (10.0, "10"), (3.25, "3.25"), (3.2449, "3.24"), (-0.5, "-0.5")]
)
def test_numbers_of_the_export_have_a_point_and_no_useless_zeros(value: float | None, text: str) -> None:
    assert number_text(value) == text


def test_days_of_the_export_are_iso_8601() -> None:
    assert day_text(date(2026, 1, 2)) == day_text(datetime(2026, 1, 2, 23, tzinfo=UTC)) == "2026-01-02"
    assert day_text(None) == ""


def test_days_are_ordered_and_unknown_ones_are_not() -> None:
    assert day_order(None) is None
    assert (day_order(date(2026, 1, 2)) or 0) - (day_order(date(2026, 1, 1)) or 0) == 1


def test_the_columns_of_the_export_have_something_to_write() -> None:
    assert all(column.export is not None for column in EXPORT_COLUMNS)


def test_the_largest_opportunity_comes_first_and_an_unknown_one_last() -> None:
    lines = [action_line("A", points=9.0), action_line("B", max_points=None), action_line("C", points=0.0)]
    assert [line.control_id for line in order_lines(lines, View().sorted_by("opportunity"))] == ["C", "A", "B"]
