"""docs/security.md judges every requirement of ASVS 5.0 levels 1 and 2, and names only what exists."""

from __future__ import annotations

import re

import pytest

from tests.conventions.files import ROOT

# How many requirements each section has, and which of them are of level 3.
# https://github.com/OWASP/ASVS/tree/v5.0.0/5.0/en
SECTIONS: dict[str, tuple[int, set[int]]] = {
    "1.1": (2, set()), "1.2": (10, {10}), "1.3": (12, {12}), "1.4": (3, set()), "1.5": (3, {3}),
    "2.1": (3, set()), "2.2": (3, set()), "2.3": (5, {5}), "2.4": (2, {2}),
    "3.1": (1, {1}), "3.2": (3, {3}), "3.3": (5, {5}), "3.4": (8, {7, 8}), "3.5": (8, {6, 7, 8}), "3.6": (1, {1}),
    "3.7": (5, {3, 4, 5}),
    "4.1": (5, {4, 5}), "4.2": (5, {2, 3, 4, 5}), "4.3": (2, set()), "4.4": (4, set()),
    "5.1": (1, set()), "5.2": (6, {4, 5, 6}), "5.3": (3, {3}), "5.4": (3, set()),
    "6.1": (3, set()), "6.2": (12, set()), "6.3": (8, {5, 6, 7, 8}), "6.4": (6, {5, 6}), "6.5": (8, {6, 7, 8}),
    "6.6": (4, {4}), "6.7": (2, {1, 2}), "6.8": (4, set()),
    "7.1": (3, set()), "7.2": (4, set()), "7.3": (2, set()), "7.4": (5, set()), "7.5": (3, {3}), "7.6": (2, set()),
    "8.1": (4, {3, 4}), "8.2": (4, {4}), "8.3": (3, {2, 3}), "8.4": (2, {2}),
    "9.1": (3, set()), "9.2": (4, set()),
    "10.1": (2, set()), "10.2": (3, {3}), "10.3": (5, {5}), "10.4": (16, {12, 13, 14, 15, 16}), "10.5": (5, set()),
    "10.6": (2, set()), "10.7": (3, set()),
    "11.1": (4, {3, 4}), "11.2": (5, {4, 5}), "11.3": (5, {4, 5}), "11.4": (4, set()), "11.5": (2, {2}),
    "11.6": (2, {2}), "11.7": (2, {1, 2}),
    "12.1": (5, {4, 5}), "12.2": (2, set()), "12.3": (5, {5}),
    "13.1": (4, {2, 3, 4}), "13.2": (6, {6}), "13.3": (4, {3, 4}), "13.4": (7, {6, 7}),
    "14.1": (2, set()), "14.2": (8, {5, 6, 7, 8}), "14.3": (3, set()),
    "15.1": (5, {4, 5}), "15.2": (5, {4, 5}), "15.3": (7, set()), "15.4": (4, {1, 2, 3, 4}),
    "16.1": (1, set()), "16.2": (5, set()), "16.3": (4, set()), "16.4": (3, set()), "16.5": (4, {4}),
    "17.1": (2, {2}), "17.2": (8, {5, 6, 7, 8}), "17.3": (2, set()),
}  # fmt: skip
WANTED = [
    f"{section}.{number}"
    for section, (count, third) in SECTIONS.items()
    for number in range(1, count + 1)
    if number not in third
]
DOCUMENT = (ROOT / "docs/security.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+\.\d+\.\d+)(?: to (\d+\.\d+\.\d+))? \| ([^|]*) \| (.*) \|$", DOCUMENT, re.MULTILINE)


def numbers(first: str, last: str) -> list[str]:
    """The requirements of one row, from the first to the last."""
    return WANTED[WANTED.index(first) : WANTED.index(last or first) + 1]


def test_every_requirement_of_levels_one_and_two_is_judged_once() -> None:
    judged = [number for first, last, _, _ in ROWS for number in numbers(first, last)]
    assert len(WANTED) == 253
    assert judged == WANTED


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
def test_every_verdict_has_a_reason(row: tuple[str, str, str, str]) -> None:
    _, _, verdict, how = row
    assert verdict in {"met", "outside", "n/a", "not met"}
    assert len(how) >= 7 or "`tests/" in how


def test_every_named_file_exists() -> None:
    named = set(re.findall(r"`((?:app|tests|docs|templates)/[\w/]+\.\w+)`", DOCUMENT))
    assert len(named) > 50
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
