"""A journal costs time in proportion to its length, whatever its rows are; as many are taken as are asked for."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from app.features.tickets.notes import split_journal as module
from app.features.tickets.notes.journal_field import JOURNAL_BYTES, MOST_ENTRIES, Ours, entries_of, journal_part
from app.features.tickets.notes.split_journal import MOST_SPLIT, Entry, split_journal
from app.integrations.servicenow.parse_journal import journal_rows_of
from app.integrations.servicenow.protocol import MOST_JOURNAL_ROWS, journal_rows_request
from app.integrations.servicenow.schemas import JournalRow

WHEN = datetime(2026, 11, 20, 12, tzinfo=UTC)
HEADER = "2026-11-20 12:00:00 - Eve Forger (Work notes)"
# The work takes a fifth of a second. Before, it took half a minute.
MOST_CPU_SECONDS = 3.0


def row(text: str) -> JournalRow:
    return JournalRow("work_notes", "eve.forger", WHEN, text)


def shown(texts: list[str]) -> str:
    return "".join(f"{HEADER}\n{text}\n\n" for text in texts)


SHORT = [f"s{number}" for number in range(240)]
PASTED = f"{HEADER}\na\n\n"
HOSTILE = {
    "long rows of one second": (shown(SHORT), [row("a" + "\n " * 8000 + "b")] * 240 + [row(text) for text in SHORT]),
    "a header in each line": (f"{HEADER}\n\n" * 20_000, []),
    "rows of many lines": (
        f"{HEADER}\n\n" * 5_000,
        [row("".join(f"{200 * line + number}\n" for line in range(6000))) for number in range(200)],
    ),
    "rows that begin alike": (PASTED * 6000, [row("a\n\n" + PASTED * 1000 + "X")] * 100 + [row("a")] * 100),
    "empty lines": (shown(["1" + "\n" * 3900 + "2"] * 70), []),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_journal_is_split_in_moments(name: str) -> None:
    text, rows = HOSTILE[name]
    began = time.process_time()
    found = entries_of({"work_notes": text}, rows, Ours(frozenset(), frozenset()))
    assert time.process_time() - began < MOST_CPU_SECONDS
    assert len(found) <= MOST_SPLIT


def test_each_row_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    plain = module._plain

    def counted(text: str) -> str:
        read.append(text)
        return plain(text)

    monkeypatch.setattr(module, "_plain", counted)
    texts = SHORT[:60]
    rows = [row(f"long {text}") for text in texts] + [row(text) for text in texts]
    assert len(split_journal(shown(texts), rows)) == 60
    assert len(read) == 1 + len(rows)


def test_as_many_rows_are_taken_as_are_asked_for() -> None:
    sys_id = "b" * 32
    answered = [{"element": "work_notes", "element_id": sys_id, "value": str(number)} for number in range(500)]
    assert len(journal_rows_of(answered, sys_id)) == MOST_JOURNAL_ROWS
    assert journal_rows_request("https://x.service-now.com", sys_id).query["sysparm_limit"] == str(MOST_JOURNAL_ROWS)


def test_a_page_takes_the_newest_entries_that_fit_and_counts_the_others() -> None:
    short = [Entry(str(number), "Ann", "Work notes", "x") for number in range(60)]
    part = journal_part(short)
    assert (part.items, part.left_out) == (short[:MOST_ENTRIES], 10)
    long = [Entry(str(number), "Ann", "Work notes", '"' * 4000) for number in range(50)]
    part = journal_part(long)
    assert part.items == long[: len(part.items)]
    assert 0 < len(part.items) * 20_000 <= JOURNAL_BYTES
    assert len(part.items) + part.left_out == 50
