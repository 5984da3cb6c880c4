"""docs/operation.md names only events that the code logs, and every kind of refusal."""

from __future__ import annotations

import re
from typing import get_args

from app.web.note_refused import Kind
from tests.conventions.files import ROOT
from tools.code_sources import read_sources

TEXT = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")


def documented() -> set[str]:
    table = TEXT.split("### Events to know")[1].split("\n### ")[0]
    return {
        name for row in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)
    }


def test_each_event_of_the_document_is_logged_by_the_code() -> None:
    code = "\n".join(read_sources(ROOT, ["app"]).values())
    refused = {f"refused.{kind}" for kind in get_args(Kind)}
    logged = set(re.findall(r'"([a-z_]+(?:\.[a-z_]+)+)"', code)) | refused
    assert documented() <= logged


def test_each_kind_of_refusal_is_documented() -> None:
    assert {f"refused.{kind}" for kind in get_args(Kind)} <= documented()
