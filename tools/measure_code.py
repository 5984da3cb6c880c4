"""Measure the code base and print the figures of docs/architecture.md as Markdown tables. Changes no code.

`--write` puts the tables into the document (`make figures`), `--check` exits with 1 when a figure whose goal is 0 is not 0,
`--walk deliver` draws a journey hop by hop, and `--files` names the files that each recipe touches. Needs only Python.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.code_journeys import Journey, drawn, walk
from tools.code_messages import message_comparisons
from tools.code_names import NOT_MIRRORING, mirroring, mirrors_exactly, shared_class_names, shared_module_names
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

# The commit before this layout. This script counted its figures in a worktree of that commit, with the module names above
# allowed and the names that its parts had: deliver was app.features.tickets.deliver:deliver, poll was
# app.features.tickets.refresh:refresh_states, finish-connect app.features.connection.connect:finish_connect; left out were
# app/foundation/, app/remote/messages.py, settings, resources and models.
EARLIER = "0da4299"
FIGURES_BEFORE: Mapping[str, str] = {
    "comment lines per 100 code lines": "1.4",
    "comparisons of messages": "13",
    "modules of one name": "17",
    "classes of one name": "15",
    "test modules that mirror a module": "46 of 108 (43 %)",
}


@dataclass(frozen=True)
class JourneyStart:
    """`entry` is `module:function` or `module:Class.method`.

    `implementations` name the class that an abstract class stands for on this journey, both as `module:Class`: without
    them, the walk would end where the work begins. `returns_before` is what the same walk counted in EARLIER.
    """

    entry: str
    implementations: Mapping[str, str] = field(default_factory=dict)
    returns_before: int | None = None


JOURNEYS: Mapping[str, JourneyStart] = {
    "deliver": JourneyStart(
        "app.features.tickets.delivery.deliver:deliver",
        {
            "app.features.tickets.delivery.adapter:OutboundAdapter": "app.features.tickets.delivery.deliver:TicketAdapter",
        },
        returns_before=17,
    ),
    "poll": JourneyStart("app.features.tickets.polling.poll:poll_states", returns_before=19),
    "finish-connect": JourneyStart("app.features.connection.authorize:finish_connect", returns_before=14),
}
MOST_RETURNS = 8


@dataclass(frozen=True)
class Recipe:
    """How an existing one is written (a regular expression): every file with it has to be changed for a new one.

    `optional` names the files that mention it for something it does besides, which a new one need not do, each with what.
    `generated` are files, or parts of files, that a command writes.
    """

    example: str
    optional: Mapping[str, str] = field(default_factory=dict)
    generated: Mapping[str, str] = field(default_factory=dict)


RECIPES: Mapping[str, Recipe] = {
    "add a ticket field that a person types": Recipe(
        r"\bdue_date\b",
        {
            "app/features/tickets/sharing/bulk.py": "chosen for many tickets at once",
            "app/web/pages/share.py": "chosen for many tickets at once",
            "templates/tickets/bulk.html": "chosen for many tickets at once",
            "app/features/tickets/views/ticket_list.py": "a column of the ticket list",
            "templates/tickets/list.html": "a column of the ticket list",
        },
    ),
    "add a ticket field that follows from the action": Recipe(
        r"\bTicketSource\b|(?s:\bclass Ticket\(.*?\bsource: Mapped)"
    ),
    "add a column of the actions list": Recipe(r"\bopportunity\b"),
    "add a role": Recipe(
        r"(?i:\bsharer_roles\b)|\bRole\.SHARER\b",
        generated={"README.md": "make roles", ".env.example": "make roles"},
    ),
    "add a home card": Recipe(r"[\"']review[\"']|\b_review_card\b"),
}
MOST_FILES = 3
# Where a person changes something for it; tests and migrations are not counted.
RECIPE_FOLDERS = ("app", "templates", "static")
RECIPE_FILES = ("README.md", ".env.example", "docker-compose.yml", "Dockerfile")

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
            "journeys whose entry or class does not exist": [
                f"{name} ({lost})" for name, start in JOURNEYS.items() for lost in _not_found(program, start)
            ],
            "methods without code at which a journey stops": [
                f"{name} ({stop})" for name, start in JOURNEYS.items() for stop in _stops(sources, start)
            ],
            "recipes whose example does not exist": [
                f"{name} ({lost})" for name, recipe in RECIPES.items() for lost in _not_mentioned(sources, recipe)
            ],
        }
    )


def _not_found(program: Program, start: JourneyStart) -> list[str]:
    lost = [] if program.function(start.entry) else [start.entry]
    classes = (name for pair in start.implementations.items() for name in pair)
    return lost + [name for name in classes if program.class_named(name) is None]


def _stops(sources: Sources, start: JourneyStart) -> list[str]:
    journey = _walk(sources, start)
    return sorted(set(journey.stops)) if journey else []


def _walk(sources: Sources, start: JourneyStart) -> Journey | None:
    return walk(Program(only(sources, "app"), start.implementations), start.entry, UTILITIES)


def _shared(names: Mapping[str, list[str]]) -> list[str]:
    return [f"{name} ({', '.join(paths)})" for name, paths in names.items()]


def touched(sources: Sources, example: str) -> list[str]:
    """The files that mention an existing example, or have it in their name."""
    folders = tuple(f"{folder}/" for folder in RECIPE_FOLDERS)
    pattern = re.compile(example)
    return sorted(
        path
        for path, text in sources.items()
        if (path.startswith(folders) or path in RECIPE_FILES) and (pattern.search(text) or pattern.search(path))
    )


def by_hand(sources: Sources, recipe: Recipe) -> list[str]:
    """The files that a person has to change for a new one."""
    spared = recipe.optional.keys() | recipe.generated.keys()
    return [path for path in touched(sources, recipe.example) if path not in spared]


def _not_mentioned(sources: Sources, recipe: Recipe) -> list[str]:
    """The example where nothing mentions it, and files that are spared though they do not mention it."""
    found = touched(sources, recipe.example)
    spared = [path for path in (*recipe.optional, *recipe.generated) if path not in found]
    return spared if found else [recipe.example, *spared]


def report(sources: Sources) -> str:
    """All tables."""
    return "\n\n".join((_sizes(sources), _zeros(sources), _tests(sources), _recipes(sources), _journeys(sources)))


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", r"\|") for cell in line) + " |" for line in lines)


def _sizes(sources: Sources) -> str:
    columns = [_column(only(sources, folder)) for folder in MEASURED]
    rows = [
        [name, *(column[name] for column in columns), _GOALS.get(name, ""), FIGURES_BEFORE.get(name, "")]
        for name in columns[0]
    ]
    return _table(["measure", *(f"`{folder}/`" for folder in MEASURED), "goal", f"`app/` in `{EARLIER}`"], rows)


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
    rows = [[name, len(found), 0, FIGURES_BEFORE.get(name, "")] for name, found in find_faults(sources).places.items()]
    return _table(["has to be nowhere", "found", "goal", f"in `{EARLIER}`"], rows)


def _tests(sources: Sources) -> str:
    mirrors, others = mirroring(sources)
    every = len(mirrors) + len(others)
    exact = [path for path in mirrors if mirrors_exactly(path, sources)]
    name = "test modules that mirror a module"
    rows = [
        [name, _share(len(mirrors), every), f"≥ {LEAST_MIRRORING} %", FIGURES_BEFORE[name]],
        ["of these, with exactly the module's name", _share(len(exact), every), "", ""],
        ["of these, with the module's name and what is tested of it", _share(len(mirrors) - len(exact), every), "", ""],
    ]
    left_out = ", ".join(f"`{folder}`" for folder in NOT_MIRRORING)
    note = (
        f"Left out, because they test whole journeys, pages in a browser, the code base or foreign clients: {left_out}."
    )
    return _table(["tests", "found", "goal", f"in `{EARLIER}`"], rows) + "\n\n" + note


def _share(some: int, every: int) -> str:
    return f"{some} of {every} ({100 * some / every if every else 0:.0f} %)"


def _recipes(sources: Sources) -> str:
    rows = []
    for name, recipe in RECIPES.items():
        every = touched(sources, recipe.example)
        spared = {**recipe.optional, **{path: f"written by `{tool}`" for path, tool in recipe.generated.items()}}
        reasons = "; ".join(f"{why}: {count}" for why, count in Counter(spared.values()).items())
        row = [name, f"`{recipe.example}`", len(by_hand(sources, recipe)), f"≤ {MOST_FILES}", len(every), reasons]
        rows.append(row)
    return _table(["recipe", "counted by", "files", "goal", "that mention it", "not needed for a new one"], rows)


def _journeys(sources: Sources) -> str:
    rows: list[list[object]] = []
    places: list[list[object]] = []
    for name, start in JOURNEYS.items():
        journey = _walk(sources, start)
        figures = [len(journey.hops), len(journey.files), journey.returns] if journey else ["not found", "–", "–"]
        before = "–" if start.returns_before is None else start.returns_before
        rows.append([name, f"`{start.entry}`", *figures, f"≤ {MOST_RETURNS} returns", before])
        leading = journey.returns_by_file if journey else []
        places.append([name, ", ".join(f"`{_short(path)}` {count}" for path, count in leading)])
    note = (
        "A hop is a call that leads into another file; a return leads into a file that had been visited and left. Each "
        "function is\nvisited once. Left out: " + ", ".join(f"`{utility}`" for utility in UTILITIES) + "."
    )
    journeys = _table(["journey", "from", "hops", "files", "returns", "goal", f"returns in `{EARLIER}`"], rows)
    return "\n\n".join((journeys, note, _table(["journey", "where its returns lead, and how many"], places)))


def _short(path: str) -> str:
    """The file with its folder."""
    return "/".join(path.split("/")[-2:])


def all_sources(root: Path = ROOT) -> dict[str, str]:
    """Everything that is measured: code, tests, documents, templates."""
    folders = read_sources(root, ("templates", "static", "benchmarks", "tools"), (".py", ".html", ".js", ".css"))
    at_the_top = {name: (root / name).read_text(encoding="utf-8") for name in RECIPE_FILES if (root / name).is_file()}
    return project_sources(root) | folders | at_the_top


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
        start = JOURNEYS[chosen.walk]
        journey = _walk(sources, start)
        print(drawn(journey) if journey else f"There is no {start.entry}.")
        return 0 if journey else 1
    if chosen.files:
        for name, recipe in RECIPES.items():
            spared = {**recipe.optional, **recipe.generated}
            found = touched(sources, recipe.example)
            print(name, *(f"{path} ({spared[path]})" if path in spared else path for path in found), sep="\n  ")
        return 0
    if chosen.write:
        DOCUMENT.write_text(render_document(DOCUMENT.read_text(encoding="utf-8"), report(sources)), encoding="utf-8")
        return 0
    print(report(sources))
    return 0


if __name__ == "__main__":
    sys.exit(main())
