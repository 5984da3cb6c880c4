"""The order of home cards after one was moved or several were dragged."""

from __future__ import annotations

import pytest

from app.web.home_order import in_order, moved


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["c", "a"], ["c", "b", "a"]),
        (["a", "c"], ["a", "b", "c"]),
        (["c", "b", "a"], ["c", "b", "a"]),
        (["x", "c", "c", "a"], ["c", "b", "a"]),
        ([], ["a", "b", "c"]),
    ],
)
@pytest.mark.fact("microsoft-graph edge-57")
def test_cards_outside_an_order_keep_their_places(order: list[str], expected: list[str]) -> None:
    assert in_order(["a", "b", "c"], order) == expected


@pytest.mark.fact("microsoft-graph edge-57")
def test_a_moved_card_passes_over_cards_that_are_not_shown() -> None:
    assert moved(["a", "hidden", "b"], ["a", "b"], "b", -1) == ["b", "hidden", "a"]
    assert moved(["a", "b"], ["a", "b"], "b", 1) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "step", "expected"),
    [
        pytest.param("a", -1, ["a", "b", "c"], id="first stays first"),
        pytest.param("c", 1, ["a", "b", "c"], id="last stays last"),
        pytest.param("b", -1, ["b", "a", "c"], id="one earlier"),
        pytest.param("b", 1, ["a", "c", "b"], id="one later"),
        pytest.param("b", 0, ["a", "b", "c"], id="no step"),
        pytest.param("unknown", 1, ["a", "b", "c"], id="not on the page"),
    ],
)
def test_a_card_changes_places_with_its_neighbor(name: str, step: int, expected: list[str]) -> None:
    assert moved(["a", "b", "c"], ["a", "b", "c"], name, step) == expected
