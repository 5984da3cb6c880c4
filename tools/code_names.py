"""Names that mislead: one name for different things, retired words, tests named by number or campaign."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath

from tools.code_sources import Sources, comments, docstring_nodes, only, parse

# Tests of whole journeys, of the code base itself, or of foreign clients have no single module that they could mirror.
NOT_MIRRORING = ("tests/journeys/", "tests/browser/", "tests/conventions/", "tests/clients/", "tests/worlds/")

# Where a word begins inside a name in camel case.
WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
CAMPAIGN = re.compile(r"test_(?:bugs?|edges?)(?:_|$)|test_\d")


def shared_module_names(sources: Sources, allowed: Collection[str]) -> dict[str, list[str]]:
    """Module names that several files have, with those files; the shortest stands for names that differ by `_` or `s`.

    Dunder modules such as `__init__` do not count.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for path in sources:
        if not PurePosixPath(path).stem.startswith("__"):
            found[_without_underscore_and_plural(PurePosixPath(path).stem)].append(path)
    shared = {_shortest_name(paths): sorted(paths) for paths in found.values() if len(paths) > 1}
    return {name: shared[name] for name in sorted(shared) if name not in allowed}


def _without_underscore_and_plural(name: str) -> str:
    """`check_list`, `check_lists` and `checklist` are one name to a reader who looks for a file."""
    return "".join(word.removesuffix("s") for word in name.split("_"))


def _shortest_name(paths: Collection[str]) -> str:
    return min((PurePosixPath(path).stem for path in paths), key=lambda name: (len(name), name))


def shared_class_names(sources: Sources, allowed: Collection[str]) -> dict[str, list[str]]:
    """Names of public top-level classes that several files define, with those files."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, text in sources.items():
        for node in parse(text).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path)
    return {name: sorted(paths) for name, paths in sorted(found.items()) if len(paths) > 1 and name not in allowed}


def needless_allowances(allowed: Collection[str], shared: Mapping[str, list[str]]) -> list[str]:
    """Entries of an allow-list that no longer allow anything; `shared` was found with an empty allow-list."""
    return sorted(name for name in allowed if name not in shared and not name.startswith("__"))


def mirroring(sources: Sources) -> tuple[list[str], list[str]]:
    """Test modules that mirror a module, and those that do not.

    `tests/features/tickets/test_share.py` mirrors `app/features/tickets/share.py`, and so does
    `test_share_limits.py` beside it. `tests/sandbox/test_keys.py` mirrors `sandbox/keys.py`.
    """
    mirrors: list[str] = []
    others: list[str] = []
    for path in sorted(only(sources, "tests")):
        if PurePosixPath(path).name.startswith("test_") and not path.startswith(NOT_MIRRORING):
            (mirrors if mirrors_a_module(path, sources) else others).append(path)
    return mirrors, others


def mirrors_a_module(path: str, sources: Sources) -> bool:
    """Whether a module stands at the test module's place, with its name or with the beginning of it."""
    words = PurePosixPath(path).stem.removeprefix("test_").split("_")
    return any(_stands_beside(path, "_".join(words[:count]), sources) for count in range(1, len(words) + 1))


def mirrors_exactly(path: str, sources: Sources) -> bool:
    """Whether a module of exactly the test module's name stands at its place."""
    return _stands_beside(path, PurePosixPath(path).stem.removeprefix("test_"), sources)


def _stands_beside(path: str, name: str, sources: Sources) -> bool:
    folder = PurePosixPath(path).parent.relative_to("tests")
    return any((base / folder / f"{name}.py").as_posix() in sources for base in _BASES)


_BASES = (PurePosixPath("app"), PurePosixPath())


def forbidden_modules(sources: Sources, forbidden: Collection[str]) -> list[str]:
    """Files that have one of these names, or stand in a folder that has it; `test_` before a name makes no difference."""
    return sorted(
        path
        for path in sources
        if any(part.removeprefix("test_") in forbidden for part in PurePosixPath(path).with_suffix("").parts)
    )


def campaign_names(sources: Sources) -> list[str]:
    """Test modules and test functions named after a list of bugs, edge cases or a number instead of a behavior.

    A test module that mirrors a module has its name, whatever that is.
    """
    found: list[str] = []
    for path in sorted(only(sources, "tests")):
        if CAMPAIGN.match(PurePosixPath(path).stem) and not mirrors_a_module(path, sources):
            found.append(path)
        found.extend(
            f"{path}:{node.lineno}: {node.name}"
            for node in ast.walk(parse(sources[path]))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and CAMPAIGN.match(node.name)
        )
    return found


def retired_words(sources: Sources, words: Collection[str]) -> list[str]:
    """Docstrings, comments, and lines of documents with one of these words: regular expressions for whole words, any case."""
    pattern = re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)
    return [
        f"{path}:{number}: {match.group()}"
        for path, text in sorted(sources.items())
        for number, line in (_prose(text) if path.endswith(".py") else enumerate(text.splitlines(), 1))
        for match in pattern.finditer(line)
    ]


def retired_names(sources: Sources, words: Collection[str]) -> list[str]:
    """Names of classes, functions, parameters, variables and attributes of which one word is retired."""
    pattern = re.compile(rf"(?:^|_)(?:{'|'.join(words)})(?:_|$)", re.IGNORECASE)
    return sorted(
        f"{path}:{number}: {name}"
        for path, text in sources.items()
        for number, name in _defined_names(parse(text))
        if pattern.search(WORD_START.sub("_", name))
    )


def _defined_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case _:
                pass


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines of docstrings and comments, numbered, in the order of the file."""
    lines = list(comments(text))
    for node in docstring_nodes(text):
        lines.extend(enumerate(str(node.value).splitlines(), node.lineno))
    return iter(sorted(lines))
