"""Facts with and without a test are told apart, on a small project made up here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.list_facts import (
    FACTS_FOLDER,
    Citation,
    anchor_of,
    citations,
    facts_of,
    markers,
    project_sources,
    read_anchors,
    report,
    section_number,
    without_mark_or_source,
)

ANCHORS = (
    "2-table-api", "2-1-url-and-methods", "2-6-error-envelope", "5-limits", "what-a-sandbox-must-do", "sandbox-1",
    "sandbox-12", "7-edge-cases", "edge-1", "8-ideas", "idea-1", "trap-3", "9-added-28-november-2026",
)  # fmt: skip
DOCUMENT = "".join(f'<a id="{anchor}"></a>\n\nText.\n\n' for anchor in ANCHORS)
TEST = """
import pytest

pytestmark = [pytest.mark.fact("servicenow sandbox-1")]


@pytest.mark.fact("servicenow 2.6", "servicenow trap-3")
@pytest.mark.parametrize("a", [pytest.param(1, marks=pytest.mark.fact("servicenow 5"))])
async def test_it(a: int) -> None: ...
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        f"{FACTS_FOLDER}/servicenow.md": DOCUMENT,
        "app/send.py": f"# Sent alone it is overwritten: {FACTS_FOLDER}/servicenow.md#2-1-url-and-methods.\n",
        "app/__pycache__/send.py": "Not read.",
        "tests/test_send.py": TEST,
        "README.md": f"The [facts]({FACTS_FOLDER}/servicenow.md) lie here.\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_sections_and_list_entries_are_facts_and_headings_over_them_are_not() -> None:
    assert facts_of(ANCHORS) == [
        "2-1-url-and-methods", "2-6-error-envelope", "5-limits", "sandbox-1", "sandbox-12", "edge-1", "trap-3",
        "9-added-28-november-2026",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("anchor", "number"),
    [
        ("2-6-error-envelope", "2.6"),
        ("1-oauth-2-0-on-the-instance", "1"),
        ("9-added-28-november-2026", "9"),
        ("sandbox-1", None),
        ("traps-connectors-fall-into", None),
    ],
)
def test_a_section_knows_its_number(anchor: str, number: str | None) -> None:
    assert section_number(anchor) == number


def test_a_marker_names_an_anchor_by_number_or_in_full() -> None:
    anchors = {"servicenow": ANCHORS}
    assert anchor_of("servicenow 2.6", anchors) == ("servicenow", "2-6-error-envelope")
    assert anchor_of("servicenow 2", anchors) == ("servicenow", "2-table-api")
    assert anchor_of("servicenow sandbox-12", anchors) == ("servicenow", "sandbox-12")
    for wrong in ("servicenow 2.", "servicenow 2.61", "servicenow sandbox-2", "servicenow", "others 5", ""):
        assert anchor_of(wrong, anchors) is None


def test_every_marker_in_the_tests_is_read(project: Path) -> None:
    found = [marker.id for marker in markers(project_sources(project))]
    assert found == ["servicenow sandbox-1", "servicenow 2.6", "servicenow trap-3", "servicenow 5"]


def test_citations_are_read_with_their_places(project: Path) -> None:
    assert citations(project_sources(project)) == [
        Citation("README.md", 1, "servicenow", None),
        Citation("app/send.py", 1, "servicenow", "2-1-url-and-methods"),
    ]


def test_the_anchors_of_a_document_keep_their_order(project: Path) -> None:
    assert read_anchors(project_sources(project)) == {"servicenow": ANCHORS}


def test_the_report_lists_what_no_test_covers(project: Path) -> None:
    lines = report(project_sources(project)).splitlines()
    assert "| servicenow | 8 | 4 | 1 |" in lines
    start = lines.index("servicenow: 4 facts without a test")
    assert lines[start + 1 :] == [
        "  2-1-url-and-methods  (cited in app/send.py)",
        "  sandbox-12",
        "  edge-1",
        "  9-added-28-november-2026",
    ]


LEGEND = """| Mark | Meaning |
|---|---|
| [A] | Documentation |
| **[inf]** | Inference |

Words before the first section are no statements.

<a id="1-tokens"></a>
## 1. Tokens

"""


def incomplete(text: str) -> list[str]:
    found = without_mark_or_source({f"{FACTS_FOLDER}/servicenow.md": LEGEND + text})
    return [line.split(": ", 2)[1] for line in found]


@pytest.mark.parametrize(
    "text",
    [
        "* A token lives 30 minutes. [A] KB0725643\n",
        "- Two marks [A docs; inf]: `docs:tokens.md`\n",
        "* A token lives 30 minutes. **[inf]**\n",
        "* A token has lines:\n\n  more of the item. [A] `tokens.md`\n",
        "* What it says follows from [another](#2-errors).\n",
        "Tokens are text. [A] captured\ntrace\n",
        "From the `docs:tokens.md`:\n\n* A token lives 30 minutes. [A]\n",
        "**A title**\n\n```\nCode states nothing.\n```\n",
        "| Field | Sure |\n|---|---|\n| code | [A] KB0725643 |\n",
        "| Field | Length |\n|---|---|\n| code | 86 |\n\nThe table is from `docs:tokens.md` [A].\n",
        '1. <a id="bug-1"></a>A token is lost. [A] owner/repo#12\n',
    ],
)
def test_a_statement_with_mark_and_source_is_not_complained_of(text: str) -> None:
    assert incomplete(text) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("* A token lives 30 minutes. KB0725643\n", ["no mark"]),
        ("* A token lives 30 minutes. [A]\n", ["no source"]),
        ("* A mark that the legend does not have. [B] KB0725643\n", ["no mark"]),
        ("Tokens are text.\n", ["no mark"]),
        ("| Field | Length |\n|---|---|\n| code | 86 |\n| token | 86 |\n", ["no mark", "no mark"]),
        ("* One. [A] KB1\n* Two.\n* Three. [A] KB3\n", ["no mark"]),
        ("* One. [A] `one.md`\n\nFrom `two.md`:\n\n* Two. [A]\n", ["no source"]),
        ('<a id="2-bugs"></a>\n## 2. Bugs\n\n1. <a id="bug-1"></a>A token is lost.\n', ["no mark"]),
    ],
)
def test_a_statement_without_mark_or_source_is_found(text: str, missing: list[str]) -> None:
    assert incomplete(text) == missing


def test_a_project_without_facts_has_an_empty_report(tmp_path: Path) -> None:
    assert len(report(project_sources(tmp_path)).splitlines()) == 2
