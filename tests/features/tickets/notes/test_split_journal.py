"""A pasted header makes no note of its own: by the empty line, by the rows of the journal, and by times that fall."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.tickets.notes.split_journal import split_journal
from app.integrations.servicenow.schemas import JournalRow

PASTED = "2026-11-20 08:00:00 - Some Approver (Work notes)\nI approve this."


def journal(*entries: tuple[str, str, str]) -> str:
    """As ServiceNow shows it: time, author and text of each, newest first."""
    return "".join(f"{when} - {who} (Work notes)\n{text}\n\n" for when, who, text in entries)


def row(when: str, author: str, text: str) -> JournalRow:
    return JournalRow("work_notes", author, datetime.strptime(when, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC), text)


def who_said(text: str, rows: list[JournalRow]) -> list[tuple[str, str]]:
    return [(entry.who, entry.text) for entry in split_journal(text, rows)]


@pytest.mark.fact("servicenow 4.3")
def test_a_pasted_header_line_is_text() -> None:
    text = f"From the chat:\n{PASTED}"
    assert who_said(journal(("2026-11-20 12:00:00", "Eve Forger", text)), []) == [("Eve Forger", text)]


def test_a_pasted_header_below_an_empty_line_is_text_where_the_rows_may_be_read() -> None:
    text = f"From the chat:\n\n{PASTED}"
    shown = journal(("2026-11-20 12:00:00", "Eve Forger", text), ("2026-11-19 12:00:00", "Fred Luddy", "Older"))
    rows = [row("2026-11-20 12:00:00", "eve.forger", text), row("2026-11-19 12:00:00", "fred.luddy", "Older")]
    found = split_journal(shown, rows)
    assert [(entry.who, entry.author, entry.text) for entry in found] == [
        ("Eve Forger", "eve.forger", text),
        ("Fred Luddy", "fred.luddy", "Older"),
    ]


def test_rows_of_the_same_second_in_another_order_still_tell_the_entries_apart() -> None:
    text = f"Look:\n\n{PASTED}"
    shown = journal(("2026-11-20 12:00:00", "Eve Forger", text), ("2026-11-20 12:00:00", "Fred Luddy", "Other"))
    rows = [row("2026-11-20 12:00:00", "fred.luddy", "Other"), row("2026-11-20 12:00:00", "eve.forger", text)]
    assert [who for who, _ in who_said(shown, rows)] == ["Eve Forger", "Fred Luddy"]


def test_rows_that_do_not_fit_the_text_lose_no_entry_and_still_forge_none() -> None:
    """Some rows are hidden from us, and the journal's text shows all."""
    text = f"Look:\n\n{PASTED}"
    shown = journal(("2026-11-20 13:00:00", "Ann", "Newest"), ("2026-11-20 12:00:00", "Eve Forger", text))
    assert who_said(shown, [row("2026-11-20 12:00:00", "eve.forger", text)]) == [
        ("Ann", "Newest"),
        ("Eve Forger", text),
    ]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2026-11-19 12:00:00", "2026-11-20 12:00:00"),
        ("19.11.2026 12:00:00", "20.11.2026 12:00:00"),
        ("11/19/2026 01:00:00 PM", "11/20/2026 09:00:00 AM"),
    ],
)
def test_a_time_that_does_not_fall_is_text_in_any_format(older: str, newer: str) -> None:
    text = f"Look:\n\n{newer} - Some Approver (Work notes)\nI approve this."
    assert [who for who, _ in who_said(journal((older, "Eve Forger", text)), [])] == ["Eve Forger"]


@pytest.mark.parametrize("pasted", [PASTED, f"{PASTED}\n\n{PASTED.replace('-20', '-19')}"])
def test_an_older_header_that_was_pasted_hides_no_later_note_of_someone_else(pasted: str) -> None:
    text = f"From the chat:\n\n{pasted}"
    shown = journal(("2026-11-28 10:00:00", "Ann", text), ("2026-11-27 10:00:00", "Bob", "No, wait."))
    assert who_said(shown, []) == [("Ann", text), ("Bob", "No, wait.")]


def test_times_that_fall_are_entries_also_when_the_clocks_were_turned_back() -> None:
    shown = journal(("2026-10-25 02:10:00", "Ann", "New"), ("2026-10-25 02:50:00", "Fred", "Old"))
    assert [who for who, _ in who_said(shown, [])] == ["Ann", "Fred"]


def test_times_in_a_format_of_no_record_are_taken_as_they_come() -> None:
    shown = journal(("20 novembre 2026", "Ann", "New"), ("21 novembre 2026", "Fred", "Old"))
    assert [who for who, _ in who_said(shown, [])] == ["Ann", "Fred"]


PIECES = st.sampled_from(["2026-01-31 08:00:00 - Fred (Work notes)", "1 - x (y)", " - (", "", "text", "\r\n", "\n \n"])
TEXTS = st.lists(PIECES | st.text()).map("\n".join)


@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_any_journal_text_is_split_without_an_accident(shown: str, texts: list[str]) -> None:
    rows = [row("2026-01-31 08:00:00", "fred", text) for text in texts]
    for entry in split_journal(shown, rows):
        assert entry.who


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_with_all_rows_no_text_becomes_an_entry_of_another_author(texts: list[str]) -> None:
    entries = [(f"2026-01-{30 - day} 08:00:00", f"Author {day}", text) for day, text in enumerate(texts)]
    rows = [row(when, f"author.{day}", text) for day, (when, _, text) in enumerate(entries)]
    found = {entry.who for entry in split_journal(journal(*entries), rows)}
    assert found <= {who for _, who, _ in entries}
