"""Takes a record's shown work notes apart into entries, and marks our own. Pure: reads and writes nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from app.core.messages import T
from app.core.text_limits import clean, cut, one_line

LONGEST_NOTE = 4000
# `2026-01-31 08:00:00 - M365 Integration (Work notes)`, in the user's own date format and language.
HEADER = re.compile(r"^(?=[^\n]*\d)(?P<when>[^\n]{6,40}?) - (?P<who>[^\n]{1,200}) \((?P<what>[^()\n]{1,80})\)$", re.M)
REFERENCE = re.compile(r"\[note [0-9a-f]{12}\]")
# ServiceNow renders what stands between these as HTML.
CODE = re.compile(r"\[(/?)code\]", re.I)


@dataclass(frozen=True)
class Entry:
    """One note or comment as the instance shows it; `when` is in the integration user's own format and zone."""

    when: str
    who: str
    what: str
    text: str


def reference_of(note_id: UUID) -> str:
    """By which a note of ours is found again."""
    return f"[note {note_id.hex[:12]}]"


def compose_note(note_id: UUID, text: str, author: str) -> str:
    """The note as it is sent: never HTML, signed, with its reference, within the length the field has."""
    signature = f"\n\n– {one_line(author)[:100]}, {T('from the security center')} {reference_of(note_id)}"
    told = CODE.sub(r"[\1 code]", clean(text))
    return cut(told, LONGEST_NOTE - len(signature) - 100) + signature


def entries_of(shown: Mapping[str, str]) -> list[Entry]:
    """The entries of both journals that others wrote, each newest first; ours are left out."""
    return [entry for text in shown.values() for entry in _split(text) if not REFERENCE.search(entry.text)]


def _split(text: str) -> list[Entry]:
    """Blocks begin with a header line; a line that looks like one and names another journal belongs to the text."""
    plain = text.replace("\r\n", "\n")
    headers = list(HEADER.finditer(plain))
    if not headers:
        return []
    headers = [header for header in headers if header["what"] == headers[0]["what"]]
    ends = [header.start() for header in headers[1:]] + [len(plain)]
    return [
        Entry(header["when"], header["who"], header["what"], cut(plain[header.end() : end].strip(), LONGEST_NOTE))
        for header, end in zip(headers, ends, strict=True)
    ]
