"""Follow a journey through the code: which files it passes, and how often it returns to one it has left.

The walk is static, depth-first, in the order in which expressions are evaluated, and visits each function once. It
follows calls whose target the imports and annotations show; for an abstract class, the journey's definition names the
class whose methods are followed. Constructors, properties and jobs that are only put into the queue are not followed. A
function handed on is followed where it is called, when that can be seen; one that is handed to a function which was
visited already is followed where it is handed over.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from tools.code_types import ClassRef, Function, FunctionRef, Instance, Program, Thing, element

# What may be defined inside a function and run later.
Closure = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class Hop:
    """A move from one file to another, at `path`, by a call. `is_return`: that file had been visited and left before."""

    caller: str
    called: str
    path: str
    depth: int
    is_return: bool


@dataclass
class Journey:
    """What a walk passed. `files` are in the order of the first visit, `stops` are methods without code that it met."""

    hops: list[Hop] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)

    @property
    def returns(self) -> int:
        """How many hops lead back to a file that was left."""
        return sum(hop.is_return for hop in self.hops)

    @property
    def returns_by_file(self) -> list[tuple[str, int]]:
        """The files that returns lead to, the most frequent first."""
        return Counter(hop.path for hop in self.hops if hop.is_return).most_common()


@dataclass(frozen=True)
class _Place:
    """The function the walk is in. `closures` are functions defined here or handed in, with the place they belong to."""

    function: FunctionRef
    scope: dict[str, Thing]
    closures: dict[str, tuple[Closure, _Place]]
    depth: int


class Walk:
    """One walk from an entry function. `utilities` are beginnings or ends of paths that are neither entered nor counted."""

    def __init__(self, program: Program, utilities: Collection[str]) -> None:
        self.program = program
        self.utilities = tuple(utilities)
        self.journey = Journey()
        self._visited: set[str] = set()
        self._closures_visited: set[int] = set()

    def follow(self, entry: str) -> Journey | None:
        """Walk from `module:function`; None when there is no such function."""
        function = self.program.function(entry)
        if function is None:
            return None
        self.journey.files.append(function.path)
        self._enter(function, {}, {}, 0)
        return self.journey

    def _is_followed(self, function: FunctionRef) -> bool:
        if function.path.startswith(self.utilities) or function.path.endswith(self.utilities):
            return False
        if _is_empty(function.node):
            self.journey.stops.append(str(function))
            return False
        return True

    def _enter(
        self,
        function: FunctionRef,
        handed: dict[str, Thing],
        closures: dict[str, tuple[Closure, _Place]],
        depth: int,
        receiver: ClassRef | None = None,
    ) -> None:
        self._visited.add(str(function))
        self.journey.functions.append(str(function))
        scope = self.program.arguments(function.module, function.node) | handed
        owner = self._owner(function)
        if owner is not None:
            # A method that is inherited calls those of the class whose object it was called for.
            scope |= {"self": Instance(receiver or owner), "cls": receiver or owner}
            bases = self.program.bases(owner)
            scope |= {"super": Instance(bases[0])} if bases else {}
        self._statements(function.node.body, _Place(function, scope, dict(closures), depth))

    def _owner(self, function: FunctionRef) -> ClassRef | None:
        name, dot, _ = function.name.partition(".")
        found = self.program.lookup(function.module, name) if dot else None
        return found if isinstance(found, ClassRef) else None

    def _statements(self, nodes: list[ast.stmt], place: _Place) -> None:
        for node in nodes:
            self._visit(node, place)

    def _visit(self, node: ast.AST, place: _Place) -> None:
        """Every call within the node, inner before outer, as Python evaluates them; notes what variables hold."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                place.closures[node.name] = (node, place)
            case ast.Lambda() | ast.ClassDef():
                pass  # A lambda runs where it is called.
            case ast.Assign() | ast.AnnAssign() | ast.NamedExpr():
                self._assignment(node, place)
            case ast.For() | ast.AsyncFor():
                self._loop_head(node, place)
                self._statements([*node.body, *node.orelse], place)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                self._comprehension(node, place)
            case ast.withitem(context_expr=context, optional_vars=target):
                self._visit(context, place)
                entered = self._value(context, place)
                self._note(target, element(entered) or entered, place)
            case ast.Call():
                self._call(node, place)
            case _:
                for child in ast.iter_child_nodes(node):
                    self._visit(child, place)

    def _assignment(self, node: ast.Assign | ast.AnnAssign | ast.NamedExpr, place: _Place) -> None:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(node.value, ast.Lambda) and isinstance(target, ast.Name):
            place.closures[target.id] = (node.value, place)
            return
        if node.value is not None:
            self._visit(node.value, place)
        if isinstance(node, ast.AnnAssign):
            self._note(target, self.program.annotated(place.function.module, node.annotation), place)
        elif node.value is not None:
            self._note(target, self._value(node.value, place), place)

    def _loop_head(self, node: ast.For | ast.AsyncFor | ast.comprehension, place: _Place) -> None:
        self._visit(node.iter, place)
        self._note(node.target, element(self._value(node.iter, place)), place)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, place: _Place) -> None:
        for part in node.generators:
            self._loop_head(part, place)
            for condition in part.ifs:
                self._visit(condition, place)
        results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for result in results:
            self._visit(result, place)

    def _note(self, target: ast.expr | None, thing: Thing | None, place: _Place) -> None:
        if isinstance(target, ast.Name) and thing is not None:
            place.scope[target.id] = thing

    def _value(self, node: ast.expr, place: _Place) -> Thing | None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in place.closures:
            closure, home = place.closures[node.func.id]
            if isinstance(closure, Function):
                return self.program.annotated(home.function.module, closure.returns)
            return None
        if isinstance(node, ast.Await):
            return self._value(node.value, place)
        return self.program.value(place.function.module, node, place.scope)

    def _call(self, call: ast.Call, place: _Place) -> None:
        self._visit(call.func, place)
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        for value in values:
            self._visit(value, place)
        if isinstance(call.func, ast.Name) and call.func.id in place.closures:
            self._run_closure(*place.closures[call.func.id], place)
            return
        called = self._value(call.func, place)
        if isinstance(called, FunctionRef) and self._is_followed(called):
            self._step(called, call, place)
        # A function that is defined here and handed on runs now at the latest.
        for value in values:
            for closure in self._handed_closures(value, place):
                self._run_closure(closure, place, place)

    def _step(self, called: FunctionRef, call: ast.Call, place: _Place) -> None:
        if str(called) in self._visited:
            self._follow_handed(called, call, place)
            return
        things: dict[str, Thing] = {}
        closures: dict[str, tuple[Closure, _Place]] = {}
        for name, value in _bound(called.node, call, is_method="." in called.name):
            if isinstance(value, ast.Lambda):
                closures[name] = (value, place)
            elif isinstance(value, ast.Name) and value.id in place.closures:
                closures[name] = place.closures[value.id]
            elif isinstance(thing := self._value(value, place), FunctionRef):
                things[name] = thing
        self._move(place.function.path, called.path, place, str(called))
        self._enter(called, things, closures, place.depth + 1, self._receiver(call, place))

    def _follow_handed(self, visited: FunctionRef, call: ast.Call, place: _Place) -> None:
        """What a function does with what it is handed is known from its first visit: here it does it with these."""
        for _, value in _bound(visited.node, call, is_method="." in visited.name):
            handed = self._value(value, place)
            if isinstance(handed, FunctionRef) and self._is_followed(handed) and str(handed) not in self._visited:
                self._move(place.function.path, handed.path, place, str(handed))
                self._enter(handed, {}, {}, place.depth + 1)

    def _receiver(self, call: ast.Call, place: _Place) -> ClassRef | None:
        """The class of the object whose method is called; None for a function."""
        match call.func:
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
                owner = place.scope.get("self")
            case ast.Attribute(value=value):
                owner = self._value(value, place)
            case _:
                return None
        return self.program.implementation(owner.of) if isinstance(owner, Instance) else None

    def _move(self, here: str, there: str, place: _Place, name: str) -> None:
        if here == there:
            return
        is_return = there in self.journey.files
        if not is_return:
            self.journey.files.append(there)
        self.journey.hops.append(Hop(str(place.function), name, there, place.depth + 1, is_return))

    def _run_closure(self, closure: Closure, home: _Place, place: _Place) -> None:
        """Walk a nested function in the scope it was defined in; when another file calls it, that is a hop as well."""
        if id(closure) in self._closures_visited:
            return
        self._closures_visited.add(id(closure))
        name = "lambda" if isinstance(closure, ast.Lambda) else closure.name
        self._move(place.function.path, home.function.path, place, f"{home.function}.{name}")
        scope = dict(home.scope)
        if isinstance(closure, Function):
            scope |= self.program.arguments(home.function.module, closure)
        inside = replace(home, scope=scope, closures=dict(home.closures), depth=place.depth + 1)
        for node in closure.body if isinstance(closure, Function) else [closure.body]:
            self._visit(node, inside)

    def _handed_closures(self, value: ast.expr, place: _Place) -> Iterator[Closure]:
        match value:
            case ast.Lambda():
                yield value
            case ast.Name(id=name) if name in place.closures and place.closures[name][1] is place:
                yield place.closures[name][0]
            case _:
                pass


def _bound(function: Function, call: ast.Call, *, is_method: bool) -> Iterator[tuple[str, ast.expr]]:
    """Each argument of the call with the parameter it is for."""
    parameters = [*function.args.posonlyargs, *function.args.args]
    static = any(ast.unparse(decorator) == "staticmethod" for decorator in function.decorator_list)
    if is_method and not static:
        parameters = parameters[1:]
    for parameter, value in zip(parameters, call.args, strict=False):
        if isinstance(value, ast.Starred):
            break
        yield parameter.arg, value
    for keyword in call.keywords:
        if keyword.arg:
            yield keyword.arg, keyword.value


def _is_empty(function: Function) -> bool:
    """A protocol's method, or an abstract one, has no code to follow."""
    return all(
        isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in function.body
    )


def walk(program: Program, entry: str, utilities: Collection[str]) -> Journey | None:
    """The journey from `module:function`; None when there is no such function."""
    return Walk(program, utilities).follow(entry)


def drawn(journey: Journey) -> str:
    """The hops as an indented list; an arrow back marks a return."""
    return "\n".join(
        f"{'  ' * hop.depth}{'↩' if hop.is_return else '→'} {hop.called}    (from {hop.caller})" for hop in journey.hops
    )
