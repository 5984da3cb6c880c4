"""Rotating the vault's keys: every sealed column of every table, found by its type."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select

from app.features.accounts.models import SignInAttempt
from app.features.connection.access import CLIENT_SECRET, REFRESH_TOKEN, with_client
from app.features.connection.models import AuthorizationAttempt
from app.features.connection.reseal import reseal_everything
from app.foundation.database import Base
from app.foundation.vault import SealedText, Vault
from tests.factories.connecting import begin, connections
from tests.factories.house import House


async def test_everything_sealed_opens_with_the_new_key_alone(house: House) -> None:
    old_key, new_key = Vault.new_key(), Vault.new_key()
    house.resources = replace(house.resources, vault=Vault([old_key]))
    house.app.state.resources = house.resources
    connection = await house.connect()
    assert connection.refresh_token is not None
    secret = house.resources.vault.open(REFRESH_TOKEN, connection.refresh_token)
    manager = await house.signed_in("manager")
    await begin(house, manager)  # An authorization under way: verifier and secret.
    await house.client().post("/sign-in")  # A sign-in under way: verifier.

    count = await reseal_everything(replace(house.resources, vault=Vault([new_key, old_key])))

    assert count == 3 + 2 + 1
    vault = Vault([new_key])
    [row] = await connections(house)
    assert row.client_secret is not None
    assert row.refresh_token is not None
    assert vault.open(CLIENT_SECRET, row.client_secret) == house.snow.settings.client_secret
    assert vault.open(REFRESH_TOKEN, row.refresh_token) == secret
    async with house.resources.database.transaction() as session:
        attempt = (await session.execute(select(AuthorizationAttempt))).scalar_one()
        sign_in = (await session.execute(select(SignInAttempt))).scalar_one()
    for sealed in (attempt.verifier, attempt.client_secret, sign_in.verifier):
        assert sealed is not None
        vault.reseal(sealed)  # Raises CannotOpen when the key does not fit.
    assert await with_client(replace(house.resources, vault=vault), lambda client: client.whoami())


async def test_what_no_key_opens_is_left_and_not_counted(house: House) -> None:
    await house.connect()
    assert await reseal_everything(replace(house.resources, vault=Vault([Vault.new_key()]))) == 0
    [row] = await connections(house)
    assert row.client_secret is not None
    assert house.resources.vault.open(CLIENT_SECRET, row.client_secret) == house.snow.settings.client_secret


def test_every_sealed_column_of_the_house_is_known() -> None:
    tables = {
        table.name
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, SealedText)
    }
    assert tables == {"connection", "authorization_attempt", "sign_in_attempt", "status_token"}
