"""Fills the form of a rendered page with fields that were typed earlier. Works on our own HTML, and sends nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlsplit

# Inputs that are sent by a press or hold what a page must not give back.
NOT_FILLED = frozenset({"password", "file", "submit", "button", "image", "reset"})
TICKED = frozenset({"checkbox", "radio"})
# The largest page of ours, with 1,000 actions, has some 2 MB; anything beyond is shown as it is.
LARGEST_PAGE = 4_000_000
# Where the sentence at the top of the page leads (templates/base.html): a form may stand far below.
FORM_ID = "not-sent"

Attributes = list[tuple[str, str | None]]


def fill_form(html: str, action: str, fields: Sequence[tuple[str, str]]) -> str:
    """The page, with the form that goes to `action` filled. Unknown names are left out; secrets and buttons stay as they are."""
    if len(html) > LARGEST_PAGE:
        return html
    filler = _Filler(html, action, fields)
    filler.feed(html)
    filler.close()
    return filler.result()


def _same_target(one: str, other: str) -> bool:
    first, second = urlsplit(one), urlsplit(other)
    return first.path == second.path and sorted(parse_qsl(first.query)) == sorted(parse_qsl(second.query))


class _Filler(HTMLParser):
    """Notes which pieces of the source are replaced. Fed once, so that positions in `rawdata` are those of the source."""

    def __init__(self, html: str, action: str, fields: Sequence[tuple[str, str]]) -> None:
        super().__init__(convert_charrefs=True)
        self._html, self._action = html, action
        self._values: dict[str, list[str]] = defaultdict(list)
        for name, value in fields:
            self._values[name].append(value)
        self._taken: dict[str, int] = defaultdict(int)
        self._edits: list[tuple[int, int, str]] = []
        self._in_form = self._found = False
        self._select: list[str] | None = None
        self._textarea: tuple[int, str] | None = None
        self._start, self._end = 0, 0

    # The positions of a tag are known in these two alone, and the handlers are called from inside them.
    def parse_starttag(self, i: int) -> int:
        self._start = i
        return super().parse_starttag(i)

    def parse_endtag(self, i: int) -> int:
        self._start = i
        return super().parse_endtag(i)

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        self.handle_starttag(tag, attrs)

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        self._end = self._start + len(self.get_starttag_text() or "")
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._in_form = _same_target(values.get("action", ""), self._action)
            if self._in_form and not self._found and "id" not in values:
                self._replace("form", [*attrs, ("id", FORM_ID)])
            self._found = self._found or self._in_form
        if not self._in_form:
            return
        name = values.get("name", "")
        if tag == "input":
            self._input(name, values, attrs)
        elif tag == "textarea":
            value = self._next(name)
            self._textarea = None if value is None else (self._end, value)
        elif tag == "select":
            self._select = self._values.get(name)
        elif tag == "option" and self._select is not None and "value" in values:
            self._set(attrs, "selected", on=values["value"] in self._select, tag="option")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._in_form = False
        elif tag == "select":
            self._select = None
        elif tag == "textarea" and self._textarea is not None:
            # HTML drops the first line end inside: https://html.spec.whatwg.org/multipage/syntax.html#element-restrictions
            start, value = self._textarea
            self._edits.append((start, self._start, "\n" + escape(value)))
            self._textarea = None

    def _input(self, name: str, values: dict[str, str], attrs: Attributes) -> None:
        kind = values.get("type", "text").lower()
        if kind in NOT_FILLED or not name:
            return
        if kind in TICKED:
            # A box that was not ticked sends nothing; a choice always does, unless the form had none.
            if kind == "checkbox" or name in self._values:
                on = values.get("value", "on") in self._values.get(name, [])
                self._set(attrs, "checked", on=on, tag="input")
            return
        value = self._next(name)
        if value is not None:
            self._replace("input", [(key, old) for key, old in attrs if key != "value"] + [("value", value)])

    def _next(self, name: str) -> str | None:
        """The value for the next field of this name: several of one name are filled in their order."""
        values, number = self._values.get(name, []), self._taken[name]
        self._taken[name] += 1
        return values[number] if number < len(values) else None

    def _set(self, attrs: Attributes, attribute: str, *, on: bool, tag: str) -> None:
        others: Attributes = [(key, value) for key, value in attrs if key != attribute]
        self._replace(tag, [*others, (attribute, None)] if on else others)

    def _replace(self, tag: str, attrs: Attributes) -> None:
        written = "".join(f" {key}" if value is None else f' {key}="{escape(value)}"' for key, value in attrs)
        self._edits.append((self._start, self._end, f"<{tag}{written}>"))

    def result(self) -> str:
        """The source with its replacements."""
        pieces, at = [], 0
        for start, end, text in self._edits:
            pieces += [self._html[at:start], text]
            at = end
        return "".join([*pieces, self._html[at:]])
