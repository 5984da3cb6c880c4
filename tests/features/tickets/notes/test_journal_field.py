"""Our notes fit and carry their reference; those of others are told from ours by it and by who wrote them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.tickets.notes.journal_field import LONGEST_NOTE, Ours, compose_note, entries_of, reference_of
from app.integrations.servicenow.schemas import JournalRow

NOTE = UUID("0123456789abcdef0123456789abcdef")
OURS = Ours(frozenset({reference_of(NOTE)}), frozenset({"m365 integration", "m365.integration"}))
NOT_NAMED = Ours(OURS.references, frozenset())


def test_entries_are_told_apart_in_any_date_format_and_language() -> None:
    shown = (
        "24.11.2026 15:42 - Fred Luddy (Arbeitsnotizen)\nZweite\n\nmit Absatz\n\n"
        "23.11.2026 09:00 - M365 Integration (Arbeitsnotizen)\n"
        f"Unsere\n\n– Megan, from the security center {reference_of(NOTE)}\n\n"
        "22.11.2026 08:00 - Ann - Marie (Ops) (Arbeitsnotizen)\nErste\n2026-01-01 00:00 - Somebody (else)\nnot a header\n\n"
    )
    found = entries_of({"work_notes": shown, "comments": ""}, [], OURS)
    assert [(entry.who, entry.text.split("\n")[0]) for entry in found] == [
        ("Fred Luddy", "Zweite"),
        ("Ann - Marie (Ops)", "Erste"),
    ]
    assert found[0].text == "Zweite\n\nmit Absatz"
    assert "not a header" in found[1].text


@pytest.mark.parametrize("who", ["Fred Luddy", "M365 Integration"])
def test_an_answer_that_quotes_our_note_is_shown(who: str) -> None:
    ours = compose_note(NOTE, "Please schedule it for Friday.", "Megan")
    quoted = "\n".join(f"> {line}" for line in ours.split("\n"))
    shown = f"2026-11-20 08:00:00 - {who} (Work notes)\nFriday is a freeze day.\n\nOn Friday we wrote:\n{quoted}\n\n"
    (entry,) = entries_of({"work_notes": shown}, [], OURS)
    assert entry.text.startswith("Friday is a freeze day.")


def test_an_answer_below_which_our_note_stands_unquoted_is_shown_for_it_was_written_by_another() -> None:
    ours = compose_note(NOTE, "Please schedule it for Friday.", "Megan")
    shown = f"2026-11-20 08:00:00 - {{who}} (Work notes)\nMonday is fine.\n\n{ours}\n\n"
    assert len(entries_of({"work_notes": shown.format(who="Fred Luddy")}, [], OURS)) == 1
    assert entries_of({"work_notes": shown.format(who="M365 Integration")}, [], OURS) == []


def test_a_reference_that_was_not_written_here_hides_nothing() -> None:
    shown = "2026-11-20 08:00:00 - Fred Luddy (Work notes)\nLook at this [note ffffffffffff]\n\n"
    assert len(entries_of({"work_notes": shown}, [], NOT_NAMED)) == 1


def test_ours_is_recognized_by_the_login_name_of_its_row_too() -> None:
    ours = compose_note(NOTE, "Please schedule it.", "Megan")
    shown = f"2026-11-20 08:00:00 - Renamed (Work notes)\n{ours}\n\n"
    row = JournalRow("work_notes", "M365.Integration", datetime(2026, 11, 20, 8, tzinfo=UTC), ours)
    assert entries_of({"work_notes": shown}, [row], OURS) == []
    assert len(entries_of({"work_notes": shown}, [], OURS)) == 1


@given(st.text(), st.text(max_size=200))
def test_any_note_fits_and_carries_its_reference_and_no_code(note: str, author: str) -> None:
    sent = compose_note(NOTE, note, author)
    assert len(sent.encode("utf-16-le")) // 2 <= LONGEST_NOTE
    assert reference_of(NOTE) in sent
    assert "[code]" not in sent.lower()


@given(st.text(), st.text(max_size=200))
def test_any_note_of_ours_is_recognized_in_the_journal(note: str, author: str) -> None:
    shown = f"2026-01-31 08:00:00 - M365 Integration (Work notes)\n{compose_note(NOTE, note, author)}\n\n"
    newest = entries_of({"work_notes": shown}, [], OURS)
    assert all(reference_of(NOTE) not in entry.text for entry in newest)
