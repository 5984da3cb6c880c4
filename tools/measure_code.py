"""Measure the code base and print the figures of docs/architecture.md as Markdown tables. Changes no code.

`--write` puts the tables into the document (`make figures`), `--check` exits with 1 when a figure whose goal is 0 is not 0,
`--walk deliver` draws a journey hop by hop, and `--files` names the files that each recipe touches. Needs only Python.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.code_journeys import drawn, walk
from tools.code_messages import message_comparisons
from tools.code_names import mirroring, shared_class_names, shared_module_names
from tools.code_size import COMPLEX, Spread, comments_per_hundred, complexity, file_lines, function_lines, functions
from tools.code_sources import Sources, only, read_sources
from tools.code_types import Program
from tools.list_facts import citations, project_sources, without_target

ROOT = Path(__file__).resolve().parents[1]

# --- What the measurements know of this code base. Change these tables when modules move or are renamed. -----------

# Names that several modules may have, each with the reason why a reader is not misled.
ALLOWED_MODULE_NAMES: Mapping[str, str] = {
    "models": "the tables of a feature",
    "jobs": "the queue's tasks of a feature, and the queue itself in core",
    "errors": "the product's error tree, and its branch for remote calls",
    "audit": "the page has the name of what it shows",
    "checklist": "the page has the name of what it shows",
    "diagnosis": "the page has the name of what it shows",
    "share": "the page has the name of what it does",
    "sign_in": "the page has the name of what it does",
    "entra": "the sandbox plays the other side of the same thing",
    "graph": "the sandbox plays the other side of the same thing",
    "schemas": "the typed answers of the one integration and of the other",
}
# The same for public classes.
ALLOWED_CLASS_NAMES: Mapping[str, str] = {}

# Neither entered nor counted on a journey: they know nothing of the product, or only hold data. Beginnings and ends of
# paths.
UTILITIES = ("app/core/", "app/settings.py", "app/resources.py", "app/integrations/http/http_types.py", "/models.py")
# Each journey starts at `module:function` or `module:Class.method`.
JOURNEYS: Mapping[str, str] = {
    "deliver": "app.features.tickets.delivery.deliver:deliver",
    "poll": "app.features.tickets.polling.poll:poll_states",
    "finish-connect": "app.features.connection.authorize:finish_connect",
}
MOST_RETURNS = 8

# What would be added, and how an existing one is written in code and templates (a regular expression). Every file
# that mentions the existing one has to be changed for a new one.
RECIPES: Mapping[str, str] = {
    # Where a field's label and its column stand. What existing fields do besides, such as the due date, which is proposed by
    # priority, chosen in bulk and a column of the list, is not needed for a new one.
    "add a ticket field": r"\bRecommendation source\b|(?s:\bclass Ticket\(.*?\bsource: Mapped)",
    "add a column of the actions list": r"\bopportunity\b",
    "add a role": r"\bsharer_roles\b|\bRole\.SHARER\b",
    "add a home card": r"[\"']review[\"']",
}
MOST_FILES = 3
RECIPE_FOLDERS = ("app", "templates")

# -------------------------------------------------------------------------------------------------------------------

MEASURED = ("app", "sandbox")
DOCUMENT = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
LEAST_COMMENTS = 3
LEAST_MIRRORING = 85


@dataclass(frozen=True)
class Faults:
    """What has to be nowhere: each name with the places where it was found."""

    places: Mapping[str, Sequence[str]]

    def lines(self) -> list[str]:
        """One line for each fault."""
        return [f"{name}: {place}" for name, found in self.places.items() for place in found]


def find_faults(sources: Sources) -> Faults:
    """Every figure whose goal is 0."""
    code = only(sources, *MEASURED)
    program = Program(only(sources, "app"))
    return Faults(
        {
            "citations without a target": without_target(sources),
            "comparisons of messages": message_comparisons(only(sources, "app")),
            "modules of one name": _shared(shared_module_names(code, ALLOWED_MODULE_NAMES)),
            "classes of one name": _shared(shared_class_names(code, ALLOWED_CLASS_NAMES)),
            "journeys whose entry does not exist": [
                f"{name} ({entry})" for name, entry in JOURNEYS.items() if program.function(entry) is None
            ],
            "recipes whose example does not exist": [
                f"{recipe} ({example})" for recipe, example in RECIPES.items() if not touched(sources, example)
            ],
        }
    )


def _shared(names: Mapping[str, list[str]]) -> list[str]:
    return [f"{name} ({', '.join(paths)})" for name, paths in names.items()]


def touched(sources: Sources, example: str) -> list[str]:
    """The files of the product and its templates that mention an existing example."""
    folders = tuple(f"{folder}/" for folder in RECIPE_FOLDERS)
    pattern = re.compile(example)
    return sorted(path for path, text in sources.items() if path.startswith(folders) and pattern.search(text))


def report(sources: Sources) -> str:
    """All tables."""
    return "\n\n".join((_sizes(sources), _zeros(sources), _tests(sources), _recipes(sources), _journeys(sources)))


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", r"\|") for cell in line) + " |" for line in lines)


def _sizes(sources: Sources) -> str:
    columns = [_column(only(sources, folder)) for folder in MEASURED]
    rows = [[name, *(column[name] for column in columns), _GOALS.get(name, "")] for name in columns[0]]
    return _table(["measure", *(f"`{folder}/`" for folder in MEASURED), "goal"], rows)


_COMMENTS = "comment lines per 100 code lines"
_GOALS = {_COMMENTS: f"≥ {LEAST_COMMENTS} in `app/`"}


def _column(sources: Sources) -> dict[str, str]:
    every = list(functions(sources))
    files = Spread.of(file_lines(sources))
    lengths = Spread.of([function_lines(function) for function in every])
    branches = Spread.of([complexity(function) for function in every])
    return {
        "files": f"{files.count}",
        "file lines: median / p90 / max": f"{files.middle:.0f} / {files.p90:.0f} / {files.largest:.0f}",
        "functions": f"{lengths.count}",
        "function lines: median / p90 / max": f"{lengths.middle:.0f} / {lengths.p90:.0f} / {lengths.largest:.0f}",
        "complexity: mean / p90 / max": f"{branches.average:.1f} / {branches.p90:.0f} / {branches.largest:.0f}",
        f"functions with a complexity above {COMPLEX}": f"{sum(complexity(each) > COMPLEX for each in every)}",
        _COMMENTS: f"{comments_per_hundred(sources):.1f}",
        "citations of facts": f"{len(citations(sources))}",
    }


def _zeros(sources: Sources) -> str:
    rows = [[name, len(found), 0] for name, found in find_faults(sources).places.items()]
    return _table(["has to be nowhere", "found", "goal"], rows)


def _tests(sources: Sources) -> str:
    mirrors, others = mirroring(sources)
    every = len(mirrors) + len(others)
    share = 100 * len(mirrors) / every if every else 0.0
    row = ["test modules that mirror a module", f"{len(mirrors)} of {every} ({share:.0f} %)", f"≥ {LEAST_MIRRORING} %"]
    return _table(["tests", "found", "goal"], [row])


def _recipes(sources: Sources) -> str:
    rows = [
        [recipe, f"`{example}`", len(touched(sources, example)), f"≤ {MOST_FILES}"]
        for recipe, example in RECIPES.items()
    ]
    return _table(["recipe", "counted by", "files", "goal"], rows)


def _journeys(sources: Sources) -> str:
    program = Program(only(sources, "app"))
    rows: list[list[object]] = []
    for name, entry in JOURNEYS.items():
        journey = walk(program, entry, UTILITIES)
        figures = [len(journey.hops), len(journey.files), journey.returns] if journey else ["not found", "–", "–"]
        rows.append([name, f"`{entry}`", *figures, f"≤ {MOST_RETURNS} returns"])
    note = (
        "A hop is a call that leads into another file; a return leads into a file that had been visited and left. Each "
        "function is\nvisited once. Left out: " + ", ".join(f"`{utility}`" for utility in UTILITIES) + "."
    )
    return _table(["journey", "from", "hops", "files", "returns", "goal"], rows) + "\n\n" + note


def all_sources(root: Path = ROOT) -> dict[str, str]:
    """Everything that is measured: code, tests, documents, templates."""
    return project_sources(root) | read_sources(root, ("templates", "benchmarks", "tools"), (".py", ".html"))


def render_document(document: str, tables: str) -> str:
    """The document with these tables between its two marks."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    options = argparse.ArgumentParser(description="Measure the code base.")
    options.add_argument("--check", action="store_true", help="list what has to be nowhere; exit 1 if there is any")
    options.add_argument("--write", action="store_true", help="put the tables into docs/architecture.md")
    options.add_argument("--walk", choices=JOURNEYS, help="draw a journey hop by hop")
    options.add_argument("--files", action="store_true", help="list the files that each recipe touches")
    chosen = options.parse_args(arguments)
    sources = all_sources()
    if chosen.check:
        faults = find_faults(sources).lines()
        print("\n".join(faults) or "Nothing found that has to be nowhere.")
        return 1 if faults else 0
    if chosen.walk:
        journey = walk(Program(only(sources, "app")), JOURNEYS[chosen.walk], UTILITIES)
        print(drawn(journey) if journey else f"There is no {JOURNEYS[chosen.walk]}.")
        return 0 if journey else 1
    if chosen.files:
        for recipe, example in RECIPES.items():
            print(recipe, *touched(sources, example), sep="\n  ")
        return 0
    if chosen.write:
        DOCUMENT.write_text(render_document(DOCUMENT.read_text(encoding="utf-8"), report(sources)), encoding="utf-8")
        return 0
    print(report(sources))
    return 0


if __name__ == "__main__":
    sys.exit(main())
