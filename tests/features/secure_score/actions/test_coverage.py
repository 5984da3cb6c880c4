"""What Microsoft's count and total are said to mean."""

from __future__ import annotations

import pytest

from app.features.secure_score.actions.coverage import Coverage, coverage_of

pytestmark = pytest.mark.fact("microsoft-graph edge-13")


@pytest.mark.parametrize(
    ("count", "total", "percent", "affected"),
    [(50, 50, 100.0, 0), (0, 50, 0.0, 50), (37, 148, 25.0, 111), (12, 41, 29.0, 29), (3, 4, None, 1)],
)
def test_the_count_is_what_is_done_and_the_rest_is_affected(
    count: int, total: int, percent: float | None, affected: int
) -> None:
    assert coverage_of(count, total, percent) == Coverage(done=count, affected=affected, total=total)


@pytest.mark.parametrize(("count", "total", "percent"), [(50, 50, 0.0), (0, 50, 100.0), (51, 50, 100.0), (7, 0, None)])
def test_figures_that_contradict_each_other_get_no_meaning(count: int, total: int, percent: float | None) -> None:
    found = coverage_of(count, total, percent)
    assert (found.is_known, found.is_contradictory, found.counted, found.total) == (False, True, count, total)


def test_nothing_to_count_is_not_zero_affected() -> None:
    found = coverage_of(0, 0, 100.0)
    assert (found.applies_to_nothing, found.is_known) == (True, False)


def test_a_count_without_a_total_is_only_repeated() -> None:
    assert coverage_of(1, None, 0.0) == Coverage(counted=1)
    assert coverage_of(None, 5, 0.0) == Coverage()
