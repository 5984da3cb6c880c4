"""docs/architecture.md shows the figures of this code, and names only what is there."""

from __future__ import annotations

import re

import pytest

from tools.measure_code import BEGIN, DOCUMENT, END, all_sources, render_document, report

TEXT = DOCUMENT.read_text(encoding="utf-8")
# Places are written from app/ on, or from the feature that a table's row has named already.
SOURCES = all_sources()
PLACES = sorted(set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", TEXT)))


@pytest.mark.thorough
def test_the_figures_are_current() -> None:
    assert render_document(TEXT, report(SOURCES)) == TEXT, "run `make figures`"


def test_the_marks_stand_once_and_in_order() -> None:
    assert (TEXT.count(BEGIN), TEXT.count(END)) == (1, 1)
    assert TEXT.index(BEGIN) < TEXT.index(END)


@pytest.mark.parametrize("place", PLACES)
def test_every_place_that_is_named_is_there(place: str) -> None:
    assert any(path.endswith(place) for path in SOURCES)


def test_places_are_found_in_the_document() -> None:
    assert len(PLACES) > 20


GLOSSARY = (DOCUMENT.parent / "glossary.md").read_text(encoding="utf-8")
# The field's words for which an engineer greps first, by the part that all their forms have in common.
GREPPED = {
    "idempotency": "idempoten",
    "deduplication": "deduplicat",
    "outbox": "outbox",
    "reconcile": "reconcil",
    "retention": "Retention:",
}


@pytest.mark.parametrize("word", GREPPED)
def test_a_word_of_the_field_stands_in_every_file_that_the_glossary_names_for_it(word: str) -> None:
    (row,) = re.findall(rf"^\| {word} \|.*$", GLOSSARY, re.MULTILINE)
    places = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", row)
    assert places
    for place in places:
        (text,) = (text for path, text in SOURCES.items() if path.startswith("app/") and path.endswith(f"/{place}"))
        assert GREPPED[word].lower() in text.lower(), f"{place} does not say {word}"
