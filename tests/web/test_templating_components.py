"""The components alone: called with and without a block, with odd values."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.accounts.permissions import Role, Viewer
from app.web.templating import Frame, environment

ADELE = Viewer(uuid4(), "", "", "Adele <b>Vance</b>", "adele@contoso.example", Role.MANAGER)


def module(name: str) -> Any:
    return environment.get_template(f"components/{name}.html").module


def page(source: str, path: str = "/", viewer: Viewer = ADELE) -> str:
    frame = Frame(viewer=viewer, path=path, locale="en")
    return environment.from_string(source).render(frame=frame, page=None)


@pytest.mark.parametrize("kind", ["info", "success", "warning", "error"])
def test_a_message_bar_needs_no_block(kind: str) -> None:
    html = str(module("message_bar").message_bar(kind, "It <works>"))
    assert f"message-{kind}" in html
    assert "It &lt;works&gt;" in html


def test_a_message_bar_shows_its_block() -> None:
    html = page(
        '{% from "components/message_bar.html" import message_bar %}'
        '{% call message_bar("error", "No") %}<p>more</p>{% endcall %}'
    )
    assert "<p>more</p>" in html
    assert 'role="alert"' in html


def test_empty_and_page_header_need_no_block() -> None:
    assert "empty-actions" not in str(module("empty").empty("home", "Nothing", "Yet"))
    assert "commands" not in str(module("page_header").page_header("Title"))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "Home"),
        ("/secure-score", "Secure Score"),
        ("/secure-score/history", "Secure Score"),
        ("/secure-score/actions", "Improvement actions"),
        ("/secure-score/actions/aad_mfa", "Improvement actions"),
        ("/tickets/new", "Tickets"),
        ("/servicenow/settings", "ServiceNow"),
        ("/ticketProvisioning", "ServiceNow"),
        ("/ticketsomething", None),
    ],
)
def test_the_navigation_marks_where_one_is(path: str, name: str | None) -> None:
    html = page('{% include "_navigation.html" %}', path)
    marked = re.findall(r'aria-current="page".*?<span>(.*?)</span>', html)
    assert marked == ([name] if name else [])


def test_names_of_people_are_escaped_in_the_frame() -> None:
    html = page('{% extends "base.html" %}')
    assert "<b>Vance" not in html
    assert "Adele &lt;b&gt;Vance" in html


@given(
    counts=st.lists(st.integers(min_value=0, max_value=10_000), min_size=1, max_size=6),
)
def test_a_state_bar_is_filled_exactly(counts: list[int]) -> None:
    groups = ["new", "progress", "waiting", "done", "canceled", "unknown"]
    parts = [(groups[at], f"State {at}", count) for at, count in enumerate(counts)]
    html = str(module("state_bar").state_bar("Tickets", parts))
    rectangles = [(int(x), int(width)) for x, width in re.findall(r'x="(\d+)" y="0" width="(\d+)"', html)]
    assert [width for _, width in rectangles] == [count for count in counts if count]
    assert all(left[0] + left[1] == right[0] for left, right in pairwise(rectangles))
    assert html.count("<li>") == len(rectangles)


def test_a_state_bar_says_large_counts_as_the_lists_do() -> None:
    html = str(module("state_bar").state_bar("Tickets", [("new", "New", 12_345), ("done", "Closed", 7)]))
    assert re.findall(r"<strong>(.*?)</strong>", html) == ["12,345", "7"]
    assert 'width="12345"' in html


@pytest.mark.parametrize("percent", [None, 0.0, 56.42, 100.0, 104.0])
def test_a_ring_says_its_number_in_words(percent: float | None) -> None:
    html = str(module("ring").ring("Secure Score", percent))
    label = re.search(r'aria-label="([^"]*)"', html)
    assert label is not None
    assert label[1].startswith("Secure Score: ")
    dashes = re.findall(r'stroke-dasharray="([\d.]+) 100"', html)
    assert [float(dash) for dash in dashes] == ([min(percent, 100.0)] if percent else [])


@given(
    title=st.text(max_size=30),
    values=st.lists(st.none() | st.floats(min_value=-1e6, max_value=1e6, allow_nan=False), min_size=1, max_size=5),
)
def test_a_plot_carries_its_numbers_twice(title: str, values: list[float | None]) -> None:
    days = [f"2026-11-{day:02}" for day in range(1, len(values) + 1)]
    html = str(module("plot").plot("p", title, days, values))
    found = re.search(r'<script type="application/json" id="p-data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert data["series"] == [{"name": title, "values": values}]
    assert data["labels"] == days
    assert html.count('<th scope="row">') == len(values)


@given(hint=st.sampled_from(["", "Helps"]), error=st.sampled_from(["", "Wrong"]))
def test_a_field_is_tied_to_its_label_hint_and_error(hint: str, error: str) -> None:
    html = str(module("field").text_field("status", "Status", "x", hint=hint, error=error, required=True))
    assert '<label for="field-status">' in html
    assert 'id="field-status" name="status" required' in html
    described = re.search(r'aria-describedby="([^"]*)"', html)
    ids = set(re.findall(r'<p [^>]*id="([^"]*)"', html))
    assert set(described[1].split() if described else []) == ids
    assert len(ids) == bool(hint) + bool(error)
    assert ('aria-invalid="true"' in html) == bool(error)


def test_the_first_wrong_field_takes_the_focus() -> None:
    assert " autofocus" in str(module("field").text_field("name", "Name", error="Wrong"))
    assert " autofocus" not in str(module("field").text_field("name", "Name", hint="Helps"))


def test_a_plot_of_percentages_says_so_on_its_axis_and_in_its_table() -> None:
    html = str(module("plot").plot("p", "Score", ["2026-11-01"], [49.1], unit="%"))
    assert '"unit": "%"' in html
    assert ">49.1%</td>" in html
    assert '"unit": ""' in str(module("plot").plot("p", "Points", ["2026-11-01"], [4.0]))
