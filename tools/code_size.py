"""Sizes, cyclomatic complexity and comment density of Python sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, median

from tools.code_sources import Sources, comments, docstring_nodes, parse

COMPLEX = 10  # The limit that ruff's C901 has in this project; above it a function counts as complex.

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Spread:
    """A distribution in five numbers."""

    count: int
    average: float
    middle: float
    p90: float
    largest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """All zero for an empty sequence. The 90th percentile is the nearest rank, without interpolation."""
        if not values:
            return cls(0, 0, 0, 0, 0)
        ordered = sorted(values)
        rank = max(0, -(-len(ordered) * 9 // 10) - 1)
        return cls(len(ordered), mean(ordered), median(ordered), ordered[rank], ordered[-1])


def file_lines(sources: Sources) -> list[int]:
    """The length of each file in lines; files of one line (empty packages) are left out."""
    lengths = [len(text.splitlines()) for text in sources.values()]
    return [length for length in lengths if length > 1]


def functions(sources: Sources) -> Iterator[Function]:
    """Every function and method, nested ones too."""
    for text in sources.values():
        for node in ast.walk(parse(text)):
            if isinstance(node, Function):
                yield node


def function_lines(function: Function) -> int:
    """From `def` to the last line, without decorators."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def complexity(function: Function) -> int:
    """McCabe's number: one, and one more for each branch. Nested functions count towards the one around them."""
    return 1 + sum(_branches(node) for node in ast.walk(function))


def _branches(node: ast.AST) -> int:
    match node:
        case ast.If() | ast.IfExp() | ast.Assert():
            return 1
        case ast.For() | ast.AsyncFor() | ast.While():
            return 1 + bool(node.orelse)
        case ast.Try() | ast.TryStar():
            return len(node.handlers) + bool(node.orelse)
        case ast.BoolOp():
            return len(node.values) - 1
        case ast.comprehension():
            return 1 + len(node.ifs)
        case ast.Match():
            return sum(not _catches_all(case) for case in node.cases)
        case _:
            return 0


def _catches_all(case: ast.match_case) -> bool:
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None


def comment_lines(sources: Sources) -> int:
    """Lines that hold a comment and nothing else, without directives for linters and formatters."""
    return sum(
        text.splitlines()[number - 1].lstrip().startswith("#")
        for text in sources.values()
        for number, _ in comments(text)
    )


def code_lines(sources: Sources) -> int:
    """Lines that hold code: no blank lines, no lines with a comment alone, no docstrings."""
    return sum(_code_lines(text) for text in sources.values())


def _code_lines(text: str) -> int:
    documented: set[int] = set()
    for node in docstring_nodes(text):
        documented.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") and number not in documented
        for number, line in enumerate(text.splitlines(), 1)
    )


def comments_per_hundred(sources: Sources) -> float:
    """Comment lines for each hundred code lines; 0 where there is no code."""
    lines = code_lines(sources)
    return 100 * comment_lines(sources) / lines if lines else 0.0
