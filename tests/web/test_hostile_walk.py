"""Every route with hostile addresses, headers and forms: no error of ours, no large page, no held event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st
from sqlalchemy import text

from app.features.secure_score.actions.browse_actions import find_actions
from app.features.secure_score.sync.import_scores import import_from_graph
from app.features.tickets.types import TicketKind
from tests.factories.database import fresh_database
from tests.factories.hostile import LARGEST_ANSWER, MOST_CPU_SECONDS, Asked, Got, requests, send_raw
from tests.factories.microsoft import SandboxMicrosoft
from tests.factories.servicenow import SandboxServiceNow
from tests.factories.system import System, open_system
from tests.factories.tickets import share_one

pytestmark = pytest.mark.thorough

ROLES = ("manager", "sharer", "viewer", "outsider", None)
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "300"))


@dataclass(repr=False)
class Walked:
    """The system under attack, on an event loop of its own, with ids that its paths may hold."""

    system: System
    runner: asyncio.Runner
    ids: list[str]

    def ask(self, asked: Asked) -> Got:
        return self.runner.run(self._ask(asked))

    async def _ask(self, asked: Asked) -> Got:
        cookie = ""
        if asked.role is not None:
            async with await self.system.signed_in(asked.role) as browser:
                cookie = f"session={browser.cookies['session']}"
        return await send_raw(self.system.app, asked, cookie)


async def _none(_host: str, _port: int) -> list[str]:
    raise OSError("Names of other systems are not looked up here.")


@pytest.fixture(scope="module")
def walked(postgres: str, sandbox: tuple[SandboxMicrosoft, SandboxServiceNow]) -> Iterator[Walked]:
    with fresh_database(postgres) as url, asyncio.Runner() as runner:
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
    target(got.size)
    assert 200 <= got.status < 500 or got.status in {502, 503}, got.body[-2000:]
    assert got.size < LARGEST_ANSWER
    assert got.seconds < MOST_CPU_SECONDS
