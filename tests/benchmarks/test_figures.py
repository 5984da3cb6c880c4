"""Figures are the same in the code and in docs/benchmarks.md."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from benchmarks.__main__ import PARTS
from benchmarks.figures import FIGURES, number, say_figure, table
from benchmarks.measured_document import DOCUMENT, FIGURE, ROOT, figures_table, with_figures, with_part

SAID = re.compile(r'say_figure\(\s*"(\w+)"')


def document() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


def test_the_document_has_every_figure_of_the_code_and_no_other() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", document(), re.MULTILINE))
    lines = set(re.findall(r"^figure (\w+)", document(), re.MULTILINE))
    assert rows == set(FIGURES)
    assert lines <= set(FIGURES)


def test_each_part_prints_its_figures_and_no_other() -> None:
    said = {part: set(SAID.findall((ROOT / "benchmarks" / f"{part}.py").read_text(encoding="utf-8"))) for part in PARTS}
    assert {part: names for part, names in said.items() if names} == {
        part: {name for name, one in FIGURES.items() if one.part == part}
        for part in {one.part for one in FIGURES.values()}
    }


def test_the_table_of_figures_is_that_of_what_was_measured() -> None:
    assert with_figures(document()) == document()


def test_the_document_has_a_place_for_each_part() -> None:
    for part in PARTS:
        assert f"<!-- measured: {part} -->" in document()
        assert f"<!-- end of {part} -->" in document()


def test_a_figure_without_a_name_is_not_printed() -> None:
    with pytest.raises(KeyError):
        say_figure("home_of_nothing", 1.0)


def test_a_figure_is_printed_as_it_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    say_figure("home_of_bare", 0.7812)
    assert FIGURE.findall(capsys.readouterr().out) == [("home_of_bare", "0.78")]


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (0, "0.00"),
        (0.0123, "0.012"),
        (0.5, "0.50"),
        (1.304, "1.30"),
        (12.34, "12.3"),
        (147.2, "147"),
        (float("nan"), "–"),
    ],
)
def test_numbers_have_as_many_digits_as_they_deserve(value: float, printed: str) -> None:
    assert number(value) == printed


def test_a_part_is_replaced_and_its_figures_stand_in_the_table() -> None:
    before = (
        "# Figures\n<!-- measured: figures -->\nold\n<!-- end of figures -->\n"
        "# Pages\n<!-- measured: pages -->\nold\n<!-- end of pages -->\nafter\n"
    )
    printed = "| a |\n| --- |\n\nfigure home_of_bare 0.78\nfigure card_200_of_bare 0.66\n\nmore\n"
    found = with_part(before, "pages", printed, "abc", datetime(2026, 11, 29, tzinfo=UTC))
    assert found.endswith(
        "<!-- measured: pages -->\nMeasured on 29 November 2026 at commit abc.\n\n| a |\n| --- |\n\n"
        "```\nfigure home_of_bare 0.78\nfigure card_200_of_bare 0.66\n```\n\nmore\n<!-- end of pages -->\nafter\n"
    )
    assert figures_table({"home_of_bare": "0.78", "card_200_of_bare": "0.66"}) in found
    assert "old" not in found


def test_a_part_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="pages"):
        with_part("# Nothing\n", "pages", "", "abc", datetime(2026, 11, 29, tzinfo=UTC))


def test_a_table_is_markdown() -> None:
    assert table(("a", "b"), [("x", "1")]) == "| a | b |\n| --- | ---: |\n| x | 1 |"
