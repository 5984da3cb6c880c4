"""Write docs/findings.md from the catalog of findings (`make findings`). Changes no text.

The document lists, check by check, what provisioning and diagnosis may find. A convention test keeps it current.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.core.messages import Message
from app.features.provisioning.check_catalog import CHECKS, ERROR_CODES, INTERNAL_CHECKS, Check
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.finding_catalog import FINDINGS, PLACEHOLDER, key_of
from app.resources import Resources

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "findings.md"
# Keys that name a table or a right, which the code does not.
FULL_KEYS = {
    "table": "table_change, table_incident",
    "role_missing": "role_missing.<table>.<right>",
    "create_refused": "create_refused.<table>",
}
INTRODUCTION = """\
# Findings

What provisioning, "Check the connection" and `python -m app doctor` may find, and what to do about it. Written by
`make findings` from `app/features/provisioning/check_catalog.py` and the catalog in
`app/features/provisioning/texts/`; do not edit it here.

A verdict is `good`, `note` (worth knowing, blocks nothing), `unknown` (cannot be known without writing to ServiceNow) or
`problem` (a person has to act). `<name>` stands for a fact that is filled in. "Their message" says whether the finding
has a text to send to the instance's administrator. Where "What it means" is empty, the finding shows what went wrong in
the words of the error.
"""
ALL_CHECKS: tuple[Check[CheckContext] | Check[Resources], ...] = (*CHECKS, *INTERNAL_CHECKS)
COLUMNS = ("Finding", "Verdict", "What it means", "What to do", "In ServiceNow", "Their message")
BEFORE_ANY_CHECK = ("not_connected",)
OUTCOME = ("cards:unconfirmed", "cards:stale", "cards:all", "cards:some", "cards:hidden")


def render_document() -> str:
    """The whole document as Markdown."""
    sections = [INTRODUCTION]
    described: set[tuple[str, ...]] = set()
    for check in ALL_CHECKS:
        title = check.step_title or FINDINGS[check.findings[0]].title
        lines = [f"## {plain(title)}", "", f"`{check.code}`. Examined: {plain(check.examines)}", ""]
        if check.findings in described:
            lines.append("The same findings as for the table before.")
        else:
            lines += table(check.findings)
        described.add(check.findings)
        sections.append("\n".join(lines) + "\n")
    sections.append("\n".join(["## What any call may end in", "", *table(ERROR_CODES)]) + "\n")
    sections.append("\n".join(["## Without a connection", "", *table(BEFORE_ANY_CHECK)]) + "\n")
    sections.append("\n".join(["## The outcome on the provisioning page", "", *table(OUTCOME)]) + "\n")
    return "\n".join(sections)


def table(codes: Iterable[str]) -> list[str]:
    """One row for each code."""
    rows = [row(COLUMNS), row("---" for _ in COLUMNS)]
    for code in codes:
        text = FINDINGS[code]
        key = FULL_KEYS.get(key_of(code), key_of(code))
        cells = (plain(text.meaning), plain(text.advice), plain(text.screen), "yes" if text.message else "")
        rows.append(row((f"`{key}`", text.state.value, *cells)))
    return rows


def row(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def plain(text: Message | None) -> str:
    """The text with `<name>` for facts; what would end a cell or begin markup is escaped."""
    if text is None:
        return ""
    filled = Message(text.message, {name: f"<{name}>" for name in PLACEHOLDER.findall(text.message)} | text.values)
    return re.sub(r"([|<*])", r"\\\1", str(filled))


def main() -> int:
    DOCUMENT.write_text(render_document(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
