"""A journey is followed through imports, methods, closures and callbacks; hops and returns are counted."""

from __future__ import annotations

from collections.abc import Mapping

from tools.code_journeys import Journey, drawn, walk
from tools.code_types import Program

UTILITIES = ("app/core/", "/models.py")
ENTRY = "app.a:start"


def journey(implementations: Mapping[str, str] | None = None, /, **modules: str) -> Journey:
    """Walk from `start` in `app/a.py`; a module's name has two underscores for each slash."""
    sources = {f"app/{name.replace('__', '/')}.py": text for name, text in modules.items()}
    found = walk(Program(sources, implementations), ENTRY, UTILITIES)
    assert found is not None
    assert found.returns == len(found.hops) - (len(found.files) - 1)
    return found


def names(found: Journey) -> list[str]:
    return [name.removeprefix("app.") for name in found.functions]


def moves(found: Journey) -> list[tuple[str, bool]]:
    return [(hop.called.removeprefix("app."), hop.is_return) for hop in found.hops]


def test_calls_are_followed_in_source_order_each_function_once() -> None:
    found = journey(
        a="from app.b import one, two\n\ndef start():\n    own()\n    one(two())\n    one()\n\ndef own(): return 1\n",
        b="def one(): return two()\ndef two(): return 2\n",
    )
    assert names(found) == ["a:start", "a:own", "b:two", "b:one"]
    assert moves(found) == [("b:two", False), ("b:one", True)]


def test_a_call_back_into_a_file_is_a_return_and_the_end_of_a_call_is_none() -> None:
    found = journey(
        a="from app import b, c\n\ndef start():\n    b.one()\n    c.three()\n\ndef helper(): return 0\n",
        b="from app.c import three\n\ndef one(): three()\n",
        c="from app.a import helper\n\ndef three(): helper()\n",
    )
    assert moves(found) == [("b:one", False), ("c:three", False), ("a:helper", True)]
    assert (found.files, found.returns) == (["app/a.py", "app/b.py", "app/c.py"], 1)
    assert found.returns_by_file == [("app/a.py", 1)]


def test_utilities_are_neither_entered_nor_counted() -> None:
    found = journey(
        a="from app.core.clock import now\nfrom app.x.models import Row\n\ndef start():\n    now()\n    Row.find()\n",
        core__clock="from app.b import one\n\ndef now(): one()\n",
        x__models="class Row:\n    @classmethod\n    def find(cls): return cls.find()\n",
        b="def one(): return 1\n",
    )
    assert (found.hops, found.files) == ([], ["app/a.py"])


METHODS = """
from __future__ import annotations

from collections.abc import Mapping
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from app.c import Base

class Client(Base):
    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self) -> Sender:
        return self._sender.go()

class Sender:
    def go(self) -> Sender: return self
    def stay(self): return 1

def every() -> Sequence[Sender]: return make()

@asynccontextmanager
async def borrowed() -> AsyncIterator[Client]:
    yield make()

def make(): return 1
"""


def test_methods_are_found_by_annotations_attributes_loops_and_contexts() -> None:
    found = journey(
        a="from app.b import Client, borrowed, every\nfrom dataclasses import dataclass\n\n"
        "@dataclass\nclass Resources:\n    client: Client | None\n\n"
        "async def start(resources: 'Resources'):\n    (await resources.client.send()).stay()\n"
        "    for each in every():\n        each.go()\n"
        "    async with borrowed() as client:\n        await client.inherited()\n",
        b=METHODS,
        c="class Base:\n    async def inherited(self): return self.inner()\n    def inner(self): return 1\n",
    )
    assert names(found) == [
        "a:start", "b:Client.send", "b:Sender.go", "b:Sender.stay", "b:every", "b:make", "b:borrowed",
        "c:Base.inherited", "c:Base.inner",
    ]  # fmt: skip


def test_a_function_handed_on_is_followed_where_it_is_called() -> None:
    found = journey(
        a="from app.b import lend\nfrom app.c import find, told\n\n"
        "async def start():\n    async def look(client):\n        return find(client)\n\n    await lend(look, then=told)\n",
        b="async def lend(question, *, then):\n    await question(1)\n    then()\n",
        c="def find(client): return 1\ndef told(): return 2\n",
    )
    assert moves(found) == [
        ("b:lend", False), ("a:start.look", True), ("c:find", False), ("c:told", True),
    ]  # fmt: skip


def test_a_closure_is_followed_where_it_is_handed_over_when_its_call_cannot_be_seen() -> None:
    found = journey(
        a="from app.core.jobs import retry\nfrom app.c import find\n\n"
        "def start():\n    def look():\n        find()\n\n    retry(look)\n",
        core__jobs="def retry(task): task()\n",
        c="def find(): return 1\n",
    )
    assert moves(found) == [("c:find", False)]


def test_a_job_put_into_the_queue_is_not_followed() -> None:
    found = journey(
        a="from app.core.jobs import Queue\nfrom app.c import job\n\ndef start(queue: Queue):\n    queue.defer(job)\n",
        core__jobs="class Queue:\n    def defer(self, task): return task\n",
        c="def job(): return 1\n",
    )
    assert found.hops == []


def test_methods_without_code_are_not_entered() -> None:
    found = journey(
        a="from app.b import Store\n\ndef start(store: Store): store.keep()\n",
        b='from typing import Protocol\n\nclass Store(Protocol):\n    def keep(self) -> None:\n        """Keep it."""\n',
    )
    assert (found.hops, found.stops) == ([], ["app.b:Store.keep"])


ADAPTER = """
class Adapter:
    def load(self) -> None:
        \"\"\"The row.\"\"\"

    def told(self) -> None:
        self.load()

class Machine:
    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter

    def run(self) -> None:
        self.adapter.load()
        self.adapter.told()
"""


def test_an_abstract_class_is_followed_into_the_class_that_the_journey_names() -> None:
    modules = {
        "a": "from app.b import Machine\nfrom app.c import Rows\n\ndef start():\n    Machine(Rows()).run()\n",
        "b": ADAPTER,
        "c": "from app.b import Adapter\nfrom app.d import read\n\nclass Rows(Adapter):\n    def load(self): read()\n",
        "d": "def read(): return 1\n",
    }
    assert journey({}, **modules).files == ["app/a.py", "app/b.py"]
    found = journey({"app.b:Adapter": "app.c:Rows"}, **modules)
    assert names(found) == ["a:start", "b:Machine.run", "c:Rows.load", "d:read", "b:Adapter.told"]
    assert found.stops == []


def test_an_inherited_method_calls_the_methods_of_the_object_it_was_called_for() -> None:
    found = journey(
        a="from app.b import Attempt\n\ndef start(attempt: Attempt):\n    attempt.run()\n",
        b="from app.c import Lookup\n\nclass Attempt(Lookup):\n    def note(self): return super().told()\n",
        c="class Lookup:\n    def run(self): self.note()\n    def note(self): return 1\n    def told(self): return 2\n",
    )
    assert names(found) == ["a:start", "c:Lookup.run", "b:Attempt.note", "c:Lookup.told"]


def test_a_function_handed_to_one_that_was_visited_is_followed_where_it_is_handed_over() -> None:
    found = journey(
        a="from app.b import lend\nfrom app.c import ask, find, made, send\n\n"
        "def start():\n    lend(find)\n    lend(send)\n    lend(send)\n    asked = made()\n    lend(asked)\n",
        b="def lend(work): work()\n",
        c="from functools import partial\n\ndef find(): return 1\ndef send(): return 2\ndef ask(way): return 3\n"
        "def made(): return partial(ask, 1)\n",
    )
    assert moves(found) == [("b:lend", False), ("c:find", False), ("c:send", True), ("c:made", True), ("c:ask", True)]


def test_imports_in_a_circle_and_odd_constants_end_no_walk() -> None:
    found = journey(
        a="from app.b import lost\n\nNAME = 'two words'\nALIAS = other\n\ndef start():\n    lost()\n    NAME.upper()\n",
        b="from app.a import lost\n",
    )
    assert found.functions == [ENTRY]


def test_an_entry_that_does_not_exist_gives_no_journey() -> None:
    program = Program({"app/a.py": "def start(): return 1\nclass A:\n    def method(self): return 1\n"})
    assert walk(program, "app.a:gone", UTILITIES) is None
    assert walk(program, "app.gone:start", UTILITIES) is None
    assert walk(program, "app.a:A.method", UTILITIES) is not None


def test_a_journey_is_drawn_with_its_returns() -> None:
    found = journey(
        a="from app import b\n\ndef start():\n    b.one()\n    b.two()\n",
        b="def one(): return 1\ndef two(): return 2\n",
    )
    assert drawn(found).splitlines() == [
        "  → app.b:one    (from app.a:start)",
        "  ↩ app.b:two    (from app.a:start)",
    ]
