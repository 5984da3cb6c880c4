"""Read a file that holds Graph's answers, in the shapes in which people save them. Refuses anything else with a hint.

Accepted are an answer, a list or one item; several of them one after another (JSON lines); any Unicode encoding; and
PowerShell's objects, whose members are in PascalCase.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import AppError
from app.core.messages import Message, T

LARGEST_FILE_BYTES = 256 * 1024 * 1024
# Headings of the portal's export, folded to lower case, in English, German and French.
# docs/facts/microsoft-graph.md#3-1-pages-and-tabs
PORTAL_HEADINGS = frozenset({
    "rank", "recommended action", "improvement action", "score impact", "points achieved", "status", "regressed",
    "have license?", "have licence", "category", "product", "last synced", "microsoft update", "notes",
    "rang", "empfohlene maßnahme", "empfohlene aktion", "verbesserungsmaßnahme", "bewertungsauswirkung", "erzielte punkte",
    "erreichte punkte", "kategorie", "produkt", "lizenz vorhanden?", "zuletzt synchronisiert", "notizen",
    "action recommandée", "points obtenus", "catégorie", "produit", "statut",
})  # fmt: skip
FEWEST_HEADINGS = 3
DELIMITERS = ",;\t"
# Excel writes the name of the delimiter into a first line of its own.
DELIMITER_LINE = "sep="
# What PowerShell's SDK leaves of a nested object when ConvertTo-Json is not told to go deeper.
# https://learn.microsoft.com/powershell/module/microsoft.powershell.utility/convertto-json
FLATTENED = "Microsoft.Graph.PowerShell.Models."
# Where the SDK keeps the members that Graph's metadata does not declare, such as scoreInPercentage.
UNDECLARED = "AdditionalProperties"


class CannotImport(AppError):
    """Nothing could be imported; the message says why."""

    status = 422


@dataclass(frozen=True)
class FileContent:
    """The items of a file; `goes_on` is whether it ends with Graph's link to a next page."""

    items: list[dict[str, Any]]
    goes_on: bool


def read_file(path: Path) -> FileContent:
    """Raises CannotImport, with line and column where the JSON breaks off."""
    items: list[dict[str, Any]] = []
    goes_on = False
    for content in _documents(path):
        found = _items_of(content)
        if found is None:
            raise CannotImport(
                T("%(file)s does not hold a list of Graph’s items. %(hint)s", file=path.name, hint=WANTED)
            )
        goes_on = isinstance(content, dict) and bool(content.get("@odata.nextLink"))
        items += [_as_graph_writes(item) for item in found]
    return FileContent(items, goes_on)


WANTED = T(
    "Import Graph’s JSON: the answer of /security/secureScores with --scores, that of /security/secureScoreControlProfiles"
    " with --profiles."
)


def _items_of(content: object) -> list[dict[str, Any]] | None:
    if isinstance(content, dict):
        content = content.get("value", [content] if "id" in content or "Id" in content else None)
    if isinstance(content, list) and all(isinstance(item, dict) for item in content):
        return content
    return None


def _documents(path: Path) -> Iterator[object]:
    """Every JSON value of the file: one as a rule, several in a file with one object per line."""
    text = _read_text(path)
    decoder, at = json.JSONDecoder(), 0
    try:
        while True:
            value, end = decoder.raw_decode(text, _next_value(text, at))
            yield value
            at = end
            if not text[at:].strip():
                return
    except json.JSONDecodeError as error:
        raise _refusal(path, text, error) from error
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits, or thousands of open brackets.
        raise CannotImport(
            T("%(file)s is not readable: it is no answer of Graph. %(hint)s", file=path.name, hint=WANTED)
        ) from error


def _next_value(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise CannotImport(T("%(file)s is larger than 256 MiB.", file=path.name))
        content = path.read_bytes()
    except OSError as error:
        raise CannotImport(
            T("%(file)s cannot be read: %(reason)s.", file=path.name, reason=error.strerror or "unknown error")
        ) from error
    encoding = json.detect_encoding(content)
    try:
        return content.decode(encoding)
    except ValueError as error:
        # Excel saves tables in the code page of its language, which is no Unicode at all.
        if (reason := _table_reason(content.decode("cp1252", "replace"))) is not None:
            raise CannotImport(T("%(file)s %(reason)s", file=path.name, reason=reason)) from error
        raise CannotImport(T("%(file)s is not readable text in UTF-8.", file=path.name)) from error


def _refusal(path: Path, text: str, error: json.JSONDecodeError) -> CannotImport:
    if (reason := _table_reason(text)) is not None:
        return CannotImport(T("%(file)s %(reason)s", file=path.name, reason=reason))
    return CannotImport(
        T(
            "%(file)s is not complete JSON: it breaks off or goes wrong at line %(line)s, column %(column)s.",
            file=path.name,
            line=error.lineno,
            column=error.colno,
        )
    )


def _table_reason(text: str) -> Message | None:
    """Why a table cannot be imported; None where the text is none."""
    cells = _headings(text)
    if len(PORTAL_HEADINGS.intersection(cells)) >= FEWEST_HEADINGS:
        # Titles are shared by several controls, and a row marked Completed can have 5 of 9 points.
        # docs/facts/microsoft-graph.md#edge-30, docs/facts/microsoft-graph.md#edge-58
        return T(
            "is a list of recommended actions as CSV. It holds no ids of controls, so that its points cannot be given to"
            " the right actions. %(hint)s",
            hint=WANTED,
        )
    if len(cells) >= FEWEST_HEADINGS:
        return T("is a table (CSV), not JSON. %(hint)s", hint=WANTED)
    return None


def _headings(text: str) -> list[str]:
    """The cells of a table's first line; empty where the text begins like JSON or a web page."""
    lines = [line for line in text.lstrip("\ufeff")[:20_000].splitlines() if line.strip()]
    if lines and lines[0].lower().startswith(DELIMITER_LINE):
        lines = lines[1:]
    if not lines or lines[0].lstrip()[:1] in ("{", "[", "<"):
        return []
    delimiter = max(DELIMITERS, key=lines[0].count)
    return [cell.strip().lower() for cell in next(csv.reader([lines[0]], delimiter=delimiter))]


def _as_graph_writes(item: dict[str, Any]) -> dict[str, Any]:
    """An item of PowerShell's SDK with Graph's own names; any other item as it is.

    https://learn.microsoft.com/powershell/module/microsoft.graph.security/get-mgsecuritysecurescore
    """
    return _renamed(item) if "Id" in item and "id" not in item else item


def _renamed(value: Any) -> Any:  # noqa: ANN401 - any JSON value.
    if isinstance(value, list):
        return [_renamed(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    undeclared = value.get(UNDECLARED)
    declared = {name[:1].lower() + name[1:]: _renamed(entry) for name, entry in value.items() if name != UNDECLARED}
    return (undeclared if isinstance(undeclared, dict) else {}) | declared


def wrong_kind(items: list[dict[str, Any]], sentence: Message) -> CannotImport:
    """None of the items is of the wanted kind: `sentence`, with what is the matter as far as it can be told."""
    hint = WANTED
    if any("controlScores" in item or "currentScore" in item for item in items):
        hint = T("These are daily scores: give the file with --scores.")
    elif any("remediation" in item or "actionUrl" in item for item in items):
        hint = T("These are control profiles: give the file with --profiles.")
    return CannotImport(T("%(first)s %(second)s", first=sentence, second=hint))


def is_flattened(value: object) -> bool:
    """Whether a list of objects was saved by PowerShell as the names of their types."""
    return isinstance(value, list) and any(isinstance(entry, str) and FLATTENED in entry for entry in value)
