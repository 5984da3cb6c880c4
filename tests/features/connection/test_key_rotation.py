"""Rotating the vault's keys, and losing them: every sealed column of every table, found by its type."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select, text

from app.core.database import Base
from app.core.vault import SealedText, Vault
from app.features.accounts.models import SignInAttempt
from app.features.connection.gateway import call
from app.features.connection.key_rotation import forget_what_no_key_opens, reseal_everything
from app.features.connection.models import AuthorizationAttempt
from app.features.connection.oauth_client import CLIENT_SECRET, REFRESH_TOKEN
from tests.factories.connecting import begin, connect_by_pages, connections, said
from tests.factories.system import System


async def test_everything_sealed_opens_with_the_new_key_alone(system: System) -> None:
    old_key, new_key = Vault.new_key(), Vault.new_key()
    system.resources = replace(system.resources, vault=Vault([old_key]))
    system.app.state.resources = system.resources
    connection = await system.connect()
    assert connection.refresh_token is not None
    secret = system.resources.vault.open(REFRESH_TOKEN, connection.refresh_token)
    manager = await system.signed_in("manager")
    await begin(system, manager)  # An authorization under way: verifier and secret.
    await system.client().post("/sign-in")  # A sign-in under way: verifier.

    count = await reseal_everything(replace(system.resources, vault=Vault([new_key, old_key])))

    assert count == 3 + 2 + 1
    vault = Vault([new_key])
    [row] = await connections(system)
    assert row.client_secret is not None
    assert row.refresh_token is not None
    assert vault.open(CLIENT_SECRET, row.client_secret) == system.servicenow.settings.client_secret
    assert vault.open(REFRESH_TOKEN, row.refresh_token) == secret
    async with system.resources.database.transaction() as session:
        attempt = (await session.execute(select(AuthorizationAttempt))).scalar_one()
        sign_in = (await session.execute(select(SignInAttempt))).scalar_one()
    for sealed in (attempt.verifier, attempt.client_secret, sign_in.verifier):
        assert sealed is not None
        vault.reseal(sealed)  # Raises CannotOpen when the key does not fit.
    assert await call(replace(system.resources, vault=vault), lambda client: client.whoami())


async def test_what_no_key_opens_is_left_and_not_counted(system: System) -> None:
    await system.connect()
    assert await reseal_everything(replace(system.resources, vault=Vault([Vault.new_key()]))) == 0
    [row] = await connections(system)
    assert row.client_secret is not None
    assert system.resources.vault.open(CLIENT_SECRET, row.client_secret) == system.servicenow.settings.client_secret


def test_every_sealed_column_of_the_product_is_known() -> None:
    tables = {
        table.name
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, SealedText)
    }
    assert tables == {
        "connection", "authorization_attempt", "sign_in_attempt", "status_token", "unsent_form", "web_session",
    }  # fmt: skip


async def test_a_process_whose_keys_do_not_fit_is_not_ready_and_lives(system: System) -> None:
    async with system.resources.database.transaction() as session:
        await session.execute(text("CREATE TABLE alembic_version (version_num varchar)"))
    keys = system.resources.vault
    async with system.client() as probe:
        system.app.state.resources = replace(system.resources, vault=Vault([Vault.new_key()]))
        assert (await probe.get("/health/ready")).status_code == 200  # Nothing is stored yet.
        await system.connect()
        answer = await probe.get("/health/ready")
        assert answer.status_code == 503
        assert "VAULT_KEYS of this process do not open the stored tokens" in answer.json()["problem"]
        assert (await probe.get("/health/live")).status_code == 200
        system.app.state.resources = replace(system.resources, vault=keys)
        assert (await probe.get("/health/ready")).status_code == 200


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
