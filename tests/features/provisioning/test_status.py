"""The status for ServiceNow: by a signed token that reads, can be revoked, and is kept nowhere."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from app.features.connection.access import mark_attention
from app.features.connection.reseal import reseal_everything
from app.features.provisioning.status_token import MOST_TOKENS, list_tokens
from app.foundation.text import T
from app.foundation.vault import Vault
from tests.factories.connecting import connect_by_pages, said
from tests.factories.house import House


async def made(house: House, name: str = "Widget") -> str:
    manager = await house.signed_in("manager")
    page = await manager.post("/servicenow/status-tokens", data={"name": name})
    return str(re.findall(r"scs1\.[0-9a-f]{32}\.[0-9a-f]{64}", page.text)[0])


async def ask(house: House, token: str, scheme: str = "Bearer") -> tuple[int, dict[str, object]]:
    answer = await house.client().get("/api/connector/status", headers={"Authorization": f"{scheme} {token}"})
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()


async def test_a_token_reads_the_state_as_it_changes(house: House) -> None:
    token = await made(house)
    assert (await ask(house, token))[1]["status"] == "not_connected"
    await connect_by_pages(house, await house.signed_in("manager"))
    await house.work()
    status, body = await ask(house, token)
    assert status == 200
    assert body["status"] == "connected"
    assert body["consented_as"] == "m365.integration"
    assert body["ready_for"] == ["change", "incident"]
    assert body["tickets"] == {"queued": 0, "shared": 0, "held": 0, "given_up": 0}


async def test_a_problem_is_said(house: House) -> None:
    token = await made(house)
    connection = await house.connect()
    await mark_attention(house.resources, connection.id, T("Authorize again."))
    _, body = await ask(house, token)
    assert (body["status"], body["attention"], body["ready_for"]) == ("needs_attention", "Authorize again.", [])


async def test_the_token_is_shown_once_and_kept_nowhere(house: House) -> None:
    token = await made(house, "Service portal")
    manager = await house.signed_in("manager")
    page = await manager.get("/servicenow/status-tokens")
    assert "Service portal" in said(page)
    assert token not in page.text
    assert token.rsplit(".", 1)[1] not in page.text
    async with house.resources.database.transaction() as session:
        assert token.rsplit(".", 1)[1] not in repr(await list_tokens(session))


async def test_a_revoked_token_opens_nothing_and_the_others_still_do(house: House) -> None:
    first, second = await made(house, "One"), await made(house, "Two")
    assert (await ask(house, first))[0] == 200
    manager = await house.signed_in("manager")
    async with house.resources.database.transaction() as session:
        [line] = [line for line in await list_tokens(session) if line.name == "One"]
    assert line.used_at is not None
    for _ in range(2):
        assert (await manager.post(f"/servicenow/status-tokens/{line.id}/revoke")).status_code == 303
    assert (await ask(house, first))[0] == 401
    assert (await ask(house, second))[0] == 200
    log = [entry["what"] for entry in (await manager.get("/servicenow/audit.json")).json()]
    assert log == ["Status token made", "Status token made", "Status token revoked"]


async def test_what_is_not_signed_by_us_is_refused(house: House) -> None:
    token = await made(house)
    other = await made(house)
    prefix, number, signature = token.split(".")
    forged = [
        "", "scs1", "scs1..", f"{prefix}.{number}.", f"{prefix}.{number}.{'0' * 64}", f"{prefix}.{'0' * 32}.{signature}",
        f"{prefix}.{number}.{other.split('.')[2]}", f"scs2.{number}.{signature}", f"{token}x", token.upper(),
        f"{prefix}.{number}.é",
    ]  # fmt: skip
    for wrong in forged:
        headers = {b"Authorization": f"Bearer {wrong}".encode()}
        answer = await house.client().get("/api/connector/status", headers=headers)
        assert answer.status_code == 401, wrong
    assert (await ask(house, token, "Basic"))[0] == 401
    assert (await house.client().get("/api/connector/status")).status_code == 401
    assert (await house.client().get(f"/api/connector/status?token={token}")).status_code == 401


async def test_a_token_outlives_the_rotation_of_keys(house: House) -> None:
    old, new = Vault.new_key(), Vault.new_key()
    house.resources = replace(house.resources, vault=Vault([old]))
    house.app.state.resources = house.resources
    token = await made(house)
    await reseal_everything(replace(house.resources, vault=Vault([new, old])))
    house.app.state.resources = house.resources = replace(house.resources, vault=Vault([new]))
    assert (await ask(house, token))[0] == 200


@pytest.mark.parametrize("role", ["sharer", "viewer", "stranger"])
async def test_only_managers_make_tokens(house: House, role: str) -> None:
    browser = await house.signed_in(role)
    assert (await browser.get("/servicenow/status-tokens")).status_code == 403
    assert (await browser.post("/servicenow/status-tokens", data={"name": "x"})).status_code == 403
    assert (await browser.get("/api/connector/status")).status_code == 401  # A session is no token.


async def test_every_token_in_use_can_be_revoked(house: House) -> None:
    first = await made(house, name="the first one")
    manager = await house.signed_in("manager")
    for number in range(MOST_TOKENS - 1):
        await manager.post("/servicenow/status-tokens", data={"name": f"token {number}"})
    refused = await manager.post("/servicenow/status-tokens", data={"name": "one too many"})
    assert refused.status_code == 409
    assert "Revoke one that is not needed" in said(refused)
    assert (await ask(house, first))[0] == 200
    assert "the first one" in said(await manager.get("/servicenow/status-tokens"))
