"""docs/findings.md says what the catalogue of findings says."""

from __future__ import annotations

from app.core.messages import T
from tools.list_findings import DOCUMENT, plain, render_document, row


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render_document(), "run `make findings`"


def test_facts_are_shown_by_their_names_and_markup_is_escaped() -> None:
    assert plain(T("Ask %(user)s | or *us*.")) == r"Ask \<user> \| or \*us\*."
    assert plain(T("Of %(table)s.", table="incident")) == "Of incident."
    assert plain(None) == ""


def test_a_row_has_a_cell_for_each_value() -> None:
    assert row(["a", "", "b"]) == "| a |  | b |"
