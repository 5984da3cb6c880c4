"""Names are the field's own and mean one thing each; texts in the code use no retired words."""

from __future__ import annotations

import pytest

from tools.code_names import (
    campaign_names,
    forbidden_modules,
    mirroring,
    needless_allowances,
    retired_names,
    retired_words,
    shared_class_names,
    shared_module_names,
)
from tools.code_sources import only, read_sources
from tools.measure_code import ALLOWED_CLASS_NAMES, ALLOWED_MODULE_NAMES, LEAST_MIRRORING, ROOT, all_sources

pytestmark = pytest.mark.thorough

FORBIDDEN_MODULES = frozenset({
    "look", "mend", "deeds", "household", "settle", "pace", "asking", "refused", "follow", "house", "strangers", "storm",
})  # fmt: skip
# Words of pictures that this code base once described itself by. Each is a regular expression for whole words. "Look"
# and "walk" are no entries, because plain English needs them ("look up", "walk the tree").
RETIRED_WORDS = (
    "houses?", "house's", "households?", "floors?", "rooms?", "embass(?:y|ies)", "strangers?", "twins?", "errands?",
    "travell?ers?", "deeds?", "mend(?:s|ed|ing)?", "somebody(?:'s|’s)?", "nobody(?:'s|’s)?", "whoever",
    "wish(?:es)?", "spine", "souls?", "snow", "stand-ins?", "anew", "speaks? against", "without a word",
)  # fmt: skip


def code() -> dict[str, str]:
    return read_sources(ROOT, ["app", "sandbox"])


def documents() -> dict[str, str]:
    """Our own documents, without the facts, which quote others, and without the texts that people read in the product."""
    found = read_sources(ROOT, ["docs", "sandbox"], (".md",))
    found |= {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("*.md")}
    return {
        path: text for path, text in found.items() if path != "docs/findings.md" and not path.startswith("docs/facts/")
    }


def test_no_module_has_a_private_name() -> None:
    assert forbidden_modules(read_sources(ROOT, ["app", "sandbox", "tests"]), FORBIDDEN_MODULES) == []


def test_no_two_modules_of_one_name_mean_different_things() -> None:
    assert shared_module_names(code(), ALLOWED_MODULE_NAMES) == {}


def test_no_two_classes_of_one_name_mean_different_things() -> None:
    assert shared_class_names(code(), ALLOWED_CLASS_NAMES) == {}


def test_no_name_is_allowed_that_only_one_has() -> None:
    assert needless_allowances(ALLOWED_MODULE_NAMES, shared_module_names(code(), ())) == []
    assert needless_allowances(ALLOWED_CLASS_NAMES, shared_class_names(code(), ())) == []


def test_tests_are_named_after_behavior() -> None:
    assert campaign_names(all_sources()) == []


def test_tests_stand_beside_what_they_test() -> None:
    mirrors, others = mirroring(all_sources())
    assert 100 * len(mirrors) >= LEAST_MIRRORING * (len(mirrors) + len(others)), others


def test_docstrings_comments_and_documents_use_no_retired_words() -> None:
    everything = read_sources(ROOT, ["app", "sandbox", "tests", "benchmarks"]) | documents()
    assert retired_words(everything, RETIRED_WORDS) == []


def test_no_name_in_the_code_has_a_retired_word() -> None:
    everything = read_sources(ROOT, ["app", "sandbox", "tests", "benchmarks"])
    assert retired_names(everything, RETIRED_WORDS) == []


@pytest.mark.parametrize("path", ["app/look.py", "tests/test_strangers.py", "tests/house/files.py"])
def test_a_private_module_name_is_found(path: str) -> None:
    assert forbidden_modules({path: "", "app/lookup.py": ""}, FORBIDDEN_MODULES) == [path]


def test_a_module_name_with_two_meanings_is_found() -> None:
    sources = {"app/a/status.py": "", "app/b/status.py": "", "app/a/__init__.py": "", "app/b/__init__.py": ""}
    assert shared_module_names(sources, ()) == {"status": ["app/a/status.py", "app/b/status.py"]}
    assert shared_module_names(sources, ["status"]) == {}


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        ("check_list", "checklist", "checklist"),
        ("finding", "findings", "finding"),
        ("list_steps", "liststep", "liststep"),
    ],
)
def test_module_names_that_differ_by_an_underscore_or_a_plural_are_found(one: str, other: str, named: str) -> None:
    paths = [f"app/a/{one}.py", f"app/b/{other}.py"]
    assert shared_module_names(dict.fromkeys(paths, ""), ()) == {named: paths}
    assert shared_module_names(dict.fromkeys(paths, ""), [named]) == {}


def test_a_class_name_with_two_meanings_is_found() -> None:
    sources = {
        "app/a.py": "class Choice: ...\nclass _Row: ...\n",
        "sandbox/b.py": "class Choice: ...\nclass _Row: ...\n",
    }
    assert shared_class_names(sources, ()) == {"Choice": ["app/a.py", "sandbox/b.py"]}
    assert shared_class_names(sources, ["Choice"]) == {}


def test_a_needless_allowance_is_found() -> None:
    shared = shared_module_names({"app/a/jobs.py": "", "app/b/jobs.py": ""}, ())
    assert needless_allowances(["jobs", "gone"], shared) == ["gone"]


@pytest.mark.parametrize("name", ["test_bug_24_an_answer_is_lost", "test_edge_47", "test_28_29_pages", "test_7"])
def test_a_test_named_by_its_number_is_found(name: str) -> None:
    sources = {"tests/a/test_a.py": f"async def {name}() -> None: ...\ndef test_edges_are_drawn() -> None: ...\n"}
    found = campaign_names(sources)
    assert f"tests/a/test_a.py:1: {name}" in found


def test_a_test_module_named_after_a_campaign_is_found() -> None:
    sources = {"tests/a/test_bugs_paging.py": "", "tests/a/test_edge_import.py": "", "tests/a/test_paging.py": ""}
    assert campaign_names(sources) == ["tests/a/test_bugs_paging.py", "tests/a/test_edge_import.py"]


def test_a_test_module_has_the_name_of_the_module_it_mirrors() -> None:
    sources = {"sandbox/edge_cases.py": "", "tests/sandbox/test_edge_cases.py": "def test_429_pauses() -> None: ...\n"}
    assert campaign_names(sources) == ["tests/sandbox/test_edge_cases.py:1: test_429_pauses"]


@pytest.mark.parametrize(
    "text",
    [
        '"""The House\'s front door."""\n',
        "# Somebody looks at the cards.\nvalue = 1\n",
        'def find() -> None:\n    """Find it.\n\n    Asks a stranger.\n    """\n',
        "value = 1  # mended later\n",
    ],
)
def test_a_retired_word_is_found(text: str) -> None:
    assert len(retired_words({"app/a.py": text}, RETIRED_WORDS)) == 1


def test_a_retired_word_in_a_document_is_found() -> None:
    assert retired_words({"docs/a.md": "# Rooms\n\nNo Wish, whoever asks.\n"}, RETIRED_WORDS) == [
        "docs/a.md:1: Rooms",
        "docs/a.md:3: Wish",
        "docs/a.md:3: whoever",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "house = 1\n",
        "for wish in found:\n    pass\n",
        "class FrontRoom: ...\n",
        "def ask_a_stranger() -> None: ...\n",
        "def ask(snow_url: str) -> None: ...\n",
    ],
)
def test_a_retired_word_in_a_name_is_found(text: str) -> None:
    assert len(retired_names({"app/a.py": text}, RETIRED_WORDS)) == 1


def test_a_name_that_only_contains_a_retired_word_is_left() -> None:
    assert (
        retired_names({"app/a.py": "warehouse = mushroom = fiat.unsealed = 1\nclass Wished: ...\n"}, RETIRED_WORDS)
        == []
    )


def test_texts_for_people_may_use_every_word() -> None:
    assert (
        retired_words({"app/a.py": 'TEXT = T("Held until somebody acts.")\nmender = "household"\n'}, RETIRED_WORDS)
        == []
    )


def test_mirroring_test_modules_are_told_from_others() -> None:
    sources = {
        "app/features/tickets/delivery/deliver.py": "",
        "sandbox/keys.py": "",
        "tests/features/tickets/delivery/test_deliver.py": "",
        "tests/features/tickets/delivery/test_deliver_twice.py": "",
        "tests/features/tickets/delivery/test_delivery.py": "",
        "tests/features/tickets/test_deliver.py": "",
        "tests/sandbox/test_keys.py": "",
        "tests/journeys/test_share.py": "",
        "tests/conftest.py": "",
    }
    mirrors, others = mirroring(sources)
    assert mirrors == [
        "tests/features/tickets/delivery/test_deliver.py",
        "tests/features/tickets/delivery/test_deliver_twice.py",
        "tests/sandbox/test_keys.py",
    ]
    assert others == ["tests/features/tickets/delivery/test_delivery.py", "tests/features/tickets/test_deliver.py"]
    assert only(sources, "sandbox") == {"sandbox/keys.py": ""}
