"""Rates and medians of deliveries, and what counts as an unchanged card."""

from __future__ import annotations

from benchmarks.deliveries import Delivered, Lines, rate_of
from benchmarks.load import LoadOutcome
from benchmarks.pages import Measured, is_unchanged


def test_a_rate_counts_from_the_first_to_the_last_answer() -> None:
    moments = [f"2026-11-29T10:00:0{second}+00:00" for second in (4, 0, 1, 2)]
    assert rate_of([{"at": moment} for moment in moments]) == 3 / 4
    assert rate_of([{"at": moments[0]}]) == 0.0
    assert rate_of([{"at": moments[0]}, {"at": moments[0]}]) == 0.0


def test_lines_give_the_median_of_all_runs_and_the_sum_of_failures() -> None:
    lines = Lines()
    for seconds, failures in ((4.0, 0), (1.0, 2), (2.0, 1)):
        lines.note("create 5", "one worker", Delivered(seconds, 5 / seconds, 5, failures))
    assert lines.middle("create 5", "one worker", "seconds") == 2.0
    assert lines.rows == [("create 5", "one worker", "4.00 1.00 2.00", "2.50", "5.00", "3", "0")]


def test_a_card_that_is_sent_again_and_again_is_not_unchanged() -> None:
    def outcome(**statuses: int) -> LoadOutcome:
        return LoadOutcome(10, 1.0, 1.0, 1.0, 0, {}, {name[1:]: number for name, number in statuses.items()}, 10, 0.1)

    assert is_unchanged(Measured(outcomes=[outcome(_304=97, _200=3), outcome(_304=100)]))
    assert not is_unchanged(Measured(outcomes=[outcome(_304=97, _200=3), outcome(_304=70, _200=30)]))
