"""The connector's state for a widget in ServiceNow."""

from __future__ import annotations

import re

from sqlalchemy import update

from app.core.messages import T
from app.features.connection.models import Connection, ConnectionStatus
from app.features.connection.tokens import mark_attention
from tests.factories.connecting import a_worker, connect_by_pages
from tests.factories.system import System
from tests.factories.tickets import share_one


async def made(system: System, name: str = "Widget") -> str:
    manager = await system.signed_in("manager")
    page = await manager.post("/servicenow/status-tokens", data={"name": name})
    return str(re.findall(r"scs1\.[0-9a-f]{32}\.[0-9a-f]{64}", page.text)[0])


async def ask(system: System, token: str, scheme: str = "Bearer") -> tuple[int, dict[str, object]]:
    answer = await system.client().get("/api/connector/status", headers={"Authorization": f"{scheme} {token}"})
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()


async def test_a_token_reads_the_state_as_it_changes(system: System) -> None:
    token = await made(system)
    assert (await ask(system, token))[1]["status"] == "not_connected"
    await connect_by_pages(system, await system.signed_in("manager"))
    await system.work()
    status, body = await ask(system, token)
    assert status == 200
    assert body["status"] == "connected"
    assert body["consented_as"] == "m365.integration"
    assert body["ready_for"] == ["change", "incident"]
    assert body["tickets"] == {"queued": 0, "shared": 0, "held": 0, "given_up": 0}
    assert body["worker_runs"] is False
    await a_worker(system)
    assert (await ask(system, token))[1]["worker_runs"] is True


async def test_tickets_of_a_removed_instance_are_not_counted(system: System) -> None:
    token = await made(system)
    await system.connect()
    await share_one(system)
    assert (await ask(system, token))[1]["tickets"] == {"queued": 1, "shared": 0, "held": 0, "given_up": 0}
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(status=ConnectionStatus.REMOVED))
    assert (await ask(system, token))[1]["tickets"] == {"queued": 0, "shared": 0, "held": 0, "given_up": 0}


async def test_a_problem_is_said(system: System) -> None:
    token = await made(system)
    connection = await system.connect()
    await mark_attention(system.resources, connection.id, T("Authorize again."))
    _, body = await ask(system, token)
    assert (body["status"], body["attention"], body["ready_for"]) == ("needs_attention", "Authorize again.", [])
