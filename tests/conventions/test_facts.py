"""Facts are cited as links that lead somewhere, and tests name facts that exist."""

from __future__ import annotations

from collections import Counter

import pytest

from tools.list_facts import (
    ENTRY,
    FACTS_FOLDER,
    old_citations,
    project_sources,
    read_anchors,
    unknown_markers,
    without_mark_or_source,
    without_target,
    without_test,
)

pytestmark = pytest.mark.thorough

# Texts of a small project; put together here, so that this file itself cites nothing that does not exist.
DOCUMENT = {f"{FACTS_FOLDER}/servicenow.md": '<a id="2-6-error-envelope"></a>\n### 2.6 Error envelope\n'}
SERVICENOW = f"{FACTS_FOLDER}/servicenow.md"
# Entries about what this product does not do: it closes no ticket, uses no import set, and ServiceNow sends it nothing.
NOT_DONE_HERE = {
    "servicenow": ["trap-8", "trap-18", "trap-37"],
    "other-connectors": ["bug-79"],
    "microsoft-graph": [],
}


def test_every_citation_names_a_document_and_an_anchor_that_exist() -> None:
    assert without_target(project_sources()) == []


def test_every_marker_names_a_fact_that_exists() -> None:
    assert unknown_markers(project_sources()) == []


def test_every_list_entry_has_a_test_unless_the_product_does_nothing_of_the_kind() -> None:
    untested = without_test(project_sources())
    entries = {document: [fact for fact in facts if ENTRY.fullmatch(fact)] for document, facts in untested.items()}
    assert entries == NOT_DONE_HERE


def test_no_citation_leads_nowhere_in_an_old_form() -> None:
    assert old_citations(project_sources()) == []


def test_every_statement_says_how_sure_it_is_and_where_it_is_from() -> None:
    assert without_mark_or_source(project_sources()) == []


def test_an_anchor_stands_once_in_its_document() -> None:
    for document, anchors in read_anchors(project_sources()).items():
        doubled = [anchor for anchor, times in Counter(anchors).items() if times > 1]
        assert not doubled, document


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("app/a.py", f"# {SERVICENOW}#2-7-cookies\n"),
        ("app/a.py", f"# {FACTS_FOLDER}/service-now.md#2-6-error-envelope\n"),
        ("app/a.py", f"# Described in {SERVICENOW}.\n"),
        ("docs/security.md", "See [errors](facts/servicenow.md#2-7-cookies).\n"),
        ("docs/decisions/0001.md", "See [errors](../facts/peers.md).\n"),
        (f"{FACTS_FOLDER}/microsoft-graph.md", "See [errors](servicenow.md#2-7-cookies) and [below](#not-there).\n"),
    ],
)
def test_a_citation_without_a_target_is_found(path: str, text: str) -> None:
    assert without_target(DOCUMENT | {path: text})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("app/a.py", f"# {SERVICENOW}#2-6-error-envelope.\n"),
        ("app/a.py", f'TEXT = Path("{SERVICENOW}").read_text()\n'),
        ("docs/security.md", "See [errors](facts/servicenow.md#2-6-error-envelope) and [all](facts/servicenow.md).\n"),
        ("docs/decisions/0001.md", "See [errors](../facts/servicenow.md#2-6-error-envelope).\n"),
        ("docs/security.md", "See [another](reliability.md#not-a-fact).\n"),
    ],
)
def test_a_citation_with_its_target_is_not_complained_of(path: str, text: str) -> None:
    assert without_target(DOCUMENT | {path: text}) == []


@pytest.mark.parametrize("marker", ['"servicenow 2.7"', '"servicenow"', '"elsewhere 2.6"', 'f"servicenow {2}.6"'])
def test_a_marker_without_a_fact_is_found(marker: str) -> None:
    test = f"import pytest\n\n@pytest.mark.fact({marker})\ndef test_it() -> None: ...\n"
    assert unknown_markers(DOCUMENT | {"tests/test_it.py": test})


@pytest.mark.parametrize(
    "text",
    [
        "(facts {}2.6)",
        "facts/servicenow {}4.3",
        "(peers {}55)",
        "number of the fact{} sheet",
        "The Fact {}sheet's",
        "Bug {}74: SSRF",
        "every kind of trap {}8",
    ],
)
def test_an_old_citation_is_found(text: str) -> None:
    assert old_citations({"app/a.py": text.format("")})
