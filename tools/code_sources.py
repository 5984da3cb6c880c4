"""Read the project's source texts for the measurements and the conventions tests. Never imports what it reads."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

# A path from the project's root, written with slashes, and the text of the file.
Sources = Mapping[str, str]

GENERATED = {"__pycache__", "node_modules", "vendor", "var"}
# Comments for tools explain nothing to a reader, so they are not counted as comments.
DIRECTIVE = re.compile(r"#\s*(noqa|type:|fmt:|pragma|ruff:|mypy:|!)")


def read_sources(root: Path, folders: Collection[str], endings: tuple[str, ...] = (".py",)) -> dict[str, str]:
    """Every file with one of these endings below the folders. A folder that does not exist counts as empty."""
    found: dict[str, str] = {}
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            parts = path.relative_to(root).parts
            if path.name.endswith(endings) and path.is_file() and not GENERATED.intersection(parts):
                found[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
    return found


def only(sources: Sources, *folders: str) -> dict[str, str]:
    """The Python files of these folders."""
    starts = tuple(f"{folder}/" for folder in folders)
    return {path: text for path, text in sources.items() if path.endswith(".py") and path.startswith(starts)}


@cache
def parse(text: str) -> ast.Module:
    """The syntax tree. Shared between callers, so it must not be changed."""
    return ast.parse(text)


@cache
def comments(text: str) -> tuple[tuple[int, str], ...]:
    """Line number and text of each comment, without directives for linters and formatters."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return tuple(
        (token.start[0], token.string)
        for token in tokens
        if token.type == tokenize.COMMENT and not DIRECTIVE.match(token.string)
    )


def docstring_nodes(text: str) -> Iterator[ast.Constant]:
    """The docstrings of the module, its classes and its functions."""
    for node in ast.walk(parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                yield first.value


def module_name(path: str) -> str:
    """`app/web/forms.py` is `app.web.forms`; an `__init__.py` is its package."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
