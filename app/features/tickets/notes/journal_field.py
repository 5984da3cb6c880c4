"""Compose our work notes, and tell those of others from ours in a record's journal. Pure: no rows, no calls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.core.messages import T
from app.core.page_share import Portion, portion
from app.core.text_limits import clean, cut, one_line
from app.features.tickets.notes.split_journal import Entry, split_journal
from app.integrations.servicenow.schemas import JournalRow

# As long as a description, which every instance holds: docs/facts/servicenow.md#4-3-shared-task-fields
LONGEST_NOTE = 4000
# Enough for a page, of which they take at most so many bytes; the whole journal is one click away in ServiceNow.
MOST_ENTRIES = 50
JOURNAL_BYTES = 150_000
# Ours ends with it, in the last line. A quoted line begins with `>`, behind blanks of that line alone: were line ends among
# them, each of a thousand empty lines would be read to the last one.
REFERENCE_AT_THE_END = re.compile(r"^(?![^\S\n]*>).*(\[note [0-9a-f]{12}\])\s*\Z", re.M)
# ServiceNow renders as HTML what stands between [code] and [/code], which would let a note carry script.
CODE = re.compile(r"\[(/?)code\]", re.I)


@dataclass(frozen=True)
class Ours:
    """How a note of ours is recognized: the references of those that were written here, and the names of our account.

    Names in lower case. Without any, the reference alone decides.
    """

    references: frozenset[str]
    names: frozenset[str]


def reference_of(note_id: UUID) -> str:
    """The text by which our note is found again in the journal. Twelve hex digits: unique enough in one record."""
    return f"[note {note_id.hex[:12]}]"


def compose_note(note_id: UUID, text: str, author: str) -> str:
    """The note as it is sent: never HTML, signed, with its reference, within the length the field has.

    An empty `author` is left out of the signature.
    """
    name = f"{one_line(author)[:100]}, " if author else ""
    signature = f"\n\n– {name}{T('from the security center')} {reference_of(note_id)}"
    harmless = CODE.sub(r"[\1 code]", clean(text))
    # 100 to spare: the limit is in UTF-16 units, of which each of the author's 100 letters may take two.
    return cut(harmless, LONGEST_NOTE - len(signature) - 100) + signature


def entries_of(shown: Mapping[str, str], rows: Sequence[JournalRow], ours: Ours) -> list[Entry]:
    """The entries of both journals that other people wrote, newest first in each.

    `shown` are the displayed journals by field name; `rows` their entries as rows, where those may be read.
    """
    return [
        entry
        for name, text in shown.items()
        for entry in split_journal(text, [row for row in rows if row.journal == name])
        if not _is_ours(entry, ours)
    ]


def journal_part(entries: Sequence[Entry]) -> Portion[Entry]:
    """The newest entries, as many as a page shows."""
    return portion(
        entries,
        lambda entry: (entry.when, entry.who, entry.what, entry.text),
        most_bytes=JOURNAL_BYTES,
        most=MOST_ENTRIES,
    )


def _is_ours(entry: Entry, ours: Ours) -> bool:
    # Answers quote what they answer to, so a reference somewhere in the text says nothing:
    # docs/facts/servicenow.md#4-3-shared-task-fields
    found = REFERENCE_AT_THE_END.search(entry.text)
    if found is None or found[1] not in ours.references:
        return False
    return not ours.names or bool({entry.who.lower(), entry.author.lower()} & ours.names)
