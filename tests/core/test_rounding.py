"""One rounding for all figures."""

from __future__ import annotations

import math

import pytest

from app.core.rounding import round_half_up, rounded


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (61.25, 1, "61.3"),
        (1.25, 1, "1.3"),
        (0.05, 1, "0.1"),
        (8.125, 2, "8.13"),
        (1.005, 2, "1.01"),
        (2.5, 0, "3"),
        (-2.5, 0, "-3"),
        (7, 2, "7.00"),
    ],
)
def test_a_half_is_rounded_away_from_zero(value: float, digits: int, expected: str) -> None:
    assert str(round_half_up(value, digits)) == expected


@pytest.mark.parametrize("value", [-0.0, -0.004])
def test_zero_has_no_sign(value: float) -> None:
    assert str(round_half_up(value, 2)) == "0.00"
    assert math.copysign(1, rounded(value)) == 1


def test_the_largest_number_is_rounded_too() -> None:
    assert rounded(1.7e308) == 1.7e308
