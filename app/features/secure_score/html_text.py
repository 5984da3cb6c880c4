"""Sanitize Graph's HTML for pages, and turn it into plain text for tickets and CSV. Treats it as untrusted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
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
# Characters that are read at all, and stored at an import: seven times the longest text in captures.
LONGEST_HTML = 16_384
# Characters of cleaned HTML. The widest honest text, of no-break spaces alone, grows sixfold.
LONGEST_CLEAN = 8 * LONGEST_HTML
# HTML re-opens every formatting element that is still open in each block that follows it, attributes included, so a text of
# 14,000 characters became 9 million: https://html.spec.whatwg.org/multipage/parsing.html#the-list-of-active-formatting-elements
FORMATTING = "a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u"
OPENING = re.compile(rf"<({FORMATTING})(?=[\s/>])", re.IGNORECASE)
FORMATTING_TAG = re.compile(rf"</?(?:{FORMATTING})(?=[\s/>])[^>]*>?", re.IGNORECASE)
ANY_TAG = re.compile(r"</?[a-z]", re.IGNORECASE)
# The rest of a tag that ends where it seems to: quotes stand around whole values only, and hold no "<" or ">". Any parser that
# begins a tag here ends it at the same place. It never goes back, and never beyond the next "<".
PLAIN_REST = re.compile(
    r"""(?: [ \t\n\r\f/]*+ [^ \t\n\r\f/"'<>=]++
        (?: [ \t\n\r\f]*+ = [ \t\n\r\f]*+ (?: "[^"<>]*+" | '[^'<>]*+' | [^ \t\n\r\f"'<>]++ ) )?+ )*+ [ \t\n\r\f/]*+ >""",
    re.VERBOSE,
)
# A parser re-opens at most three elements of one name and equal attributes:
# https://html.spec.whatwg.org/multipage/parsing.html#push-onto-the-list-of-active-formatting-elements
MOST_ALIKE = 3
# What an element weighs beside the characters of its opening tag: its end tag, what is added to a link, and memory.
ELEMENT_WEIGHT = 50
# Characters that re-opened elements may come to. Steps with links and bold names, LONGEST_HTML of them, come to 1.2 million.
MOST_REOPENED = 2_000_000
# Lists within lists that are still indented further.
DEEPEST_INDENT = 10
# Words of links that name nothing.
EMPTY_WORDS = frozenset({"learn more", "read more", "click here", "see here", "this link", "this article"})
MISLEADING = re.compile(r"[\\\s\x00-\x1f\x7f]")
# The number or dash before a list item.
ITEM_MARK = re.compile(r"\n *(-|\d+\.) ")


def clean_html(html: str) -> str:
    """The text with allowed tags only. Links open in a new tab and send no referrer. At most LONGEST_CLEAN characters."""
    return _bounded(html, _clean).strip()


def _clean(html: str) -> str:
    return nh3.clean(
        html,
        tags=TAGS,
        clean_content_tags=DROPPED,
        attributes=ATTRIBUTES,
        # Excludes javascript: and data: links. Relative ones would lead into our own pages.
        url_schemes={"http", "https"},
        url_relative="deny",
        attribute_filter=_without_odd_addresses,
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


def _without_odd_addresses(_tag: str, name: str, value: str) -> str | None:
    return None if name == "href" and not is_web_address(value) else value


def _tidy(html: str) -> str:
    """The text with its comments and broken tags removed, which Python's own parser reads again and again.

    https://github.com/python/cpython/issues/135462
    """
    return _bounded(html, _balance)


def _balance(html: str) -> str:
    return nh3.clean(
        html,
        tags=TAGS | BLOCKS,
        clean_content_tags=DROPPED,
        attributes={"a": {"href"}},
        attribute_filter=_without_odd_addresses,
        link_rel=None,
    )


def _bounded(html: str, parsed: Callable[[str], str]) -> str:
    """What `parsed` makes of the text, at most LONGEST_CLEAN characters.

    A text that would grow out of proportion loses its formatting and links, and keeps its paragraphs and lists. If that does
    not help, it is shown as it came, with its tags as text.
    """
    html = html[:LONGEST_HTML]
    if _reopened(html) <= MOST_REOPENED and len(found := parsed(html)) <= LONGEST_CLEAN:
        return found
    plainer = FORMATTING_TAG.sub("", html)
    # Removing one tag can join the halves of another.
    if not OPENING.search(plainer) and len(found := parsed(plainer)) <= LONGEST_CLEAN:
        return found
    return escape(html, quote=False)


def _reopened(html: str) -> int:
    """An upper bound, in characters, of the formatting elements that a parser could open again.

    It reads no context: a tag within a comment or a value counts too, so that nothing can be hidden from it.
    """
    alike, weight, longest_link = Counter[str](), 0, 0
    for tag in OPENING.finditer(html):
        rest = PLAIN_REST.match(html, tag.end())
        own = (rest.end() - tag.start() if rest else len(html)) + ELEMENT_WEIGHT
        if tag[1] in ("a", "A"):
            # A link ends the one before it.
            longest_link = max(longest_link, own)
            continue
        if rest:
            alike[tag[0] + rest[0]] += 1
        if not rest or alike[tag[0] + rest[0]] <= MOST_ALIKE:
            weight += own
    return (weight + longest_link) * len(ANY_TAG.findall(html))


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
        self._parts.append("\n" + "  " * (min(depth, DEEPEST_INDENT) - 1) + (f"{number}. " if number > 0 else "- "))

    def _append_address(self) -> None:
        # Nested links are read once: only the innermost still has its address.
        if is_web_address(self._address):
            shown = "".join(self._parts[self._link_start :]).strip()
            if self._address not in shown:
                self._parts.append(f" ({self._address})")
        self._address = ""

    def text(self) -> str:
        """Everything read, with tidy spaces and at most one empty line in a row."""
        lines = "".join(self._parts).split("\n")
        tidy = [re.sub(r"(?<=\S) {2,}", " ", line).rstrip() for line in lines]
        tidy = [line if re.match(r" *(-|\d+\.) ", line) else line.strip() for line in tidy]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(tidy)).strip()
