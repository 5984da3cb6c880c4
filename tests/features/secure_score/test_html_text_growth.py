"""Graph's HTML grows in proportion to its length, whatever a parser opens again, and costs no more."""

from __future__ import annotations

import time
from html import escape
from typing import Any

import nh3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.features.secure_score import html_text
from app.features.secure_score.html_text import LONGEST_CLEAN, LONGEST_HTML, clean_html, links_of, plain_text
from app.features.secure_score.sync.parse_graph import profiles_of
from app.features.secure_score.sync.parse_report import ParseReport

FORMATS = ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"]
ALLOWED = sorted(html_text.TAGS | html_text.BLOCKS)
# Real texts leave tags open, and have both quotes, targets and styles:
# docs/facts/microsoft-graph.md#1-4-securescorecontrolprofile
STEP = (
    "<li><p>Open <a href='https://a.example/{0}?x=1&y=2' target=_blank>the <b>portal</b> {0}</a>, then<ul>"
    '<li>choose <strong>Policies</strong> &amp; <em>rules</em><br /><span style="color: red">soon</span></ul>'
    '<p><b style="font-weight: bold">Save</b> <i class=x>it</i>, see <a href="https://b.example/{0}"target="_blank">more</a>'
)
UNIQUE = "".join(f"<b id={number}>" for number in range(800))
BLOCKS_BEHIND = "<p>x" * 4000
HOSTILE = {
    "known": "<p>" + UNIQUE + "<p>x" * 1600,
    "class": "<p>" + "".join(f"<b class='{number}'>" for number in range(300)) + BLOCKS_BEHIND,
    "no attributes": "<p>" + "".join(f"<{name}>" for name in FORMATS) * 4 + BLOCKS_BEHIND,
    "fonts": "<div>" + "".join(f"<font size={number}>" for number in range(500)) + "</div><div>x" * 2000,
    "italic": "<ul><li>" + "".join(f"<i id={number}>" for number in range(500)) + "<li>x" * 4000,
    "many attributes": "<p><b " + "a " * 3000 + ">" + BLOCKS_BEHIND,
    "one long link": "<p><a href='https://a.example/" + "x" * 1900 + "'>" + BLOCKS_BEHIND,
    "a link with signs": '<p><a href="https://a.example/' + "<>" * 900 + '">' + BLOCKS_BEHIND,
    "a link with quotes": "<p><a x='\"' href=\"https://a.example/" + ">" * 1900 + '">' + BLOCKS_BEHIND,
    "links": "<a href=https://a.example>" * 600,
    "links in cells": "<table><td><a href=https://a.example>x" * 400,
    "open tables": ("<p>" + UNIQUE + "<table>x") * 9,
    "tables in tables": "<table><tr><td>" * 1100,
    "bold in tables": "<p><b id=1><table>" * 1000,
    "cells": "<table>" + "".join(f"<td><b id={number}>" for number in range(200)) + "<p>x<tr>" * 1500,
    "behind a comment": "<!--<b x='--><p>" + UNIQUE[:6000] + BLOCKS_BEHIND,
    "behind a text area": "<textarea><b x='</textarea><p>" + UNIQUE[:6000] + BLOCKS_BEHIND,
    "behind a style": "<style><b x=\"</style><p>" + UNIQUE[:6000] + BLOCKS_BEHIND,
    "joined": "<p>" + "".join(f"<b<b> id={number}>" for number in range(300)) + BLOCKS_BEHIND,
    "letter cases": "<P>" + "".join(f"<B\tID={number}>" for number in range(300)) + "<P>x" * 4000,
    "slashes": "<p>" + "".join(f"<b/id={number}>" for number in range(300)) + BLOCKS_BEHIND,
    "ends": "<p>" + UNIQUE[:6000] + "</b>x" * 3000,
    "marks": "<p>" + "<applet><b><i><u>" * 200 + BLOCKS_BEHIND,
    "lists": "<ul><li>" * 3000,
    "spaces": "\u00a0" * 70_000,
    "signs": "&" * 70_000,
} | {f"open {name}": f"<{name}>x" * 20_000 for name in sorted({*ALLOWED, *FORMATS})}  # fmt: skip


class Parsed:
    """What the parser was given and gave."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Parsed:
    found = Parsed()
    real = nh3.clean

    def noted(html: str, **options: Any) -> str:
        clean = real(html, **options)
        found.sizes.append((len(html), len(clean)))
        return clean

    monkeypatch.setattr(nh3, "clean", noted)
    return found


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_text_grows_out_of_proportion(kind: str, parsed: Parsed) -> None:
    """14,293 characters became 9 million, and an export held everything up for a quarter of a minute."""
    html = HOSTILE[kind]
    begun = time.process_time()
    assert len(clean_html(html)) <= LONGEST_CLEAN
    assert len(plain_text(html, 10**9)) <= LONGEST_CLEAN
    assert all(len(link.text) <= LONGEST_CLEAN for link in links_of(html))
    assert time.process_time() - begun < 5
    # Nothing large is made and then cut: the parser's own memory counts too.
    assert all(given <= LONGEST_HTML and made <= 8 * given + html_text.MOST_REOPENED for given, made in parsed.sizes)
    assert len(parsed.sizes) <= 6


QUOTES = st.sampled_from(["'", '"', ""])
VALUES = st.sampled_from(["https://a.example/", "<", ">", "1", "'"])
ODD = [
    "x",
    " ",
    "<p>x",
    "<!--",
    "-->",
    "<textarea>",
    "<style>",
    "</style>",
    "<svg>",
    "<select>",
    "<applet>",
    "<b x='",
    "&",
    "<",
]
PIECES = st.one_of(
    st.sampled_from([f"<{end}{name}>" for name in sorted({*ALLOWED, *FORMATS}) for end in ("", "/")]),
    st.builds(
        "<{} {}={}{}{}>".format, st.sampled_from(FORMATS), st.sampled_from(["id", "href"]), QUOTES, VALUES, QUOTES
    ),
    st.sampled_from(ODD),
)
# Pieces, how often they are repeated, and whether the first tag of each repetition is unlike the others.
RUNS = st.lists(
    st.tuples(st.lists(PIECES, min_size=1, max_size=6), st.integers(1, 3000), st.booleans()), min_size=1, max_size=6
)


def assembled(runs: list[tuple[list[str], int, bool]]) -> str:
    html = ""
    for pieces, times, unique in runs:
        part = "".join(pieces)
        if unique:
            html += "".join(part.replace(">", f" u={number}>", 1) for number in range(times))
        else:
            html += part * times
    return html[: LONGEST_HTML + 10]


@settings(deadline=None)
@given(RUNS)
def test_no_mixture_grows_out_of_proportion(runs: list[tuple[list[str], int, bool]]) -> None:
    html = assembled(runs)
    begun = time.process_time()
    assert len(clean_html(html)) <= min(8 * len(html) + html_text.MOST_REOPENED, LONGEST_CLEAN)
    assert len(plain_text(html, 10**9)) <= LONGEST_CLEAN
    assert time.process_time() - begun < 5
    # What the parser makes of it before anything is cut keeps to what was foreseen.
    html = html[:LONGEST_HTML]
    foreseen = html_text._reopened(html)
    if foreseen <= html_text.MOST_REOPENED:
        assert len(html_text._balance(html)) <= 8 * len(html) + foreseen


@pytest.mark.fact("microsoft-graph 1.4", "microsoft-graph edge-32")
@pytest.mark.parametrize("steps", [1, 6, 50])
def test_real_texts_keep_formatting_and_links_up_to_the_limit(steps: int) -> None:
    html = "<p>Do this:<ol>" + "".join(STEP.format(number) for number in range(steps)) + "</ol>"
    assert len(html) < LONGEST_HTML
    clean = clean_html(html)
    assert clean == html_text._clean(html).strip()
    assert [clean.count(f"<{name}>") for name in ("strong", "em", "i")] == [steps] * 3
    assert (clean.count("<b>"), clean.count('href="https://')) == (2 * steps, 2 * steps)
    assert f"(https://b.example/{steps - 1})" in plain_text(html, 10**9)


def test_a_text_that_would_grow_keeps_its_paragraphs() -> None:
    assert clean_html("<p>One" + UNIQUE + "<p>Two" * 1000).startswith("<p>One</p><p>Two</p><p>Two</p>")
    assert plain_text("<ol><li>One" + UNIQUE + "<li>Two" * 1000, 100).startswith("1. One\n2. Two\n3. Two\n")


def test_what_cannot_be_made_plainer_is_shown_as_text() -> None:
    # Without its inner tag, it would be one.
    html = "<p><b<b> id=1>" + UNIQUE + "<p>x" * 1600
    assert clean_html(html) == escape(html[:LONGEST_HTML], quote=False)
    assert plain_text(html).startswith("<p><b<b> id=1><b id=0>")


def test_the_indent_of_lists_within_lists_ends() -> None:
    lines = plain_text("<ul><li>x" * 15).splitlines()
    indents = [len(line) - len(line.lstrip()) for line in lines if line]
    assert indents == [2 * min(depth, 9) for depth in range(15)]


def test_a_stored_text_is_as_long_as_one_that_is_read() -> None:
    [row] = profiles_of([{"id": "A", "remediation": HOSTILE["known"] * 9}], "tenant", ParseReport())
    assert row.remediation == (HOSTILE["known"] * 9)[:LONGEST_HTML]
