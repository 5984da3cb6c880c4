"""Rotating the vault's keys, and losing them: every sealed column of every table, found by its type."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select, text

from app.core.vault import Vault
from app.features.accounts.models import SignInAttempt
from app.features.connection.gateway import call
from app.features.connection.key_rotation import Rewritten, forget_what_no_key_opens, reseal_everything
from app.features.connection.models import AuthorizationAttempt, Connection
from tests.factories.connecting import begin, connect_by_pages, connections, opened, said
from tests.factories.system import System


async def test_everything_sealed_opens_with_the_new_key_alone(system: System) -> None:
    old_key, new_key = Vault.new_key(), Vault.new_key()
    system.resources = replace(system.resources, vault=Vault([old_key]))
    system.app.state.resources = system.resources
    connection = await system.connect()
    assert connection.refresh_token is not None
    secret = opened(system.resources.vault, connection, Connection.refresh_token)
    manager = await system.signed_in("manager")
    await begin(system, manager)  # An authorization under way: verifier and secret.
    await system.client().post("/sign-in")  # A sign-in under way: verifier.

    rewritten = await reseal_everything(replace(system.resources, vault=Vault([new_key, old_key])))

    assert rewritten == Rewritten(3 + 2 + 1, unopened=0)
    vault = Vault([new_key])
    [row] = await connections(system)
    assert row.client_secret is not None
    assert row.refresh_token is not None
    assert opened(vault, row, Connection.client_secret) == system.servicenow.settings.client_secret
    assert opened(vault, row, Connection.refresh_token) == secret
    async with system.resources.database.transaction() as session:
        attempt = (await session.execute(select(AuthorizationAttempt))).scalar_one()
        sign_in = (await session.execute(select(SignInAttempt))).scalar_one()
    for sealed in (attempt.verifier, attempt.client_secret, sign_in.verifier):
        assert sealed is not None
        assert sealed.key == vault.fingerprints[0]
        vault.sealed_at(sealed)  # Raises CannotOpen when the key does not fit.
    assert await call(replace(system.resources, vault=vault), lambda client: client.whoami())


async def test_what_no_key_opens_is_left_and_not_counted(system: System) -> None:
    await system.connect()
    assert await reseal_everything(replace(system.resources, vault=Vault([Vault.new_key()]))) == Rewritten(0, 3)
    [row] = await connections(system)
    assert row.client_secret is not None
    assert opened(system.resources.vault, row, Connection.client_secret) == system.servicenow.settings.client_secret


async def test_a_value_that_was_moved_is_not_sealed_again(system: System) -> None:
    await system.connect()
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE connection SET access_token = client_secret"))
    assert await reseal_everything(system.resources) == Rewritten(2, unopened=1)


async def test_keys_that_are_lost_are_got_over_by_forgetting_and_authorizing_again(system: System) -> None:
    before = await system.connect()
    assert not await forget_what_no_key_opens(system.resources)
    system.resources = replace(system.resources, vault=Vault([Vault.new_key()]))
    system.app.state.resources = system.resources
    assert await forget_what_no_key_opens(system.resources)
    [row] = await connections(system)
    assert (row.status, row.client_secret, row.refresh_token, row.access_token) == ("needs_attention", None, None, None)
    manager = await system.signed_in("manager")
    assert "The key that sealed the tokens is lost." in said(await manager.get("/servicenow"))
    answer = await manager.post("/servicenow/authorize")
    assert answer.headers["location"] == "/servicenow/connect"  # Where the secret is typed again.
    assert (await connect_by_pages(system, manager)).status_code == 303
    [row] = await connections(system)
    assert (row.id, row.status) == (before.id, "connected")
    assert await call(system.resources, lambda client: client.whoami())
