"""Every page that a link leads to: it opens for everyone who sees the link, is well formed, keeps secrets, and asks little."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from tests.factories.crawl import Lived, Walk, lived_in
from tests.factories.database import fresh_database
from tests.factories.microsoft import SandboxMicrosoft
from tests.factories.servicenow import SandboxServiceNow

pytestmark = pytest.mark.thorough

ROLES = ("manager", "sharer", "viewer")
# Who is asking costs one statement, the page the rest; a page that needs more is made of queries in a loop.
MOST_STATEMENTS = 13
# Pages that ask ServiceNow: one call costs the slot, the budget, the token and the call log besides.
ASKING_PAGES = ("/servicenow/settings/fields/",)
CALL_STATEMENTS = 8
VOID = {"input", "img", "br", "hr", "meta", "link", "source", "wbr", "col", "use"}


@pytest.fixture(scope="module")
def lived(postgres: str, sandbox: tuple[SandboxMicrosoft, SandboxServiceNow]) -> Iterator[Lived]:
    """One life for all tests here: they only look."""
    with fresh_database(postgres) as url, lived_in(url, sandbox) as life:
        yield life


@pytest.fixture(params=ROLES)
def walked(request: pytest.FixtureRequest, lived: Lived) -> Walk:
    """The walk of each role."""
    return lived.walks[request.param]


def test_every_link_opens_for_those_who_see_it(walked: Walk) -> None:
    broken = {
        f"{address} (from {walked.came_from.get(address)})": answer.status_code
        for address, answer in walked.pages.items()
        if answer.status_code >= 400
    }
    assert not broken


def test_the_crawl_reaches_every_area(walked: Walk) -> None:
    for address in ("/", "/secure-score", "/secure-score/actions", "/tickets"):
        assert address in walked.pages
    assert any(address.startswith("/secure-score/actions/") for address in walked.pages)
    assert sum(address.startswith("/tickets/") for address in walked.pages) >= 3
    assert any(address.startswith("/tickets/new?") for address in walked.pages) == (walked.role != "viewer")
    assert ("/servicenow" in walked.pages) == (walked.role == "manager")


def test_every_form_goes_to_a_page_of_ours(walked: Walk) -> None:
    target = re.compile(r"<(?:form|button|input)\b[^>]*?\b(?:form)?action=\"([^\"]*)\"")
    targets = {goal for text in walked.html().values() for goal in target.findall(text)}
    assert targets
    assert not [goal for goal in targets if not re.match(r"/(?![/\\])", goal)]


def test_no_answer_gives_a_secret_away(lived: Lived) -> None:
    told = [
        f"{what} in {address} for {walk.role}"
        for walk in lived.walks.values()
        for address, answer in walk.pages.items()
        for what, secret in lived.secrets.items()
        if secret in answer.text or any(secret in value for value in answer.headers.values())
    ]
    assert not told


def test_no_page_asks_the_database_again_and_again(walked: Walk) -> None:
    costly = {address: count for address, count in walked.statements.items() if count > _most_statements(address)}
    assert not costly


def _most_statements(address: str) -> int:
    return MOST_STATEMENTS + (CALL_STATEMENTS if address.startswith(ASKING_PAGES) else 0)


def test_pages_of_one_kind_cost_the_same_with_any_content(lived: Lived) -> None:
    walk = lived.walks["manager"]
    actions = {count for address, count in walk.statements.items() if address.startswith("/secure-score/actions/")}
    assert max(actions) - min(actions) <= 2, walk.statements


class Shape(HTMLParser):
    """What a person with a screen reader depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.tags = Counter[str]()
        self.ids = Counter[str]()
        self.labelled: set[str] = set()
        self.fields: list[dict[str, str]] = []
        self.problems: list[str] = []
        self.titles: list[str] = []
        self._open: list[str] = []
        self._names: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        if "id" in values:
            self.ids[values["id"]] += 1
        if tag == "label" and values.get("for"):
            self.labelled.add(values["for"])
        if tag in {"input", "select", "textarea"} and values.get("type") not in {"hidden", "submit"}:
            self.fields.append({**values, "tag": tag, "in_label": "yes" if "label" in self._open else ""})
        if tag == "img" and "alt" not in values:
            self.problems.append(f"a picture without alt: {values.get('src')}")
        if tag == "html" and not values.get("lang"):
            self.problems.append("no language")
        if tag in {"a", "button", "summary"}:
            self._names.append([values.get("aria-label", "") + values.get("title", "")])
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open and self._open.pop() != tag:
                pass
        if tag in {"a", "button", "summary"} and self._names and not "".join(self._names.pop()).strip():
            self.problems.append(f"a nameless {tag}")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self.titles.append(data.strip())
        for name in self._names:
            name.append(data)


def problems_of(html: str) -> list[str]:
    """What is wrong with the shape of a whole page."""
    shape = Shape()
    shape.feed(html)
    found = list(shape.problems)
    found += [
        f"{shape.tags[tag]} × {tag}" for tag in ("h1", "main", "title") if shape.tags[tag] != 1 and tag != "title"
    ]
    found += [f"the id {name} twice" for name, count in shape.ids.items() if count > 1]
    if not shape.titles or shape.titles[0].startswith("–"):
        found.append("no title")
    for one in shape.fields:
        named = (
            one["in_label"] or one.get("aria-label") or one.get("aria-labelledby") or one.get("id") in shape.labelled
        )
        if not named:
            found.append(f"a {one['tag']} without a label: {one.get('name')}")
    return found


def test_every_page_has_one_heading_one_main_and_names_for_everything(walked: Walk) -> None:
    found = {address: problems_of(html) for address, html in walked.html().items()}
    assert len(found) > 10
    assert not {address: problems for address, problems in found.items() if problems}


def test_the_check_of_shapes_sees_what_is_wrong() -> None:
    bad = '<html><title> – x</title><main><h1>a</h1><h1>b</h1><img src="x"><input name="q" id="q"><a href="/"></a></main></html>'
    assert set(problems_of(bad)) >= {
        "no language", "a picture without alt: x", "2 × h1", "no title", "a input without a label: q", "a nameless a",
    }  # fmt: skip
    good = (
        '<html lang="en"><title>Home – x</title><main><h1>a</h1><label for="q">Q</label><input id="q">'
        '<label><input type="checkbox"> Also</label><a href="/">Home</a><button aria-label="Close"></button></main></html>'
    )
    assert problems_of(good) == []
