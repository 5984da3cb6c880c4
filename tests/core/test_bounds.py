"""Whatever comes from outside is bounded: any value gives a text, a number or a list that can be stored and shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.bounds import exact, finite, first, identifier, line, lines, token_text, whole
from app.core.text_limits import utf16_length

ANY_TEXT = st.text(st.characters(codec=None))
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
TEXTS: list[Callable[[object, int], str]] = [exact, line, lines, identifier]


@pytest.mark.parametrize("bounded", TEXTS)
@given(ANY, st.integers(1, 60))
def test_any_value_is_a_text_within_its_length_that_can_be_stored(
    bounded: Callable[[object, int], str], value: object, longest: int
) -> None:
    text = bounded(value, longest)
    assert len(text) <= longest
    assert "\0" not in text
    text.encode()


@given(ANY, st.integers(1, 60))
def test_a_line_is_one_line_as_long_as_a_field_of_a_form(value: object, longest: int) -> None:
    text = line(value, longest)
    assert len(text.splitlines()) <= 1
    assert utf16_length(text) <= longest
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in text)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("INC\ud800", "INC"),
        ("INC\0001", "INC1"),
        (" a \n b\t", "a b"),
        ("a\u202eb", "ab"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (1.5, "1.5"),
        pytest.param(10**5000, "", id="an integer of 5,001 digits"),
        (None, ""),
        ([], ""),
        ({"a": 1}, ""),
        (b"a", ""),
        pytest.param("x" * 30_000_000, "x" * 39 + "…", id="thirty megabytes"),
    ],
)
def test_a_line_keeps_what_can_be_shown(value: object, read: str) -> None:
    assert line(value, 40) == read


def test_a_text_for_comparison_keeps_every_letter_that_can_be_stored() -> None:
    assert exact(" e\u0301 \r\n\u202e ") == " e\u0301 \r\n\u202e "
    assert exact("a\0b\ud800") == "a\ufffdb\ufffd"


def test_an_id_or_a_token_is_whole_or_nothing() -> None:
    assert identifier("a" * 40, 40) == "a" * 40
    assert identifier("a" * 41, 40) == ""
    assert token_text("abc.def-_~+/=") == "abc.def-_~+/="
    for odd in ("", "tök", "a b", "a\n", "a\0", "\ud800", "x" * 20_000, 5, None, ["a"]):
        assert token_text(odd) is None


@given(ANY)
def test_a_number_is_finite_and_between_its_bounds_or_unknown(value: object) -> None:
    found = finite(value, -5, 1_000)
    assert found is None or (isfinite(found) and -5 <= found <= 1_000)
    counted = whole(value, 0, 99)
    assert counted is None or (type(counted) is int and 0 <= counted <= 99)


@pytest.mark.parametrize(
    ("value", "read"),
    [(1e308, None), ("1e308", None), (float("nan"), None), (float("inf"), None), (10**40, None),
     pytest.param("1" * 5000, None, id="5,000 digits"),
     ("1_0", None), ("٣", None), (True, None), ("", None), ("1e99999", None), (" 12.50 ", 12.5), ("-3", -3.0), (7, 7.0),
     ("1e2", 100.0), (".5", 0.5)],
)  # fmt: skip
def test_points_beyond_meaning_are_unknown(value: object, read: float | None) -> None:
    assert finite(value, -1_000_000, 1_000_000) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("12", 12),
        (" 12 ", 12),
        (12.0, 12),
        (12.5, None),
        ("12.0", None),
        pytest.param("9" * 400, None, id="400 digits"),
        (10**30, None),
        (True, None),
    ],
)
def test_a_whole_number_is_one(value: object, read: int | None) -> None:
    assert whole(value, 0, 2**62) == read


def test_a_list_ends() -> None:
    taken: list[int] = []
    endless = iter(partial(taken.append, 1), 0)
    assert len(first(endless, 5)) == 5
    assert len(taken) == 5
