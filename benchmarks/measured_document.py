"""Puts what a measurement printed into docs/benchmarks.md, between the markers of its part. Measures nothing.

The table of figures is made of what stands in the document, so that a part may be measured alone.
"""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import FIGURES, table

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
FIGURE = re.compile(r"^figure (\w+) (\S+)$", re.MULTILINE)
NOT_YET = "not measured yet"


def commit_name() -> str:
    """The commit that is measured, shortened; says so where files differ from it, other than the document."""

    def git(*words: str) -> str:
        ran = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607
        return ran.stdout.strip() if ran.returncode == 0 else ""

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":!docs/benchmarks.md")
    return (git("rev-parse", "--short=12", "HEAD") or "no commit") + (" with changes" if changed else "")


def write_part(name: str, printed: str, commit: str) -> None:
    """Replace this part of the document by what was printed, and the table of figures."""
    text = with_part(DOCUMENT.read_text(encoding="utf-8"), name, printed, commit, datetime.now(UTC))
    DOCUMENT.write_text(text, encoding="utf-8")


def with_part(document: str, name: str, printed: str, commit: str, now: datetime) -> str:
    """The document with this part replaced. Raises ValueError when it has no place for the part."""
    day = f"{now.day} {now:%B %Y}"
    fenced = re.sub(r"(?:^figure .*\n?)+", lambda run: f"```\n{run[0].rstrip()}\n```\n", printed, flags=re.MULTILINE)
    body = f"Measured on {day} at commit {commit}.\n\n{fenced.strip()}"
    return with_figures(_between(document, name, body))


def with_figures(document: str) -> str:
    """The document with its table of figures made again of the lines that stand in it."""
    return _between(document, "figures", figures_table(dict(FIGURE.findall(document))))


def figures_table(values: dict[str, str]) -> str:
    """Every figure with what it means, its goal and its value."""
    rows = [
        (f"`{name}`", one.part, one.meaning, one.goal or "–", values.get(name, NOT_YET))
        for name, one in FIGURES.items()
    ]
    return table(("figure", "part", "what it is", "goal", "value"), rows, words=4)


def _between(document: str, name: str, body: str) -> str:
    begin, end = f"<!-- measured: {name} -->", f"<!-- end of {name} -->"
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"docs/benchmarks.md has no place for {name}")
    return f"{before}{begin}\n{body}\n{end}{after}"
