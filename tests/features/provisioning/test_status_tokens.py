"""Status tokens: signed, revocable, shown once and kept nowhere."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from app.core.vault import Vault
from app.features.connection.key_rotation import reseal_everything
from app.features.provisioning.status_tokens import MOST_TOKENS, list_tokens
from tests.factories.connecting import said
from tests.factories.system import System

pytestmark = pytest.mark.thorough


async def made(system: System, name: str = "Widget") -> str:
    manager = await system.signed_in("manager")
    page = await manager.post("/servicenow/status-tokens", data={"name": name})
    return str(re.findall(r"scs1\.[0-9a-f]{32}\.[0-9a-f]{64}", page.text)[0])


async def ask(system: System, token: str, scheme: str = "Bearer") -> tuple[int, dict[str, object]]:
    answer = await system.client().get("/api/connector/status", headers={"Authorization": f"{scheme} {token}"})
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()


async def test_the_token_is_shown_once_and_kept_nowhere(system: System) -> None:
    token = await made(system, "Service portal")
    manager = await system.signed_in("manager")
    page = await manager.get("/servicenow/status-tokens")
    assert "Service portal" in said(page)
    assert token not in page.text
    assert token.rsplit(".", 1)[1] not in page.text
    async with system.resources.database.transaction() as session:
        assert token.rsplit(".", 1)[1] not in repr(await list_tokens(session))


async def test_a_revoked_token_opens_nothing_and_the_others_still_do(system: System) -> None:
    first, second = await made(system, "One"), await made(system, "Two")
    assert (await ask(system, first))[0] == 200
    manager = await system.signed_in("manager")
    async with system.resources.database.transaction() as session:
        [line] = [line for line in await list_tokens(session) if line.name == "One"]
    assert line.used_at is not None
    for _ in range(2):
        assert (await manager.post(f"/servicenow/status-tokens/{line.id}/revoke")).status_code == 303
    assert (await ask(system, first))[0] == 401
    assert (await ask(system, second))[0] == 200
    log = [entry["what"] for entry in (await manager.get("/servicenow/audit.json")).json()]
    assert log == ["Status token made", "Status token made", "Status token revoked"]


async def test_what_is_not_signed_by_us_is_refused(system: System) -> None:
    token = await made(system)
    other = await made(system)
    prefix, number, signature = token.split(".")
    forged = [
        "", "scs1", "scs1..", f"{prefix}.{number}.", f"{prefix}.{number}.{'0' * 64}", f"{prefix}.{'0' * 32}.{signature}",
        f"{prefix}.{number}.{other.split('.')[2]}", f"scs2.{number}.{signature}", f"{token}x", token.upper(),
        f"{prefix}.{number}.é",
    ]  # fmt: skip
    for wrong in forged:
        headers = {b"Authorization": f"Bearer {wrong}".encode()}
        answer = await system.client().get("/api/connector/status", headers=headers)
        assert answer.status_code == 401, wrong
    assert (await ask(system, token, "Basic"))[0] == 401
    assert (await system.client().get("/api/connector/status")).status_code == 401
    assert (await system.client().get(f"/api/connector/status?token={token}")).status_code == 401


async def test_a_token_outlives_the_rotation_of_keys(system: System) -> None:
    old, new = Vault.new_key(), Vault.new_key()
    system.resources = replace(system.resources, vault=Vault([old]))
    system.app.state.resources = system.resources
    token = await made(system)
    await reseal_everything(replace(system.resources, vault=Vault([new, old])))
    system.app.state.resources = system.resources = replace(system.resources, vault=Vault([new]))
    assert (await ask(system, token))[0] == 200


@pytest.mark.parametrize("role", ["sharer", "viewer", "outsider"])
async def test_only_managers_make_tokens(system: System, role: str) -> None:
    browser = await system.signed_in(role)
    assert (await browser.get("/servicenow/status-tokens")).status_code == 403
    assert (await browser.post("/servicenow/status-tokens", data={"name": "x"})).status_code == 403
    assert (await browser.get("/api/connector/status")).status_code == 401  # A session is no token.


async def test_every_token_in_use_can_be_revoked(system: System) -> None:
    first = await made(system, name="the first one")
    manager = await system.signed_in("manager")
    for number in range(MOST_TOKENS - 1):
        await manager.post("/servicenow/status-tokens", data={"name": f"token {number}"})
    refused = await manager.post("/servicenow/status-tokens", data={"name": "one too many"})
    assert refused.status_code == 409
    assert "Revoke one that is not needed" in said(refused)
    assert (await ask(system, first))[0] == 200
    assert "the first one" in said(await manager.get("/servicenow/status-tokens"))
