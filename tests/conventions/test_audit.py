"""The audit log is written by the feature that acts, never by a page: a command or a job that acts is audited as well."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conventions.files import files_with, named

PAGES = files_with(".py", under="app/web")


def names_used(source: str) -> set[str]:
    """Every name that is imported, read or called."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found.update(alias.name for alias in node.names)
    return found


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_no_page_writes_the_audit_log(path: Path) -> None:
    assert "log_action" not in names_used(path.read_text(encoding="utf-8")), "let the feature that acts write it"


def test_every_way_to_write_it_is_seen() -> None:
    assert "log_action" in names_used("from app.features.accounts.audit import log_action")
    assert "log_action" in names_used("from app.features.accounts import audit\naudit.log_action(session)")
    assert "log_action" not in names_used('"""log_action"""\n# log_action')
