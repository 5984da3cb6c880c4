"""A cell that a spreadsheet would run is defused, and every other one stays as it is."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.spreadsheet import LONGEST_CELL, NUMBER, csv_writer, safe_cell


@pytest.mark.fact("microsoft-graph edge-34")
@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+3.24 %", "+3.24 %"),
        ("+3.24+1", "'+3.24+1"),
        ("+A1", "'+A1"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("x;=cmd|' /C calc'!A0", "x;'=cmd|' /C calc'!A0"),
        ('x; "+1', "x; \"'+1"),
        ("x\t@SUM(A1)", "x\t'@SUM(A1)"),
        ("x\uff1b\uff1dSUM(A1)", "x\uff1b'\uff1dSUM(A1)"),
        ("x;\uff0d1", "x;'\uff0d1"),
        ("steps:\n- one; two", "steps:\n- one; two"),
        ("a;b", "a;b"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("  =1", "'  =1"),
        ("plain", "plain"),
        ("-5", "-5"),
        ("3.24", "3.24"),
        ("", ""),
        ("- a list", "'- a list"),
        ("a=b", "a=b"),
        ("\uff1dSUM(A1)", "'\uff1dSUM(A1)"),
        (" \uff0b1", "' \uff0b1"),
        ("\uff0d1", "'\uff0d1"),
        ("\uff20SUM(A1)", "'\uff20SUM(A1)"),
    ],
)
def test_cells_that_a_spreadsheet_would_run_are_defused(cell: str, safe: str) -> None:
    assert safe_cell(cell) == safe


def test_a_cell_is_cut_to_what_a_spreadsheet_holds_and_stays_defused() -> None:
    assert safe_cell("x" * (LONGEST_CELL + 1)) == "x" * LONGEST_CELL
    assert safe_cell("=" + "x" * LONGEST_CELL).startswith("'=xxx")


def test_a_zero_byte_neither_stays_nor_hides_a_formula() -> None:
    assert safe_cell("a\0b") == "ab"
    assert safe_cell("\0=1+1") == "'=1+1"


@given(st.text(max_size=50))
def test_no_text_comes_out_as_a_formula_and_none_is_changed_but_by_apostrophes(text: str) -> None:
    safe = safe_cell(text)
    assert not re.search(r"[;\t]\s*[=+@]", safe)
    assert NUMBER.fullmatch(safe) or not safe.lstrip().startswith(("=", "+", "@"))
    assert safe.replace("'", "") == text.replace("\0", "").replace("'", "")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_separator_begins_a_new_cell(separator: str) -> None:
    out = io.StringIO()
    csv_writer(out).writerow([f"x{separator}=1", "", "7"])
    assert out.getvalue().count('"') == 6
    assert out.getvalue().endswith('"","7"\r\n')
    # A program that reads it with that separator finds it inside the quotes.
    [[first, *_]] = csv.reader(io.StringIO(out.getvalue()), delimiter=separator)
    assert first.startswith(f"x{separator}")
