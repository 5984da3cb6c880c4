"""The journal's text is taken apart in any language, and ours fits and carries its reference."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.features.tickets.notes.journal_field import LONGEST_NOTE, compose_note, entries_of, reference_of

NOTE = UUID("0123456789abcdef0123456789abcdef")


def test_entries_are_told_apart_in_any_date_format_and_language() -> None:
    shown = (
        "24.11.2026 15:42 - Fred Luddy (Arbeitsnotizen)\nZweite\n\nmit Absatz\n\n"
        "23.11.2026 09:00 - M365 Integration (Arbeitsnotizen)\n"
        f"Unsere\n\n– Megan, from the security center {reference_of(NOTE)}\n\n"
        "22.11.2026 08:00 - Ann - Marie (Ops) (Arbeitsnotizen)\nErste\n2026-01-01 00:00 - Somebody (else)\nnot a header\n\n"
    )
    found = entries_of({"work_notes": shown, "comments": ""})
    assert [(entry.who, entry.text.split("\n")[0]) for entry in found] == [
        ("Fred Luddy", "Zweite"),
        ("Ann - Marie (Ops)", "Erste"),
    ]
    assert found[0].text == "Zweite\n\nmit Absatz"
    assert "not a header" in found[1].text


@given(st.text(), st.text(max_size=200))
def test_any_note_fits_and_carries_its_reference_and_no_code(note: str, author: str) -> None:
    sent = compose_note(NOTE, note, author)
    assert len(sent.encode("utf-16-le")) // 2 <= LONGEST_NOTE
    assert reference_of(NOTE) in sent
    assert "[code]" not in sent.lower()


PIECES = st.sampled_from(
    [
        "2026-01-31 08:00:00 - Fred (Work notes)",
        "1 - x (y)",
        " - (",
        reference_of(NOTE),
        "[note 00]",
        "",
        "text",
        "\r\n",
    ]
)


@given(st.lists(PIECES | st.text()).map("\n".join))
def test_any_journal_text_is_taken_apart_without_an_accident(shown: str) -> None:
    for entry in entries_of({"work_notes": shown}):
        assert entry.who
