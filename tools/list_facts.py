"""List the facts of docs/facts that no test covers (`make facts`). Never judges whether a test covers its fact well.

A fact is an anchor in one of the documents: a numbered section, or an entry of a numbered list (`sandbox-7`, `trap-3`,
`edge-12`, `bug-24`). A test names the facts it covers: `@pytest.mark.fact("servicenow 2.6", "servicenow trap-12")`.
Code and documents cite a fact as a link to its anchor.

A fact consists of statements: list items, table rows and paragraphs. Each says how sure it is, by a mark of its
document's legend, and where it is from.
"""

from __future__ import annotations

import ast
import posixpath
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.code_sources import Sources, only, parse, read_sources

ROOT = Path(__file__).resolve().parents[1]
FACTS_FOLDER = "docs/facts"
# The numbered lists whose entries are facts. Other anchors may be cited, but no test is expected for them.
LISTS = ("sandbox", "trap", "edge", "bug")
# Where citations stand, and in which files.
CITING_FOLDERS = ("app", "sandbox", "tests", "migrations", "docs")
CITING_ENDINGS = (".py", ".md", ".html", ".css", ".js")
# How facts were cited while the documents lay outside the repository.
OLD_FORMS = (
    re.compile(r"\bfacts/[a-z-]+ \d"),
    re.compile(r"(?<![\w/])facts? \d+(?:\.\d+)?\b"),
    re.compile(r"\bpeers \d"),
    re.compile(r"\bfact sheet", re.IGNORECASE),
    re.compile(r"\b(?:bug|edge|trap) \d+", re.IGNORECASE),
)

ANCHOR = re.compile(r"<a id=\"([a-z0-9-]+)\">\s*</a>")
SECTION = re.compile(r"(\d+(?:-\d+)*)-(?=[a-z])")
ENTRY = re.compile(rf"(?:{'|'.join(LISTS)})-\d+")
ANY_ENTRY = re.compile(r"[a-z]+-\d+")
CITATION = re.compile(r"docs/facts/([\w.-]+\.md)(?:#([\w-]*))?")
# A row of the legend that explains a mark: `| [A] | Vendor documentation |`.
LEGEND_ROW = re.compile(r"^\| \**\[(\w+)\]\** \|", re.MULTILINE)
ISSUE = r"[\w./-]*\w#\d+"
LINK_TO_SECTION = r"\]\(#[\w-]+\)"
# What may stand as a source beside a mark: a page, an article, an issue, a short name of a legend, an observation, a
# link to the section that names it, or the plain words that nothing is known.
SOURCE = re.compile(
    rf"\bdocs(?:@\w+)?:|\w\.(?:md|com|co|io|ts)\b|\b(?:KB|PRB)\d|{ISSUE}|{LINK_TO_SECTION}"
    r"|\b(?:issues?|PR|Q&A|Tech Community) \d|[Dd]ocumentation\b"
    r"|\b(?:ANS|KIB|GD|DD|M365|ED|CSDL|CIPP(?:-API)?|MSEC|LENS|G2O|H2|SND|SN docs)\b"
    r"|\b(?:public code|public report|support articles?|captur\w+|instance probe|measure\w*|communit\w+|absence)\b"
    r"|\b(?:inference|inferred|general knowledge|source of|changelog|pages? not on record)\b"
)
# Marks that by their legend name the source themselves, or mean that there is none.
MARKS_WITHOUT_SOURCE = ("U", "L", "run", "src", "doc", "iss", "inf")
STATEMENT_ITEM = re.compile(r"(?:[*-]|\d+\.) ")
TABLE_RULE = re.compile(r"\|[|\s:-]+")
# `**Action flyout** (full page) [H]`
TITLE = re.compile(r"\*\*[^*]+\*\*[^.]{0,20}")
LINK = re.compile(r"\]\(([^)\s]*\.md|)#([\w-]+)\)|\]\(([^)\s]+\.md)\)")

# The anchors of each document in the order of the text; a document's name has no ending: `servicenow`.
Anchors = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, order=True)
class Citation:
    """A link to a document of facts. `anchor` is None where only the file is named."""

    path: str
    line: int
    document: str
    anchor: str | None


@dataclass(frozen=True, order=True)
class Marker:
    """One argument of a `fact` marker in a test; `id` is None where it is not a plain text."""

    path: str
    line: int
    id: str | None


def read_anchors(sources: Sources) -> dict[str, tuple[str, ...]]:
    """The anchors of every document below docs/facts."""
    return {
        PurePosixPath(path).stem: tuple(ANCHOR.findall(text))
        for path, text in sorted(sources.items())
        if posixpath.dirname(path) == FACTS_FOLDER and path.endswith(".md")
    }


def facts_of(anchors: Iterable[str]) -> list[str]:
    """The anchors that are facts. A section is only a heading when it consists of sections or of list entries."""
    every = list(anchors)
    return [
        anchor
        for anchor, following in zip(every, [*every[1:], ""], strict=True)
        if ENTRY.fullmatch(anchor) or (section_number(anchor) and not _is_within(following, anchor))
    ]


def _is_within(following: str, section: str) -> bool:
    """Whether the next anchor in the text is a section of this one, or the first entry of its list."""
    number = section_number(following)
    return (
        ANY_ENTRY.fullmatch(following) is not None
        if number is None
        else number.startswith(f"{section_number(section)}.")
    )


def section_number(anchor: str) -> str | None:
    """`2-6-error-envelope` is section 2.6; an anchor that is no numbered section has no number."""
    found = SECTION.match(anchor)
    return found[1].replace("-", ".") if found else None


def anchor_of(marker_id: str, anchors: Anchors) -> tuple[str, str] | None:
    """Document and anchor that `servicenow 2.6` or `servicenow trap-12` names; None when there is no such fact."""
    document, _, fact = marker_id.partition(" ")
    for anchor in anchors.get(document, ()):
        if fact and fact in (anchor, section_number(anchor)):
            return document, anchor
    return None


def markers(sources: Sources) -> list[Marker]:
    """Every argument of every `pytest.mark.fact(…)` in the tests, wherever it stands."""
    return sorted(
        (
            Marker(path, argument.lineno, _text(argument))
            for path, text in only(sources, "tests").items()
            for call in ast.walk(parse(text))
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("pytest.mark.fact", "mark.fact")
            for argument in call.args
        ),
        key=lambda marker: (marker.path, marker.line, marker.id or ""),
    )


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def citations(sources: Sources) -> list[Citation]:
    """Every citation of a fact: `docs/facts/…` in any text, and links in Markdown that lead there.

    A path alone between quotation marks is a file that code reads, and no citation.
    """
    return sorted(
        (citation for path, text in sources.items() for citation in _citations(path, text)),
        key=lambda citation: (citation.path, citation.line),
    )


def _citations(path: str, text: str) -> Iterator[Citation]:
    for number, line in enumerate(text.splitlines(), 1):
        for found in CITATION.finditer(line):
            quoted = line[: found.start()].endswith(('"', "'")) and line[found.end() :].startswith(('"', "'"))
            if not (quoted and found[2] is None):
                yield Citation(path, number, found[1].removesuffix(".md"), found[2])
        if path.endswith(".md"):
            yield from _links(path, number, line)


def _links(path: str, number: int, line: str) -> Iterator[Citation]:
    """Links relative to the document they stand in; one without a file leads into the same document."""
    for found in LINK.finditer(line):
        name = found[1] or found[3] or posixpath.basename(path)
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
        if posixpath.dirname(target) == FACTS_FOLDER and not name.startswith(FACTS_FOLDER):
            yield Citation(path, number, PurePosixPath(target).stem, found[2])


def without_target(sources: Sources) -> list[str]:
    """Citations whose document or anchor does not exist; in Python files, also those that name no anchor."""
    anchors = read_anchors(sources)
    return [
        f"{each.path}:{each.line}: {FACTS_FOLDER}/{each.document}.md#{each.anchor or ''}"
        for each in citations(sources)
        if each.document not in anchors
        or (each.anchor not in anchors[each.document] if each.anchor is not None else each.path.endswith(".py"))
    ]


def unknown_markers(sources: Sources) -> list[str]:
    """Markers whose fact does not exist, or whose argument is not a plain text and so cannot be looked up."""
    anchors = read_anchors(sources)
    return [
        f"{each.path}:{each.line}: {each.id or 'not a plain text'}"
        for each in markers(sources)
        if each.id is None or anchor_of(each.id, anchors) is None
    ]


def old_citations(sources: Sources) -> list[str]:
    """Citations in a form that leads nowhere, such as a bare section number."""
    return [
        f"{path}:{number}: {found.group()}"
        for path, text in sorted(sources.items())
        for number, line in enumerate(text.splitlines(), 1)
        for form in OLD_FORMS
        for found in form.finditer(line)
    ]


@dataclass(frozen=True)
class Block:
    """A list item with all it contains, a table row, or a paragraph. `anchor` is the section or list entry it is in."""

    kind: Literal["item", "row", "paragraph"]
    line: int
    text: str
    anchor: str


def blocks(text: str) -> list[Block]:
    """The blocks of a document in order. Headings, rulers, and code between paragraphs are none."""
    found: list[Block] = []
    anchor, in_code, before = "", False, ""
    for number, line in enumerate(text.splitlines(), 1):
        anchor = ANCHOR.findall(line)[-1] if ANCHOR.search(line) else anchor
        kind = _kind(line)
        if line.startswith("```") or in_code:
            in_code = in_code != line.startswith("```")
        elif kind != "none" and not (kind == before == "paragraph"):
            found.append(Block(kind, number, line, anchor))
        elif (kind == "paragraph" or line.startswith(" ")) and found:
            found[-1] = replace(found[-1], text=f"{found[-1].text}\n{line}")
        before = kind
    return found


def _kind(line: str) -> Literal["item", "row", "paragraph", "none"]:
    if line.startswith(("#", "---", "```", " ")) or not line or ANCHOR.fullmatch(line):
        return "none"
    if line.startswith("|"):
        return "row"
    return "item" if STATEMENT_ITEM.match(line) else "paragraph"


def without_mark_or_source(sources: Sources) -> list[str]:
    """Statements that do not say how sure they are, or where they are from.

    A mark stands in the statement itself; for a row, in one of its cells or in the text directly before or after the
    table. A source may also be named once in a paragraph of the section, ahead of its list.
    """
    return [
        f"{path}:{block.line}: no {missing}: {block.text[:60]}"
        for path, text in sorted(sources.items())
        if posixpath.dirname(path) == FACTS_FOLDER and path.endswith(".md")
        for block, missing in _incomplete(text)
    ]


def _incomplete(text: str) -> Iterator[tuple[Block, str]]:
    marks = LEGEND_ROW.findall(text)
    every = blocks(text)
    facts = {*facts_of(ANCHOR.findall(text)), *(found for found in ANCHOR.findall(text) if ANY_ENTRY.fullmatch(found))}
    for place, block in enumerate(every):
        if block.anchor in facts and not _is_lead_in(block, every[place + 1 : place + 2]):
            support = block.text + (_around_table(every, place) if block.kind == "row" else "")
            found = _marks_in(support, marks)
            if not found:
                yield block, "mark"
            elif not (found & {*MARKS_WITHOUT_SOURCE} or SOURCE.search(support + _section_source(every, block.anchor))):
                yield block, "source"


def _is_lead_in(block: Block, following: list[Block]) -> bool:
    """Whether the block states nothing itself: a title, words that introduce what follows, or the head of a table."""
    if block.kind == "row":
        return any(TABLE_RULE.fullmatch(each.text) for each in (block, *following))
    return block.kind == "paragraph" and (block.text.endswith(":") or TITLE.fullmatch(block.text) is not None)


def _marks_in(text: str, marks: list[str]) -> set[str]:
    """`[A/B]`, `[A docs; C inference]`, `**[run]**`, a cell `| H |`, or a link to the section where the marks stand."""
    bracketed = " ".join(re.findall(r"\[([^\]]*)\](?!\()", text))
    found = {
        mark for mark in marks if re.search(rf"\b{mark}\b", bracketed) or re.search(rf"\| {mark}(?:/\w)? \|", text)
    }
    if "iss" in marks and re.search(ISSUE, text):
        found.add("iss")
    return found or ({"link"} if re.search(LINK_TO_SECTION, text) else set())


def _around_table(every: list[Block], place: int) -> str:
    """The blocks directly before and after the table that a row belongs to."""
    start = next((at for at in range(place, -1, -1) if every[at].kind != "row"), None)
    end = next((at for at in range(place, len(every)) if every[at].kind != "row"), None)
    return " ".join(every[at].text for at in (start, end) if at is not None and every[at].anchor == every[place].anchor)


def _section_source(every: list[Block], anchor: str) -> str:
    """The paragraphs with which the section begins."""
    section = (block for block in every if block.anchor == anchor)
    return " ".join(block.text for block in takewhile(lambda block: block.kind == "paragraph", section))


def without_test(sources: Sources) -> dict[str, list[str]]:
    """The anchors of the facts that no marker names, by document."""
    anchors = read_anchors(sources)
    tested = {anchor_of(each.id, anchors) for each in markers(sources) if each.id}
    return {
        document: [fact for fact in facts_of(found) if (document, fact) not in tested]
        for document, found in anchors.items()
    }


def report(sources: Sources) -> str:
    """The facts without a test, by document, each with the files that cite it; above them, a table of counts."""
    anchors, untested = read_anchors(sources), without_test(sources)
    cited: dict[tuple[str, str | None], set[str]] = {}
    for each in citations(only(sources, "app", "sandbox", "tests")):
        cited.setdefault((each.document, each.anchor), set()).add(each.path)
    table = ["| document | facts | with a test | cited in code |", "|---|---:|---:|---:|"]
    lists: list[str] = []
    for document in anchors:
        facts = facts_of(anchors[document])
        missing = untested[document]
        in_code = sum((document, fact) in cited for fact in facts)
        table.append(f"| {document} | {len(facts)} | {len(facts) - len(missing)} | {in_code} |")
        lists += ["", f"{document}: {len(missing)} facts without a test"]
        for fact in missing:
            files = ", ".join(sorted(cited.get((document, fact), ())))
            lists.append(f"  {fact}" + (f"  (cited in {files})" if files else ""))
    return "\n".join(table + lists)


def project_sources(root: Path = ROOT) -> dict[str, str]:
    """Every file that may cite a fact, and the documents themselves."""
    at_the_top = {path.name: path.read_text(encoding="utf-8") for path in sorted(root.glob("*.md"))}
    return at_the_top | read_sources(root, CITING_FOLDERS, CITING_ENDINGS)


if __name__ == "__main__":
    print(report(project_sources()))
