"""Compose our work notes, and parse a record's journal text into entries. Pure: no rows, no calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from app.core.messages import T
from app.core.text_limits import clean, cut, one_line

# As long as a description, which every instance holds: docs/facts/servicenow.md#4-3-shared-task-fields
LONGEST_NOTE = 4000
# `2026-01-31 08:00:00 - M365 Integration (Work notes)`, in the user's own date format and language.
HEADER = re.compile(r"^(?=[^\n]*\d)(?P<when>[^\n]{6,40}?) - (?P<who>[^\n]{1,200}) \((?P<what>[^()\n]{1,80})\)$", re.M)
REFERENCE = re.compile(r"\[note [0-9a-f]{12}\]")
# ServiceNow renders as HTML what stands between [code] and [/code], which would let a note carry script.
CODE = re.compile(r"\[(/?)code\]", re.I)


@dataclass(frozen=True)
class Entry:
    """One note or comment as the instance shows it; `when` is in the integration user's own format and zone."""

    when: str
    who: str
    what: str
    text: str


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


def entries_of(shown: Mapping[str, str]) -> list[Entry]:
    """The entries of both journals that other people wrote, newest first. Ours carry a reference and are left out."""
    return [entry for text in shown.values() for entry in _split(text) if not REFERENCE.search(entry.text)]


def _split(text: str) -> list[Entry]:
    """The entries of one journal: a header line, then the text."""
    plain = text.replace("\r\n", "\n")
    headers = list(HEADER.finditer(plain))
    if not headers:
        return []
    # All headers of a field name the same journal, so a line that names another one is part of a note's text.
    headers = [header for header in headers if header["what"] == headers[0]["what"]]
    ends = [header.start() for header in headers[1:]] + [len(plain)]
    return [
        Entry(header["when"], header["who"], header["what"], cut(plain[header.end() : end].strip(), LONGEST_NOTE))
        for header, end in zip(headers, ends, strict=True)
    ]
