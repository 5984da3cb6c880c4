"""Documents point at things that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.__main__ import parser
from tests.conventions.files import ROOT, files_with, named

DOCUMENTS = files_with(".md")
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)\s#]+)")


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    broken = [link for link in LINK.findall(path.read_text(encoding="utf-8")) if not (path.parent / link).exists()]
    assert not broken


def test_commands_in_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = set(re.findall(r"\{([a-z,-]+)\}", parser().format_usage())[0].split(","))
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets, named(path)
        assert set(re.findall(r"python -m app ([a-z][a-z-]*)", text)) <= commands, named(path)


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_no_section_is_empty(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "code", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [*filter(None, map(str.strip, text.splitlines())), "# end"]
    levels = [len(line) - len(line.lstrip("#")) if re.match(r"#+ ", line) else 0 for line in lines]
    empty = [
        line
        for line, level, following in zip(lines, levels, levels[1:], strict=False)
        if level and 0 < following <= level
    ]
    assert not empty


def test_what_alerts_send_to_is_in_the_document() -> None:
    alerts = (ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8")
    document = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")
    titles = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", document, re.MULTILINE)
    }
    references = re.findall(r"docs/operation\.md#([a-z-]+)(.*)", alerts)
    assert references
    for anchor, rest in references:
        assert anchor in titles
        for row in re.findall(r'"([^"]+)"', rest):
            assert f"### {row}\n" in document
