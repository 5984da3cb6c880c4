"""Texts become ones that can be sent: without forbidden characters, and not longer than a column."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.text_limits import FORBIDDEN, clean, cut, one_line, utf16_length


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@given(st.text(), st.integers(1, 60))
def test_cutting_keeps_the_beginning_and_never_half_a_character(text: str, limit: int) -> None:
    whole = clean(text)
    short = cut(whole, limit)
    assert units(short) <= limit
    assert short == whole or (short.endswith("…") and whole.startswith(short[:-1]))


def test_a_letter_keeps_its_marks_and_a_flagged_emoji_stays_whole() -> None:
    assert cut("abcx\u0301\u0323\u0324", 5) == "abc…"
    assert cut("ab\U0001f44d\U0001f3fdcd", 5) == "ab…"


@given(st.text(st.characters()))
def test_a_cleaned_text_holds_nothing_forbidden_and_is_not_changed_again(text: str) -> None:
    once = clean(text)
    assert not FORBIDDEN.search(once)
    assert clean(once) == once


@pytest.mark.parametrize(
    ("typed", "cleaned"),
    [
        ("  a\r\nb\rc ", "a\nb\nc"),
        ("tab\tstays", "tab\tstays"),
        ("nul\0 and bell\x07", "nul and bell"),
        ("\u202egnp.exe", "gnp.exe"),
        ("plane one \U0001ffff", "plane one"),
        ("e\u0301", "\u00e9"),
        (" \n ", ""),
    ],
)
def test_what_cannot_be_sent_is_removed(typed: str, cleaned: str) -> None:
    assert clean(typed) == cleaned


def test_one_line_has_single_blanks() -> None:
    assert one_line(" a \n\t b ") == "a b"


@pytest.mark.parametrize(("text", "length"), [("", 0), ("abc", 3), ("\U0001f44d", 2), ("\u00e9", 1)])
def test_length_is_counted_in_utf16_units(text: str, length: int) -> None:
    assert utf16_length(text) == length == units(text)


@pytest.mark.parametrize(
    ("text", "limit", "short"), [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("abc", 1, "…"), ("abc", 0, "")]
)
def test_a_cut_text_is_marked(text: str, limit: int, short: str) -> None:
    assert cut(text, limit) == short
