"""One poisonous record does not stop the following of the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.features.tickets.polling import apply_remote, poll
from app.integrations.http.http_types import RemoteResponse, Request
from tests.factories.system import System
from tests.factories.tickets import cursor, read_ticket, records, refresh_now, shared_ticket


async def two_that_move(system: System) -> tuple[Any, Any]:
    await system.connect()
    one, other = await shared_ticket(system), await shared_ticket(system)
    await refresh_now(system)
    for record in records(system, "incident"):
        system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    return one, other


async def test_a_record_that_cannot_be_stored_is_skipped_and_the_other_is_followed(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bad_id, bad), (good_id, _) = await two_that_move(system)
    real = apply_remote.apply_record

    def poisonous(session: Any, ticket: Any, remote: Any, names: Any) -> bool:
        changed = real(session, ticket, remote, names)
        if remote.sys_id == bad["sys_id"]:
            ticket.state_label = "half a pair \ud800"  # The database refuses it when the transaction is written.
        return changed

    monkeypatch.setattr(apply_remote, "apply_record", poisonous)
    await refresh_now(system)
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, good_id)).state == "2"
    assert (await read_ticket(system, bad_id)).state == "1"
    assert (await cursor(system)).problem is None


async def test_a_record_that_cannot_be_read_is_not_taken_for_a_deleted_one(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bad_id, bad), (good_id, _) = await two_that_move(system)
    transport = system.resources.servicenow
    real = transport.send

    async def send(request: Request) -> RemoteResponse:
        answer = await real(request)
        if "/table/incident" not in request.url or not answer.is_json():
            return answer
        content = json.loads(answer.body)
        for row in content["result"] if isinstance(content["result"], list) else []:
            if row["sys_id"] in (bad["sys_id"], {"value": bad["sys_id"], "display_value": bad["sys_id"]}):
                row["sys_id"] = {"value": "../odd", "display_value": ""}
        return RemoteResponse(answer.status, answer.headers, json.dumps(content).encode())

    monkeypatch.setattr(transport, "send", send)
    await refresh_now(system)
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, good_id)).state == "2"
    odd = await read_ticket(system, bad_id)
    assert (odd.state, odd.visible) == ("1", True)
    assert (await cursor(system)).problem is None


async def test_a_table_that_cannot_be_taken_up_at_all_says_so_and_ends_no_job(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> bool:
        raise RecursionError

    await system.connect()
    await shared_ticket(system)
    monkeypatch.setattr(poll, "scan", broken)
    await refresh_now(system, later=3600)
    assert "which we did not foresee" in str((await cursor(system)).problem)
