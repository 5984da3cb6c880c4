"""Every template compiles, uses `page` and `frame` alone, and says nothing that cannot be translated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import meta, nodes

from app.web.templating import environment
from sandbox.page_rendering import _environment as sandbox_environment
from tests.conventions.files import ROOT, files_with, named

pytestmark = pytest.mark.thorough

PRODUCT = files_with(".html", under="templates")
SANDBOX = files_with(".html", under="sandbox/templates")
GETTEXT = {"_", "gettext", "ngettext", "pgettext", "npgettext"}
# What a screen reader or a tooltip says is text as well.
SPOKEN = {
    "alt",
    "title",
    "aria-label",
    "aria-description",
    "aria-roledescription",
    "placeholder",
    "data-confirm",
    "data-copied",
}
UNSPOKEN = {"script", "style", "code", "kbd"}
# The same in every language.
UNTRANSLATED = {"UTC", "Microsoft", "ServiceNow", "Kelvin"}
JINJA = re.compile(r"\{#.*?#\}|\{%-?\s*trans\b.*?endtrans\s*-?%\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
WORD = re.compile(r"[^\W\d_]{2,}")


class _Spoken(HTMLParser):
    """Collects what a person reads or hears."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in UNSPOKEN:
            self._silent.append(tag)
        self.found += [value or "" for name, value in attrs if name in SPOKEN]

    def handle_endtag(self, tag: str) -> None:
        if self._silent and self._silent[-1] == tag:
            self._silent.pop()

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.found.append(data)


def bare_words(source: str) -> list[str]:
    """Words of the template itself that no translator will ever see."""
    spoken = _Spoken()
    spoken.feed(JINJA.sub("", source))
    # A macro may give attributes, which look like text where they stand alone.
    words = {word for text in spoken.found if '="' not in text for word in WORD.findall(text)}
    return sorted(words - UNTRANSLATED)


def bare_sentences(source: str) -> list[str]:
    """Texts for people inside expressions (macro arguments and the like) that are not handed to gettext."""
    tree = environment.parse(source)
    return [value for value in _constants(tree) if re.match(r"[A-Z][a-z]+", value) and value not in UNTRANSLATED]


def _given(path: Path) -> set[str]:
    """The names a template takes or sets itself, which Jinja's own list counts as missing inside blocks and loops."""
    tree = environment.parse(path.read_text(encoding="utf-8"))
    imported = {
        name if isinstance(name, str) else name[1] for one in tree.find_all(nodes.FromImport) for name in one.names
    }
    macros = {macro.name for macro in tree.find_all(nodes.Macro)}
    return imported | macros | {name.name for name in tree.find_all(nodes.Name) if name.ctx in ("store", "param")}


def _includers(path: Path) -> list[Path]:
    """The templates that include a partial: it sees their imports."""
    wanted = f'include "{path.relative_to(ROOT / "templates").as_posix()}"'
    return (
        [other for other in PRODUCT if wanted in other.read_text(encoding="utf-8")] if path.name.startswith("_") else []
    )


def _constants(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in GETTEXT:
        for argument in node.kwargs:
            yield from _constants(argument.value)
        return
    if isinstance(node, nodes.Pair):  # A dictionary's keys are looked up, and never shown.
        yield from _constants(node.value)
        return
    if isinstance(node, (nodes.Compare, nodes.Getitem, nodes.Test)):
        return
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value
    for child in node.iter_child_nodes():
        yield from _constants(child)


@pytest.mark.parametrize("path", PRODUCT, ids=named)
def test_template_compiles_and_uses_page_and_frame_alone(path: Path) -> None:
    name = path.relative_to(ROOT / "templates").as_posix()
    environment.get_template(name)
    asked = meta.find_undeclared_variables(environment.parse(path.read_text(encoding="utf-8")))
    known = {"page", "frame", *environment.globals, *GETTEXT}.union(*map(_given, [path, *_includers(path)]))
    assert asked <= known, f"{name} uses {asked - known}"


@pytest.mark.parametrize("path", SANDBOX, ids=named)
def test_the_sandboxs_templates_compile(path: Path) -> None:
    sandbox_environment.get_template(path.name)


@pytest.mark.parametrize("path", PRODUCT, ids=named)
def test_every_text_can_be_translated(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not bare_words(source), 'put these into _("…")'
    assert not bare_sentences(source), 'hand these to _("…")'


def test_the_check_sees_bare_text() -> None:
    assert bare_words("<p>Hello {{ page.name }}</p>") == ["Hello"]
    assert bare_words('<img alt="A picture">') == ["picture"]
    assert bare_words('<p>{{ _("Hello") }} – {% trans %}Sent{% endtrans %}</p><code>sys_id</code>') == []
    assert bare_sentences('{{ empty("info", "Nothing here", _("Wait")) }}') == ["Nothing here"]
    assert bare_sentences('{{ _("Hello %(name)s", name=page.name) }}{{ icon("home") }}') == []


@pytest.mark.parametrize("path", PRODUCT, ids=named)
def test_no_script_or_style_stands_in_a_template(path: Path) -> None:
    """The content security policy would refuse it; data for scripts has a type of its own."""
    source = path.read_text(encoding="utf-8")
    scripts = re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", source)
    assert not scripts
    assert not re.findall(r"<style\b|\sstyle=|\son[a-z]+=", source)
