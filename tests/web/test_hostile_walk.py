"""Every route with hostile addresses, headers and forms: no error of ours, no large page, no held event loop."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from urllib.parse import quote_from_bytes, urlencode

import pytest
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st
from sqlalchemy import text

from app.features.accounts.home_layout import keep_cards
from app.features.secure_score.actions.browse_actions import find_actions
from app.features.secure_score.sync.import_scores import import_from_graph
from app.features.tickets.types import TicketKind
from app.integrations.http import ssrf
from app.web.home_cards import BY_NAME, CARDS
from app.web.rate_limits import RateLimits
from tests.factories.database import fresh_database
from tests.factories.hostile import (
    LARGEST_ANSWER,
    MOST_CPU_SECONDS,
    NAMES,
    ODD_BYTES,
    Asked,
    Got,
    requests,
    routes,
    send_raw,
)
from tests.factories.hostile_catalog import keep_hostile_catalog, long_name
from tests.factories.microsoft import SandboxMicrosoft
from tests.factories.servicenow import SandboxServiceNow
from tests.factories.system import System, open_system
from tests.factories.tickets import share_one

pytestmark = pytest.mark.thorough

ROLES = ("manager", "sharer", "viewer", "outsider", None)
ENDS_ITS_SESSION = (b"/sign-out", b"/account/sessions/end-all")
# Enough for every bound on the number of names to be passed many times over.
CATALOG = 1_500
FILTERS = ("category", "product", "tier", "threat")
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "300"))


@dataclass(repr=False)
class Walked:
    """The system under attack, on an event loop of its own, with ids that its paths may hold."""

    system: System
    runner: asyncio.Runner
    ids: list[str]
    cookies: dict[str | None, str] = field(default_factory=dict)

    def ask(self, asked: Asked) -> Got:
        return self.runner.run(self._ask(asked))

    async def _ask(self, asked: Asked) -> Got:
        ends = asked.path in ENDS_ITS_SESSION
        if asked.role is not None and (asked.role not in self.cookies or ends):
            async with await self.system.signed_in(asked.role) as browser:
                self.cookies[asked.role] = f"session={browser.cookies['session']}"
        cookie = self.cookies.pop(asked.role, "") if ends else self.cookies.get(asked.role, "")
        self.system.app.state.rate_limits = RateLimits()  # Refused for being many, a request would not reach its page.
        return await send_raw(self.system.app, asked, cookie)


async def _none(_host: str, _port: int) -> list[str]:
    raise OSError("Names of other systems are not looked up here.")


@pytest.fixture(scope="module")
def walked(postgres: str, sandbox: tuple[SandboxMicrosoft, SandboxServiceNow]) -> Iterator[Walked]:
    with fresh_database(postgres) as url, asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patched:
        patched.setattr(ssrf, "resolve_host", _none)
        stack = AsyncExitStack()

        async def begin() -> Walked:
            microsoft, servicenow = sandbox
            microsoft.tenant.reset()
            servicenow.instance.reset()
            system = await stack.enter_async_context(open_system(url, microsoft, servicenow))
            await import_from_graph(system.resources)
            await system.connect()
            tenant = system.resources.config.shown_tenant_id
            async with system.resources.database.transaction() as session:
                actions = await find_actions(session, tenant, ["AdminMFAV2", "IntegratedApps"])
            for action in actions:
                await share_one(system, TicketKind.INCIDENT, action=action, name=f"Do {action.title}")
            await system.work()
            async with system.resources.database.transaction() as session:
                tickets = [str(row[0]) for row in await session.execute(text("SELECT id FROM ticket"))]
            return Walked(
                system, runner, [*tickets, "AdminMFAV2", "IntegratedApps", "incident", "change", "impact", "score"]
            )

        found = runner.run(begin())
        yield found
        runner.run(stack.aclose())


@pytest.fixture(scope="module")
def walked_catalog(postgres: str, sandbox: tuple[SandboxMicrosoft, SandboxServiceNow]) -> Iterator[Walked]:
    """The same for a tenant whose catalog has other names for each control, with tickets of some of them."""
    with fresh_database(postgres) as url, asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patched:
        patched.setattr(ssrf, "resolve_host", _none)
        stack = AsyncExitStack()

        async def begin() -> Walked:
            microsoft, servicenow = sandbox
            servicenow.instance.reset()
            system = await stack.enter_async_context(open_system(url, microsoft, servicenow))
            tenant = system.resources.config.shown_tenant_id
            await keep_hostile_catalog(system.resources.database, tenant, CATALOG)
            await system.connect()
            async with system.resources.database.transaction() as session:
                actions = await find_actions(session, tenant, ["C7", "C8"])
            for action in actions:
                await share_one(system, TicketKind.INCIDENT, action=action, name=f"Do {action.control_id}")
            await system.work()
            for role in ("manager", "viewer"):
                await (await system.signed_in(role)).aclose()
            async with system.resources.database.transaction() as session:
                tickets = [str(row[0]) for row in await session.execute(text("SELECT id FROM ticket"))]
                people = await session.execute(text("SELECT id FROM person"))
                for person in people.scalars().all():
                    await keep_cards(session, person, [card.name for card in CARDS])
            return Walked(system, runner, [*tickets, "C7", "incident", *BY_NAME])

        found = runner.run(begin())
        yield found
        runner.run(stack.aclose())


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=list(HealthCheck),
    derandomize="HOSTILE_EXAMPLES" not in os.environ,
    database=None,
    print_blob=False,
)
@given(data=st.data())
def test_no_request_breaks_floods_or_holds_the_process(walked: Walked, data: st.DataObject) -> None:
    asked = data.draw(requests(ROLES, walked.ids))
    got = walked.ask(asked)
    target(float(got.size))
    assert not complaint(got), got.body[-2000:]


@pytest.mark.parametrize(
    "odd", [odd for odd in ODD_BYTES if not re.fullmatch(rb"[\w-]{1,40}", odd)], ids=lambda odd: repr(odd[:20])
)
def test_every_route_takes_an_odd_value_for_everything(walked: Walked, odd: bytes) -> None:
    """In each part of its path, each parameter and each field at once, for those who may use every route."""
    complaints, answered = {}, Counter[int]()
    short = odd[:100]
    form = urlencode([(name, short) for name in NAMES][:90]).encode()
    for method, route in routes():
        part = quote_from_bytes(short, safe="") or "-"
        query = urlencode([(param.alias, short) for param in route.dependant.query_params]).encode()
        for value in (part, "incident" if "{kind}" in route.path else walked.ids[0]):
            path = re.sub(r"\{\w+(:\w+)?\}", value.replace("\\", ""), route.path).encode()
            headers = [
                (b"content-type", b"application/x-www-form-urlencoded"),
                (b"referer", short),
                (b"if-none-match", short),
            ]
            got = walked.ask(Asked(method, path, query, "manager", headers, form if method != "GET" else b""))
            answered[got.status] += 1
            if problem := complaint(got):
                complaints[f"{method} {path.decode()}"] = problem
            if "{" not in route.path:
                break
    assert not complaints
    assert answered[200] + answered[303] > 20


@pytest.mark.parametrize("role", ["manager", "viewer"])
def test_no_page_over_a_hostile_catalog_fails_floods_or_holds_the_process(walked_catalog: Walked, role: str) -> None:
    complaints, answered = {}, Counter[int]()
    chosen = [(name, long_name(name, number)) for name in FILTERS for number in range(4)]
    queries = (
        b"",
        urlencode(chosen).encode(),
        urlencode({"group": "tier", "category": long_name("category", 9)}).encode(),
    )
    for method, route in routes():
        if method != "GET":
            continue
        values = walked_catalog.ids if "{" in route.path else [""]
        for value in values:
            path = re.sub(r"\{\w+(:\w+)?\}", value, route.path).encode()
            for query in queries:
                got = walked_catalog.ask(Asked(method, path, query, role))
                answered[got.status] += 1
                # The file holds every action, so it is as large as they are.
                most = CATALOG * 3_000 if path.endswith(b"/actions.csv") else LARGEST_ANSWER
                if problem := complaint(got, most):
                    complaints[f"{path.decode()}?{query.decode()}"[:100]] = problem
    assert not complaints
    assert answered[200] > 60


def complaint(got: Got, most: int = LARGEST_ANSWER) -> str:
    """What is wrong with an answer; empty when nothing is. 502 and 503 say that another system does not answer."""
    if not 200 <= got.status < 500 and got.status not in {502, 503}:
        return f"status {got.status}"
    if got.size >= most:
        return f"{got.size} bytes"
    return f"{got.seconds} seconds" if got.seconds >= MOST_CPU_SECONDS else ""
