"""Sanitize Graph's HTML for pages, and turn it into plain text for tickets and CSV. Treats it as untrusted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urlsplit

import nh3

from app.core.bounds import LONGEST_ADDRESS

# The allow-list holds the harmless tags of real texts, and harmless ones like them. div, span and label lose their tags and
# keep their text. docs/facts/microsoft-graph.md#edge-32
TAGS = {"p", "ol", "ul", "li", "b", "strong", "em", "u", "i", "br", "a", "abbr", "code", "pre", "h3", "h4", "table"}
TAGS |= {"thead", "tbody", "tr", "td", "th"}
ATTRIBUTES = {"a": {"href"}, "abbr": {"title"}}
BLOCKS = {"p", "div", "ul", "ol", "table", "tr", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6"}
# Removed with everything inside them.
DROPPED = {"script", "style", "title", "template", "noscript", "iframe", "object"}
# Characters. The longest text in captures has 2,134: docs/facts/microsoft-graph.md#1-4-securescorecontrolprofile
LONGEST_PLAIN = 8000
# Characters that are read at all. What is behind them could not be shown either.
LONGEST_HTML = 65_536
# Words of links that name nothing.
EMPTY_WORDS = frozenset({"learn more", "read more", "click here", "see here", "this link", "this article"})
MISLEADING = re.compile(r"[\\\s\x00-\x1f\x7f]")
# The number or dash before a list item.
ITEM_MARK = re.compile(r"\n *(-|\d+\.) ")


def clean_html(html: str) -> str:
    """The text with allowed tags only. Links open in a new tab and send no referrer."""
    return nh3.clean(
        html[:LONGEST_HTML],
        tags=TAGS,
        clean_content_tags=DROPPED,
        attributes=ATTRIBUTES,
        # Excludes javascript: and data: links. Relative ones would lead into our own pages.
        url_schemes={"http", "https"},
        url_relative="deny",
        attribute_filter=_without_odd_addresses,
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    ).strip()


def _without_odd_addresses(_tag: str, name: str, value: str) -> str | None:
    return None if name == "href" and not is_web_address(value) else value


def _tidy(html: str) -> str:
    """The text with its comments and broken tags removed, which Python's own parser reads again and again.

    https://github.com/python/cpython/issues/135462
    """
    return nh3.clean(
        html[:LONGEST_HTML], tags=TAGS | BLOCKS, clean_content_tags=DROPPED, attributes={"a": {"href"}}, link_rel=None
    )


def plain_text(html: str, longest: int = LONGEST_PLAIN) -> str:
    """Lines of plain text: lists keep their marks, links their address, and entities become characters."""
    reader = _Reader()
    reader.feed(_tidy(html))
    reader.close()
    return cut(reader.text(), longest)


def cut(text: str, longest: int) -> str:
    """At most `longest` characters, the last one an ellipsis where something is missing."""
    return text if len(text) <= longest else text[: max(longest - 1, 0)].rstrip() + "…"


def is_web_address(address: str) -> bool:
    """Whether it may become a link: http or https, with a host, and nothing before it that looks like another one."""
    # Two GitHub controls come with something else: docs/facts/microsoft-graph.md#edge-41
    address = address.strip()
    # A browser reads "\\" as "/", and so finds another host than Python does: https://url.spec.whatwg.org/#authority-state
    if len(address) > LONGEST_ADDRESS or MISLEADING.search(address):
        return False
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


@dataclass(frozen=True)
class Link:
    url: str
    text: str


def links_of(html: str, most: int = 5) -> list[Link]:
    """The first web links of a text, each address once. A link without words is named by its host."""
    reader = _LinkReader()
    reader.feed(_tidy(html))
    reader.close()
    found = {link.url: link for link in reversed(reader.links) if is_web_address(link.url)}
    return list(reversed(found.values()))[:most]


class _LinkReader(HTMLParser):
    """Collects links and their words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[Link] = []
        self._address = ""
        self._words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._finish()
            self._address = (dict(attrs).get("href") or "").strip()

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._finish()

    def handle_data(self, data: str) -> None:
        if self._address:
            self._words.append(data)

    def close(self) -> None:
        super().close()
        self._finish()

    def _finish(self) -> None:
        if self._address:
            words = " ".join("".join(self._words).split())
            # "here" and "Learn more" say nothing in a list of links.
            named = words if len(words.split()) > 1 and words.lower() not in EMPTY_WORDS else ""
            self.links.append(Link(self._address, named or _host_and_path(self._address)))
        self._address, self._words = "", []


def _host_and_path(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    return f"{parts.hostname or ''}{parts.path}".rstrip("/")


class _Reader(HTMLParser):
    """Collects text. Real texts leave tags open, so every end tag may be missing."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._lists: list[int] = []  # The next number of each open list; -1 for one without numbers.
        self._dropping = 0  # How many dropped elements are open.
        self._address = ""
        self._link_start = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in DROPPED:
            self._dropping += 1
        elif tag in ("ul", "ol"):
            self._lists.append(1 if tag == "ol" else -1)
        elif tag == "li":
            self._begin_item()
        elif tag == "br":
            self._parts.append("\n")
        elif tag in BLOCKS:
            # A paragraph that opens a list item stays beside the item's mark.
            self._parts.append("" if self._parts and ITEM_MARK.fullmatch(self._parts[-1]) else "\n\n")
        elif tag == "a":
            self._address = (dict(attrs).get("href") or "").strip()
            self._link_start = len(self._parts)

    def handle_endtag(self, tag: str) -> None:
        if tag in DROPPED:
            self._dropping = max(self._dropping - 1, 0)
        elif tag in ("ul", "ol"):
            if self._lists:
                self._lists.pop()
            self._parts.append("\n" if self._lists else "\n\n")
        elif tag in BLOCKS:
            self._parts.append("\n\n")
        elif tag == "a":
            self._append_address()

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            # HTML shows any run of white space as one space. The texts hold tabs, CR/LF and &nbsp; (U+00A0).
            self._parts.append(re.sub(r"[\s\u00a0]+", " ", data))

    def _begin_item(self) -> None:
        depth, number = len(self._lists), self._lists[-1] if self._lists else -1
        if number > 0:
            self._lists[-1] += 1
        self._parts.append("\n" + "  " * (depth - 1) + (f"{number}. " if number > 0 else "- "))

    def _append_address(self) -> None:
        shown = "".join(self._parts[self._link_start :]).strip()
        if is_web_address(self._address) and self._address not in shown:
            self._parts.append(f" ({self._address})")
        self._address = ""

    def text(self) -> str:
        """Everything read, with tidy spaces and at most one empty line in a row."""
        lines = "".join(self._parts).split("\n")
        tidy = [re.sub(r"(?<=\S) {2,}", " ", line).rstrip() for line in lines]
        tidy = [line if re.match(r" *(-|\d+\.) ", line) else line.strip() for line in tidy]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(tidy)).strip()
