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
