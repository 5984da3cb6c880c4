"""Resolve names, types and calls of Python sources as far as annotations show them. Guesses nothing, imports nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tools.code_sources import Sources, module_name, parse

Function = ast.FunctionDef | ast.AsyncFunctionDef

# Annotations that stand for what they hold: `Annotated[X, …]` is an X, `X | None` is an X.
TRANSPARENT = {"Annotated", "Optional", "Final", "ClassVar", "Awaitable"}
# Their elements are what a loop over them, or a `with` block, gives.
CONTAINERS = {
    "AsyncGenerator", "AsyncIterable", "AsyncIterator", "Collection", "Generator", "Iterable", "Iterator", "Sequence",
    "frozenset", "list", "set", "tuple",
}  # fmt: skip


@dataclass(frozen=True)
class FunctionRef:
    """A function of the project: `app.web.forms:parse`, or `app.core.vault:Vault.seal`."""

    module: str
    name: str
    path: str
    node: Function = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


@dataclass(frozen=True)
class ClassRef:
    """A class of the project."""

    module: str
    name: str
    node: ast.ClassDef = field(compare=False, repr=False)


@dataclass(frozen=True)
class ModuleRef:
    """A module of the project."""

    module: str


@dataclass(frozen=True)
class Instance:
    """A value of a class; `elements` says that it is a container of such values."""

    of: ClassRef
    elements: bool = False


Thing = FunctionRef | ClassRef | ModuleRef | Instance
Scope = Mapping[str, Thing]


class Program:
    """All modules of the sources, with what each name in them means.

    `implementations` name, for abstract classes, the class whose methods are meant: `{"app.a:Store": "app.b:FileStore"}`.
    """

    def __init__(self, sources: Sources, implementations: Mapping[str, str] | None = None) -> None:
        self.paths = {module_name(path): path for path in sources}
        self.trees = {module_name(path): parse(text) for path, text in sources.items()}
        self._names = {module: dict(self._definitions(module)) for module in self.trees}
        self._looking_up: set[tuple[str, str]] = set()
        self._implementations = implementations or {}

    def _definitions(self, module: str) -> Iterator[tuple[str, ast.AST | tuple[str, str]]]:
        """Every name that a module defines or imports; an import is where it leads: module, and name or nothing."""
        for node in ast.walk(self.trees[module]):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    yield alias.asname or alias.name, (node.module, alias.name)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.asname or alias.name, (alias.name, "")
        for node in self.trees[module].body:
            match node:
                case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    yield name, node
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    yield name, value
                case _:
                    pass

    def lookup(self, module: str, name: str) -> Thing | None:
        """What a name of a module's top level is; follows imports, also those that only pass a name on."""
        if (module, name) in self._looking_up:
            return None
        self._looking_up.add((module, name))
        try:
            return self._lookup(module, name)
        finally:
            self._looking_up.discard((module, name))

    def _lookup(self, module: str, name: str) -> Thing | None:
        match self._names.get(module, {}).get(name):
            case (str() as target, str() as wanted):
                if wanted and f"{target}.{wanted}" in self.trees:
                    return ModuleRef(f"{target}.{wanted}")
                if not wanted:
                    return ModuleRef(target) if target in self.trees else None
                return self.lookup(target, wanted)
            case ast.ClassDef() as node:
                return ClassRef(module, name, node)
            case ast.FunctionDef() | ast.AsyncFunctionDef() as node:
                return FunctionRef(module, name, self.paths[module], node)
            case ast.expr() as value:
                return self._constant(module, value)
            case _:
                return None

    def _constant(self, module: str, value: ast.expr) -> Thing | None:
        """A module's constant: another name for a type, or an object made by calling a class or a function."""
        if isinstance(value, ast.Call):
            return self.result(self.value(module, value.func, {}))
        return self.annotated(module, value, as_class=True)

    def annotated(self, module: str, node: ast.expr | None, *, as_class: bool = False) -> Thing | None:
        """The instance that an annotation promises; with `as_class`, the class itself."""
        match node:
            case ast.Constant(value=str() as text):
                return self.annotated(module, _quoted(text), as_class=as_class)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                found = self.annotated(module, left, as_class=as_class)
                return found or self.annotated(module, right, as_class=as_class)
            case ast.Subscript(value=outer, slice=inner):
                name = ast.unparse(outer).rpartition(".")[2]
                first = inner.elts[0] if isinstance(inner, ast.Tuple) and inner.elts else inner
                if name in TRANSPARENT:
                    return self.annotated(module, first, as_class=as_class)
                if name in CONTAINERS:
                    found = self.annotated(module, first)
                    return Instance(found.of, elements=True) if isinstance(found, Instance) else None
                return self.annotated(module, outer, as_class=as_class)
            case ast.Name() | ast.Attribute():
                found = self.value(module, node, {})
                return (
                    Instance(found.of if isinstance(found, Instance) else found)
                    if (not as_class and isinstance(found, ClassRef))
                    else found
                )
            case _:
                return None

    def value(self, module: str, node: ast.expr, scope: Scope) -> Thing | None:
        """What an expression is, where names and annotations tell."""
        match node:
            case ast.Name(id=name):
                return scope.get(name) or self.lookup(module, name)
            case ast.Attribute(value=owner, attr=name):
                return self.member(self.value(module, owner, scope), name)
            case ast.Await(value=inner) | ast.NamedExpr(value=inner):
                return self.value(module, inner, scope)
            case ast.Call(func=ast.Name(id="super"), args=[]):
                return scope.get("super")
            case ast.Call(func=ast.Name(id="partial"), args=[first, *_]):
                return self.value(module, first, scope)
            case ast.Call(func=function):
                return self.result(self.value(module, function, scope))
            case ast.IfExp(body=body, orelse=other):
                return self.value(module, body, scope) or self.value(module, other, scope)
            case ast.BoolOp(values=values):
                return next((found for value in values if (found := self.value(module, value, scope))), None)
            case ast.Subscript(value=owner):
                return element(self.value(module, owner, scope))
            case _:
                return None

    def member(self, owner: Thing | None, name: str) -> Thing | None:
        """An attribute of a module, a class or an instance; methods and annotated attributes, inherited ones too."""
        match owner:
            case ModuleRef(module=module):
                inner = f"{module}.{name}"
                return ModuleRef(inner) if inner in self.trees else self.lookup(module, name)
            case ClassRef():
                return self._class_member(self.implementation(owner), name)
            case Instance(of=cls, elements=False):
                found = self._class_member(self.implementation(cls), name)
                return self.result(found) if isinstance(found, FunctionRef) and _is_property(found.node) else found
            case _:
                return None

    def implementation(self, cls: ClassRef) -> ClassRef:
        """The class that is meant where this one is named."""
        found = self.class_named(self._implementations.get(f"{cls.module}:{cls.name}", ""))
        return found or cls

    def class_named(self, name: str) -> ClassRef | None:
        """The class that `module:Class` names."""
        module, _, found = name.partition(":")
        thing = self.lookup(module, found)
        return thing if isinstance(thing, ClassRef) else None

    def _class_member(self, cls: ClassRef, name: str) -> Thing | None:
        for node in cls.node.body:
            match node:
                case ast.FunctionDef(name=found) | ast.AsyncFunctionDef(name=found) if found == name:
                    return FunctionRef(cls.module, f"{cls.name}.{name}", self.paths[cls.module], node)
                case ast.AnnAssign(target=ast.Name(id=found), annotation=annotation) if found == name:
                    return self.annotated(cls.module, annotation)
        made = self._made_in_init(cls, name)
        if made is not None:
            return made
        for base in self.bases(cls):
            inherited = self._class_member(base, name)
            if inherited is not None:
                return inherited
        return None

    def _made_in_init(self, cls: ClassRef, name: str) -> Thing | None:
        """`self.name = …` in `__init__`, where the value is an annotated argument or an object of a known class."""
        init = next((node for node in cls.node.body if isinstance(node, Function) and node.name == "__init__"), None)
        if init is None:
            return None
        scope = self.arguments(cls.module, init)
        for node in ast.walk(init):
            match node:
                case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=found)], value=value):
                    if found == name:
                        return self.value(cls.module, value, scope)
                case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=found), annotation=annotation):
                    if found == name:
                        return self.annotated(cls.module, annotation)
                case _:
                    pass
        return None

    def bases(self, cls: ClassRef) -> list[ClassRef]:
        """The classes of the project that a class inherits from directly."""
        found = [self.annotated(cls.module, base, as_class=True) for base in cls.node.bases]
        return [base for base in found if isinstance(base, ClassRef)]

    def result(self, called: Thing | None) -> Thing | None:
        """What a call of this gives."""
        match called:
            case ClassRef():
                return Instance(called)
            case FunctionRef(module=module, node=node):
                if isinstance(node.returns, ast.Name) and node.returns.id == "Self":
                    owner = self.lookup(module, called.name.partition(".")[0])
                    return Instance(owner) if isinstance(owner, ClassRef) else None
                return self.annotated(module, node.returns) or self._returned_function(module, node)
            case _:
                return None

    def _returned_function(self, module: str, node: Function) -> FunctionRef | None:
        """The function that a function gives back, as it is or with some of its arguments (`partial`)."""
        scope = self.arguments(module, node)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Return) and isinstance(inner.value, ast.Name | ast.Call):
                found = self.value(module, inner.value, scope) if _is_name_or_partial(inner.value) else None
                if isinstance(found, FunctionRef):
                    return found
        return None

    def arguments(self, module: str, function: Function) -> dict[str, Thing]:
        """The arguments of a function whose annotation names a class."""
        every = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
        found = {argument.arg: self.annotated(module, argument.annotation) for argument in every}
        return {name: thing for name, thing in found.items() if thing is not None}

    def function(self, name: str) -> FunctionRef | None:
        """The function that `module:function` or `module:Class.method` names."""
        module, _, path = name.partition(":")
        found: Thing | None = ModuleRef(module) if module in self.trees else None
        for part in path.split("."):
            found = self.member(found, part)
        return found if isinstance(found, FunctionRef) else None


def element(container: Thing | None) -> Thing | None:
    """What a loop over this gives: the elements of a container, the members of an enumeration."""
    match container:
        case Instance(of=cls, elements=True):
            return Instance(cls)
        case ClassRef():
            return Instance(container)
        case _:
            return None


def _quoted(text: str) -> ast.expr | None:
    """An annotation between quotation marks; None for a text that is no expression."""
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None


def _is_name_or_partial(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) or (isinstance(node, ast.Call) and ast.unparse(node.func) == "partial")


def _is_property(node: Function) -> bool:
    return any(ast.unparse(decorator).endswith("property") for decorator in node.decorator_list)
