"""Split the displayed text of a journal into its entries. Pure: no rows, no calls.

Taking each line that looks like a header for one would show a pasted line as another person's note. So a header counts
only where an entry can begin, and the rows of the journal decide, where they may be read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, product
from typing import NamedTuple

from app.core.bounds import LONGEST_LABEL, line, lines
from app.integrations.servicenow.protocol import MOST_JOURNAL_ROWS
from app.integrations.servicenow.schemas import JournalRow

LONGEST_TEXT = 4000
# What is split at all, of the displayed text and of each row: a page shows the newest fifty, which come first.
LONGEST_JOURNAL = 262_144
# As many as come as rows. Others wrote some of them, of which a page shows the newest fifty.
MOST_SPLIT = MOST_JOURNAL_ROWS
# `2026-01-31 08:00:00 - M365 Integration (Work notes)`, in the user's own date format and language. An empty line
# separates entries: docs/facts/servicenow.md#4-3-shared-task-fields
HEADER = re.compile(
    r"(?:\A|(?<=\n\n))(?=[^\n]*\d)(?P<when>[^\n]{6,40}?) - (?P<who>[^\n]{1,200}) \((?P<what>[^()\n]{1,80})\)$", re.M
)
BLANK_LINE = re.compile(r"\n[ \t]+(?=\n)")
BLANK = re.compile(r"\s*")
# The formats a user record may have: docs/facts/servicenow.md#2-4-json-shapes
DATES = ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y")
TIMES = ("%H:%M:%S", "%I:%M:%S %p", "%H:%M", "%I:%M %p")
FORMATS = [" ".join(parts) for parts in product(DATES, TIMES)]
# When clocks are turned back, a newer entry shows an earlier local time.
CLOCK_CHANGE = timedelta(hours=1)
Header = re.Match[str]


class _Body(NamedTuple):
    """A row with its text as the displayed journal has it."""

    row: JournalRow
    text: str


@dataclass(frozen=True)
class Entry:
    """One note or comment as the instance shows it; `when` is in the integration user's own format and zone.

    `author` is the login name of `who`, empty where only the displayed text is known.
    """

    when: str
    who: str
    what: str
    text: str
    author: str = ""


def split_journal(text: str, rows: Sequence[JournalRow]) -> list[Entry]:
    """The newest 200 entries of one journal, newest first.

    `rows` are its newest ones as rows, empty where they may not be read. Takes time in proportion to the text and the rows.
    """
    plain = _plain(text[:LONGEST_JOURNAL])
    headers = _headers(plain)
    if not headers:
        return []
    # Once for each row: an instance chooses how many rows there are, and how long they are.
    bodies = [_Body(row, _plain(row.text[:LONGEST_JOURNAL])) for row in rows[:MOST_SPLIT]]
    aligned = _align(plain, headers, bodies)
    if aligned is not None:
        return aligned
    # A line that stands inside an entry is no header of one. Only such lines are kept of the rows, which may have millions.
    first, *others = headers
    asked = {header[0] for header in others}
    inside = {each for body in bodies for each in body.text.split("\n") if each in asked}
    return _cut_at(plain, _falling([first, *(header for header in others if header[0] not in inside)]))


def _plain(text: str) -> str:
    return BLANK_LINE.sub("\n", text.replace("\r\n", "\n")).strip()


def _headers(plain: str) -> list[Header]:
    headers = list(HEADER.finditer(plain))
    # All headers of a field name the same journal, so a line that names another one is part of a note's text.
    return [header for header in headers if header["what"] == headers[0]["what"]]


def _cut_at(plain: str, headers: Sequence[Header]) -> list[Entry]:
    ends = [header.start() for header in headers[1:]] + [len(plain)]
    pairs = islice(zip(headers, ends, strict=True), MOST_SPLIT)
    return [_entry(header, plain[header.end() : end]) for header, end in pairs]


def _entry(header: Header, text: str, author: str = "") -> Entry:
    when, who, what = (line(header[name], LONGEST_LABEL) for name in ("when", "who", "what"))
    return Entry(when, who, what, lines(text, LONGEST_TEXT), author)


def _align(plain: str, headers: Sequence[Header], bodies: Sequence[_Body]) -> list[Entry] | None:
    """The entries as the rows tell them apart: each is a header and the text of a row. None where they do not fit."""
    starts = {header.start(): header for header in headers}
    left, entries, position = list(bodies), [], headers[0].start()
    while left and position < len(plain):
        header = starts.get(position)
        found = _place_of_body(plain, header, left) if header else None
        if header is None or found is None:
            return None
        body = left.pop(found)
        entries.append(_entry(header, body.text, body.row.author))
        blank = BLANK.match(plain, header.end() + 1 + len(body.text))
        position = blank.end() if blank else len(plain)
    return entries or None


def _place_of_body(plain: str, header: Header, left: Sequence[_Body]) -> int | None:
    """Where the row is whose text follows the header: the newest one that is left, or another of the same second."""
    for place, body in enumerate(left):
        if body.row.written_at != left[0].row.written_at:
            return None
        if plain.startswith(body.text, header.end() + 1):
            return place
    return None


def _falling(headers: Sequence[Header]) -> list[Header]:
    """Those whose times fall, as they do in a journal.

    A pasted header is older than the entry it was pasted into. So where times rise from one to the next, the upper one was
    pasted, and the lower one begins an entry of someone, which must not be hidden. The first one always begins one.
    """
    pattern = max(FORMATS, key=lambda pattern: sum(moment is not None for moment in _moments(headers[:20], pattern)))
    moments = _moments(headers, pattern)
    first = moments[0]
    if first is None:
        return list(headers)
    kept: list[Header] = []
    newest_below: datetime | None = None
    for header, moment in zip(headers[:0:-1], moments[:0:-1], strict=True):
        if moment is None or moment > first + CLOCK_CHANGE:
            continue
        if newest_below is None or moment + CLOCK_CHANGE >= newest_below:
            kept.append(header)
            newest_below = max(newest_below or moment, moment)
    return [headers[0], *reversed(kept)]


def _moments(headers: Sequence[Header], pattern: str) -> list[datetime | None]:
    return [_moment(header["when"], pattern) for header in headers]


def _moment(text: str, pattern: str) -> datetime | None:
    try:
        return datetime.strptime(text, pattern)  # noqa: DTZ007 - compared among themselves only.
    except ValueError:
        return None
