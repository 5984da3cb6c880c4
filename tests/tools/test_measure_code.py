"""The figures are right for a small project made up here, and `--check` fails on what has to be nowhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools import measure_code
from tools.code_size import Spread, code_lines, complexity, file_lines, function_lines, functions
from tools.code_sources import read_sources
from tools.list_facts import FACTS_FOLDER
from tools.measure_code import JourneyStart, Recipe, all_sources, by_hand, find_faults, main, report, touched

PROJECT = {
    "app/__init__.py": '"""The product."""\n',
    "app/features/tickets/share.py": '"""Share."""\n\n# Why it is here.\ndef share() -> int:\n    return 1\n',
    "app/features/tickets/poll.py": "from app.features.tickets.share import share\n\n\ndef poll() -> int:\n"
    "    due_date = share()\n    return due_date\n",
    "sandbox/entra.py": "class Entra:\n    def sign_in(self) -> None: ...\n",
    "templates/tickets/_fields.html": '<input name="due_date">\n',
    "tests/features/tickets/test_share.py": "def test_it() -> None: ...\n",
    "tests/features/tickets/test_share_limits.py": "def test_it() -> None: ...\n",
    "tests/features/tickets/test_everything.py": "def test_it() -> None: ...\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small project, with tables that fit it."""
    for name, text in PROJECT.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(measure_code, "JOURNEYS", {"poll": JourneyStart("app.features.tickets.poll:poll")})
    shown = {"templates/tickets/_fields.html": "shown"}
    monkeypatch.setattr(measure_code, "RECIPES", {"add a field": Recipe(r"\bdue_date\b|\bnever\b", shown)})
    monkeypatch.setattr(measure_code, "ALLOWED_MODULE_NAMES", {"models": "the tables of a feature"})
    monkeypatch.setattr(measure_code, "ALLOWED_CLASS_NAMES", {})
    monkeypatch.setattr(measure_code, "all_sources", lambda: all_sources(tmp_path))
    return tmp_path


def only_function(text: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    return next(functions({"app/a.py": text}))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return 1", 1),
        ("return 1 if a else 2", 2),
        ("return a and b and c", 3),
        ("if a:\n        return 1\n    elif b:\n        return 2\n    else:\n        return 3", 3),
        ("for x in a:\n        pass\n    else:\n        pass", 3),
        ("while a:\n        pass", 2),
        ("try:\n        pass\n    except A:\n        pass\n    except B:\n        pass\n    finally:\n        pass", 3),
        ("return [x for x in a if x if y]", 4),
        ("match a:\n        case 1:\n            pass\n        case _:\n            pass", 2),
        ("with a:\n        assert b", 2),
        ("def inner():\n        return 1 if a else 2\n    return inner", 2),
    ],
)
def test_complexity_counts_branches(body: str, expected: int) -> None:
    assert complexity(only_function(f"def f(a, b, c):\n    {body}\n")) == expected


def test_a_function_is_measured_without_its_decorators() -> None:
    assert function_lines(only_function("@a\n@b\nasync def f():\n    x = 1\n    return x\n")) == 3


def test_code_lines_leave_out_blank_lines_comments_and_docstrings() -> None:
    text = (
        '"""Docs.\n\nMore.\n"""\n\n# Why.\nx = 1  # Here.\n\n\ndef f():\n    """Docs."""\n    return """\n# text\n"""\n'
    )
    assert code_lines({"app/a.py": text}) == 4


def test_a_spread_is_described_in_five_numbers() -> None:
    assert Spread.of(range(1, 11)) == Spread(10, 5.5, 5.5, 9, 10)
    assert Spread.of([]) == Spread(0, 0, 0, 0, 0)
    assert file_lines({"a.py": "x = 1\n", "b.py": "x = 1\ny = 2\n"}) == [2]


def test_the_tables_hold_every_figure(project: Path) -> None:
    lines = report(all_sources(project)).splitlines()
    for row in (
        "| files | 2 | 1 |  |  |",
        "| function lines: median / p90 / max | 2 / 3 / 3 | 1 / 1 / 1 |  |  |",
        "| comment lines per 100 code lines | 16.7 | 0.0 | ≥ 3 in `app/` | 1.4 |",
        "| comparisons of messages | 0 | 0 | 13 |",
        "| test modules that mirror a module | 2 of 3 (67 %) | ≥ 85 % | 46 of 108 (43 %) |",
        "| of these, with exactly the module's name | 1 of 3 (33 %) |  |  |",
        "| of these, with the module's name and what is tested of it | 1 of 3 (33 %) |  |  |",
        r"| add a field | `\bdue_date\b\|\bnever\b` | 1 | ≤ 3 | 2 | shown: 1 |",
        "| poll | `app.features.tickets.poll:poll` | 1 | 2 | 0 | ≤ 8 returns | – |",
    ):
        assert row in lines


def test_a_recipe_touches_whatever_a_person_changes_besides_tests(project: Path) -> None:
    for name in ("tests/test_other.py", "README.md", ".env.example", "templates/due_date.html"):
        text = "none" if name.startswith("templates") else "due_date = 1\n"
        (project / name).write_text(text, encoding="utf-8")
    sources = all_sources(project)
    every = [
        ".env.example", "README.md", "app/features/tickets/poll.py", "templates/due_date.html",
        "templates/tickets/_fields.html",
    ]  # fmt: skip
    assert touched(sources, r"\bdue_date") == every
    written = Recipe(r"\bdue_date", {"templates/due_date.html": "shown"}, {"README.md": "make readme"})
    assert by_hand(sources, written) == [every[0], every[2], every[4]]


def test_a_sound_project_passes_the_check(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == "Nothing found that has to be nowhere.\n"


@pytest.mark.parametrize(
    ("path", "text", "fault"),
    [
        ("app/a.py", 'found = error.message == "No."\n', "comparisons of messages"),
        ("app/a.py", f"# {FACTS_FOLDER}/nothing.md#no-fact\n", "citations without a target"),
        ("app/web/share.py", "", "modules of one name"),
        ("app/a.py", "class Entra: ...\n", "classes of one name"),
        ("app/features/tickets/poll.py", "due_date = 1\n", "journeys whose entry or class does not exist"),
    ],
)
def test_a_planted_fault_fails_the_check(
    project: Path, capsys: pytest.CaptureFixture[str], path: str, text: str, fault: str
) -> None:
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text(text, encoding="utf-8")
    assert main(["--check"]) == 1
    assert capsys.readouterr().out.startswith(f"{fault}: ")


def test_a_recipe_without_an_example_is_a_fault(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = {"add a role": Recipe("no_such_role"), "add a field": Recipe("due_date", {"app/other.py": "shown"})}
    monkeypatch.setattr(measure_code, "RECIPES", without)
    assert find_faults(all_sources(project)).lines() == [
        "recipes whose example does not exist: add a role (no_such_role)",
        "recipes whose example does not exist: add a field (app/other.py)",
    ]


def test_a_journey_that_stops_at_an_abstract_method_is_a_fault(project: Path) -> None:
    (project / "app/features/tickets/share.py").write_text("def share() -> int:\n    ...\n", encoding="utf-8")
    assert find_faults(all_sources(project)).lines() == [
        "methods without code at which a journey stops: poll (app.features.tickets.share:share)"
    ]


def test_a_journey_can_be_drawn_and_recipes_listed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--walk", "poll"]) == 0
    assert capsys.readouterr().out.strip().startswith("→ app.features.tickets.share:share")
    assert main(["--files"]) == 0
    assert "  templates/tickets/_fields.html (shown)" in capsys.readouterr().out.splitlines()


def test_folders_that_do_not_exist_are_empty(tmp_path: Path) -> None:
    assert read_sources(tmp_path, ["app"]) == {}
