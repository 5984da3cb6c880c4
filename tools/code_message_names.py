"""Follow messages into plain variables, and find comparisons and counts of those. Knows names only, and runs no code.

A variable holds a message when it is annotated so or assigned from `T(…)`, `Message(…)`, `Message.from_json(…)`, an
attribute such as `error.message`, or a function whose annotation says that it returns a message. Followed through tuples,
lists, comprehensions, loops and `Counter`.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

# Calls that give the same message in another shape.
_SAME = frozenset({"str", "repr", "to_json", "lower", "upper", "casefold", "strip"})
# Calls that give the same elements in another container, and calls that give one element of it.
_SAME_ELEMENTS = frozenset(
    {"Counter", "list", "tuple", "set", "frozenset", "sorted", "reversed", "most_common", "copy"}
)
_ONE_ELEMENT = frozenset({"next", "max", "min", "pop"})
# What decides by the equality of its elements.
_BY_EQUALITY = frozenset({"Counter", "set", "frozenset"})
_ROUNDS = 3  # A name may be bound below the place where it is read: a loop, or a function inside a function.


@dataclass(frozen=True)
class Shape:
    """What an expression holds: a message itself, a tuple of shapes, or any number of one shape."""

    is_message: bool = False
    parts: tuple[Shape, ...] = ()
    each: Shape | None = None


NOTHING = Shape()
MESSAGE = Shape(is_message=True)
Names = dict[str, Shape]


def functions_giving_messages(trees: Iterable[ast.Module]) -> set[str]:
    """The names of all functions and methods that are annotated to return a message."""
    return {
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _annotates_message(node.returns)
    }


def compared_names(tree: ast.Module, makers: Collection[str], attributes: Collection[str]) -> Iterator[ast.expr]:
    """Each comparison by equality, and each count, of variables that hold a message.

    `makers` are functions that return one, `attributes` the attributes that hold one.
    """
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        yield from _Scope(function, makers, attributes).comparisons()


class _Scope:
    """One function, with what its variables hold."""

    def __init__(
        self,
        function: ast.FunctionDef | ast.AsyncFunctionDef,
        makers: Collection[str],
        attributes: Collection[str],
    ) -> None:
        self.function, self.makers, self.attributes = function, makers, attributes
        arguments = function.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        self.names: Names = {each.arg: MESSAGE for each in every if _annotates_message(each.annotation)}
        for _ in range(_ROUNDS):
            for node in ast.walk(function):
                self._bind_in(node)

    def comparisons(self) -> Iterator[ast.expr]:
        for node in ast.walk(self.function):
            match node:
                case ast.Compare(left=left, ops=ops, comparators=others):
                    operands = [left, *others]
                    pairs = zip(operands, ops, operands[1:], strict=False)
                    if any(_is_equality(op) and self._decides(a, b) for a, op, b in pairs):
                        yield node
                case ast.Call(func=ast.Name(id=name), args=[argument]) if name in _BY_EQUALITY:
                    if self.shape(argument).each == MESSAGE:
                        yield node
                case _:
                    pass

    def _decides(self, left: ast.expr, right: ast.expr) -> bool:
        # The stored message of a row beside another message: whether something changed.
        if self._is_stored(left) or self._is_stored(right):
            return False
        return any(self._is_variable(side) for side in (left, right))

    def _is_stored(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute) and node.attr in self.attributes

    def _is_variable(self, node: ast.expr) -> bool:
        held = self.shape(node)
        names = any(isinstance(each, ast.Name) and each.id in self.names for each in ast.walk(node))
        return names and (held == MESSAGE or held.each == MESSAGE)

    def _bind_in(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._bind(target, self.shape(value))
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if _annotates_message(annotation):
                self.names[name] = MESSAGE
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
                self._bind(target, self.shape(value))
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                self._bind(node.target, self.shape(node.iter).each or NOTHING)
            case _:
                pass

    def _bind(self, target: ast.expr, held: Shape) -> None:
        match target:
            case ast.Name(id=name) if held != NOTHING:
                self.names[name] = held
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                parts = held.parts or (held.each or NOTHING,) * len(targets)
                for each, part in zip(targets, parts, strict=False):
                    self._bind(each, part)
            case _:
                pass

    def shape(self, node: ast.expr) -> Shape:
        """What the expression holds, as far as names tell."""
        match node:
            case ast.Name(id=name):
                return self.names.get(name, NOTHING)
            case ast.Attribute(attr=attr):
                return MESSAGE if attr in self.attributes else NOTHING
            case ast.Await(value=value) | ast.Starred(value=value):
                return self.shape(value)
            case ast.IfExp(body=body, orelse=other):
                return _first(self.shape(body), self.shape(other))
            case ast.BoolOp(values=values):
                return _first(*(self.shape(each) for each in values))
            case ast.Subscript(value=value, slice=key):
                return self._element(self.shape(value), key)
            case ast.Call():
                return self._answer(node)
            case _:
                return self._collection(node)

    def _collection(self, node: ast.expr) -> Shape:
        match node:
            case ast.Tuple(elts=elements):
                parts = tuple(self.shape(each) for each in elements)
                return Shape(parts=parts) if any(part != NOTHING for part in parts) else NOTHING
            case ast.List(elts=elements) | ast.Set(elts=elements):
                return _many(*(self.shape(each) for each in elements))
            case ast.ListComp(elt=element) | ast.SetComp(elt=element) | ast.GeneratorExp(elt=element):
                return _many(self.shape(element))
            case _:
                return NOTHING

    def _element(self, held: Shape, key: ast.expr) -> Shape:
        match key:
            case ast.Slice():
                return held
            case ast.Constant(value=int(place)) if place < len(held.parts):
                return held.parts[place]
            case _:
                return held.each or NOTHING

    def _answer(self, call: ast.Call) -> Shape:
        match call:
            case ast.Call(func=ast.Name(id="T" | "Message")) | ast.Call(func=ast.Attribute(attr="from_json")):
                return MESSAGE
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in self.makers:
                return MESSAGE
            case ast.Call(func=ast.Name(id=name), args=[argument, *_]):
                return self._same(name, self.shape(argument))
            case ast.Call(func=ast.Attribute(value=value, attr=name)):
                return self._same(name, self.shape(value))
            case _:
                return NOTHING

    def _same(self, name: str, held: Shape) -> Shape:
        if name in _SAME:
            return MESSAGE if held == MESSAGE else NOTHING
        if name == "most_common":
            return _many(Shape(parts=(held.each, NOTHING))) if held.each else NOTHING
        if name in _SAME_ELEMENTS:
            return held
        return (held.each or NOTHING) if name in _ONE_ELEMENT else NOTHING


def _is_equality(op: ast.cmpop) -> bool:
    return isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn)


def _many(*shapes: Shape) -> Shape:
    each = _first(*shapes)
    return NOTHING if each == NOTHING else Shape(each=each)


def _first(*shapes: Shape) -> Shape:
    return next((each for each in shapes if each != NOTHING), NOTHING)


def _annotates_message(annotation: ast.expr | None) -> bool:
    """Whether it is `Message`, or `Message | None`."""
    match annotation:
        case ast.Name(id="Message"):
            return True
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _annotates_message(left) or _annotates_message(right)
        case _:
            return False
