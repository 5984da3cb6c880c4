"""The log of calls: ServiceNow's own numbers, no content, and never in the way."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from app.core.clock import SetClock
from app.features.connection import call_log
from app.features.connection.call_log import newest_calls
from app.features.connection.gateway import call
from app.features.connection.jobs import sweep
from app.features.connection.models import AuthorizationAttempt, CallRecord
from app.integrations.http.errors import RemoteError
from app.integrations.http.http_types import CallLogEntry
from tests.factories.connecting import begin, connect_by_pages, remove, trouble
from tests.factories.system import System


async def calls(system: System) -> list[CallLogEntry]:
    async with system.resources.database.transaction() as session:
        return await newest_calls(session)


async def test_every_call_is_written_down_with_servicenows_number_and_ours(system: System) -> None:
    await connect_by_pages(system, await system.signed_in("manager"))
    found = await calls(system)
    assert [(call.method, call.path) for call in reversed(found)] == [
        ("POST", "/oauth_token.do"),
        ("GET", "/api/now/v2/table/sys_user"),
        ("GET", "/api/now/v2/table/sys_properties"),
    ]
    assert {call.status for call in found} == {200}
    assert all(call.transaction_id for call in found)
    assert len({call.correlation_id for call in found}) == 1
    assert found[0].correlation_id != ""


async def test_failures_are_written_down_too(system: System) -> None:
    await system.connect()
    trouble(system, "dropped_before", path="/api/now")
    with pytest.raises(RemoteError):
        await call(system.resources, lambda client: client.whoami())
    [record] = await calls(system)
    assert (record.status, record.outcome, record.transaction_id) == (0, "Ambiguous", "")


async def test_no_query_no_header_and_no_body_is_kept(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    await remove(manager)
    kept = str([asdict(call) for call in await calls(system)])
    assert "/oauth_revoke_token.do" in kept
    for word in ("token=", "Bearer", system.servicenow.settings.client_secret, "sysparm", "getUserID"):
        assert word not in kept


async def test_a_log_that_cannot_be_written_does_not_spoil_the_call(system: System) -> None:
    await system.connect()
    async with system.resources.database.transaction() as session:
        await session.execute(text("ALTER TABLE call_record RENAME TO gone"))
    assert await call(system.resources, lambda client: client.whoami())
    async with system.resources.database.transaction() as session:
        await session.execute(text("ALTER TABLE gone RENAME TO call_record"))
    await call_log.keep_calls(system.resources)
    assert len(await calls(system)) == 1  # Not lost either.


async def test_old_calls_and_attempts_are_forgotten(
    system: System, still_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    await begin(system, await system.signed_in("manager"))
    monkeypatch.setattr(call_log, "KEPT_CALLS", 3)
    for _ in range(5):
        await call(system.resources, lambda client: client.whoami())
    await sweep.function(system.resources)
    assert len(await calls(system)) == 3
    async with system.resources.database.transaction() as session:
        await session.execute(update(CallRecord).values(at=still_clock.now() - timedelta(days=8)))
    still_clock.move(86_400 * 2)
    await sweep.function(system.resources)
    assert await calls(system) == []
    async with system.resources.database.transaction() as session:
        assert (await session.execute(select(func.count()).select_from(AuthorizationAttempt))).scalar_one() == 0
