"""Find logic that decides by a sentence which people read, instead of by a code."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tools.code_message_names import compared_names, functions_giving_messages
from tools.code_sources import Sources, parse

# Attributes that hold a message for people.
MESSAGES = frozenset({"message", "default", "attention", "problem"})
# Calls on a message that give the same message in another shape.
SAME_MESSAGE = frozenset({"str", "repr", "to_json", "lower", "upper", "casefold", "strip"})
# The one part of a stored message that logic may read.
CODE = "code"

_PARTIAL_COMPARISONS = frozenset({"startswith", "endswith"})


def message_comparisons(sources: Sources) -> list[str]:
    """Each comparison of a message with a text or a constant: `path:line: the comparison`.

    Looks at `==`, `!=`, `in`, `not in`, `match` and `startswith`, at every comparison with a constant that is made by
    `T("…")`, and at every comparison or count of variables that hold messages (tools/code_message_names.py). `is None` is
    allowed, and so is comparing the stored message of a row with another, which asks whether something changed.
    """
    trees = {path: parse(text) for path, text in sorted(sources.items())}
    constants = {name for tree in trees.values() for name in _message_constants(tree)}
    makers = functions_giving_messages(trees.values())
    return [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for path, tree in trees.items()
        for node in sorted(
            {*_comparisons(tree, constants), *compared_names(tree, makers, MESSAGES)},
            key=lambda found: (found.lineno, found.col_offset),
        )
    ]


def _message_constants(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="T"))):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(func=ast.Name(id="T"))):
                yield name
            case _:
                pass


def _visible(tree: ast.Module, constants: set[str]) -> set[str]:
    """The message constants that a module defines or imports; it may have another thing of the same name."""
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in constants
    }
    return imported | set(_message_constants(tree))


def _comparisons(tree: ast.Module, constants: set[str]) -> Iterator[ast.expr]:
    from_constants = _names_from_constants(tree)
    sentences = _visible(tree, constants)
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                operands = [left, *others]
                pairs = zip(operands, ops, operands[1:], strict=False)
                if any(
                    isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn)
                    and (_names(a, sentences) or _names(b, sentences) or _decides(a, b, from_constants))
                    for a, op, b in pairs
                ):
                    yield node
            case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in _PARTIAL_COMPARISONS:
                if _is_message(value):
                    yield node
            case ast.Match(subject=subject) if _is_message(subject) and any(_asks_value(case) for case in node.cases):
                yield subject


def _names(node: ast.expr, sentences: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in sentences


def _decides(left: ast.expr, right: ast.expr, from_constants: set[str]) -> bool:
    return (_is_message(left) and _is_fixed(right, from_constants)) or (
        _is_message(right) and _is_fixed(left, from_constants)
    )


def _is_message(node: ast.expr) -> bool:
    """Whether the expression is a message, in whatever shape; `error.message.code` is not."""
    match node:
        case ast.Attribute(attr=attr):
            return attr in MESSAGES
        case ast.Call(func=ast.Name(id=name), args=[argument]) if name in SAME_MESSAGE:
            return _is_message(argument)
        case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in SAME_MESSAGE:
            return _is_message(value)
        case ast.Subscript(value=value, slice=key):
            return not (isinstance(key, ast.Constant) and key.value == CODE) and _is_message(value)
        case _:
            return False


def _is_fixed(node: ast.expr, from_constants: set[str]) -> bool:
    """Whether the expression is a text in the code, or names a constant that holds one."""
    match node:
        case ast.Constant(value=value):
            return isinstance(value, str)
        case ast.JoinedStr():
            return True
        case ast.Name(id=name):
            return _is_constant_name(name) or name in from_constants
        case ast.Attribute(value=value, attr=attr):
            return _is_constant_name(attr) or attr == "default" or _is_fixed(value, from_constants)
        case ast.Call(func=ast.Name(id="T")):
            return True
        case ast.Call(func=ast.Name(), args=arguments):
            return any(_is_fixed(argument, from_constants) for argument in arguments)
        case ast.Call(func=ast.Attribute(value=value)):
            return _is_fixed(value, from_constants)
        case ast.Subscript(value=value):
            return _is_fixed(value, from_constants)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return any(_is_fixed(part, from_constants) for part in parts)
        case _:
            return False


def _is_constant_name(name: str) -> bool:
    return len(name) > 1 and name.isupper()


def _names_from_constants(tree: ast.Module) -> set[str]:
    """Loop variables that take the values of a constant, as in `for name, sentence in CAUSES.items()`."""
    return {
        name.id
        for loop in ast.walk(tree)
        if isinstance(loop, ast.For | ast.AsyncFor | ast.comprehension) and _is_fixed(loop.iter, set())
        for name in ast.walk(loop.target)
        if isinstance(name, ast.Name)
    }


def _asks_value(case: ast.match_case) -> bool:
    return any(isinstance(pattern, ast.MatchValue) for pattern in ast.walk(case.pattern))
