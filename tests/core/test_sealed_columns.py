"""The place of a sealed value: the row's table, column, key and origin, the same from an object and from a table's row."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import select

from app.core.sealed_columns import context_of, each_sealed, rewrite_sealed, sealed_tables
from app.core.vault import CannotOpen, Context, Sealed, SealedText, Vault
from app.features.accounts.models import SignInAttempt
from app.features.connection.models import Connection
from app.features.provisioning.models import StatusToken
from tests.factories.system import System

ORIGIN = "https://contoso.service-now.com"


def test_a_place_is_table_column_row_and_origin() -> None:
    row = Connection(id=uuid4(), origin=ORIGIN)
    assert context_of(row, Connection.client_secret) == Context("connection", "client_secret", str(row.id), (ORIGIN,))
    assert context_of(row, Connection.client_secret) != context_of(row, Connection.refresh_token)


def test_a_new_row_gets_its_id_with_the_first_sealed_value() -> None:
    row = SignInAttempt()
    place = context_of(row, SignInAttempt.verifier)
    assert place == Context("sign_in_attempt", "verifier", str(row.id))
    assert context_of(row, SignInAttempt.verifier) == place


def test_a_value_is_sealed_for_no_row_without_its_origin_and_for_no_foreign_column() -> None:
    with pytest.raises(ValueError, match="origin"):
        context_of(Connection(), Connection.client_secret)
    with pytest.raises(TypeError, match="no column of SignInAttempt"):
        context_of(SignInAttempt(), Connection.client_secret)
    with pytest.raises(TypeError, match="no sealed column"):
        context_of(Connection(origin=ORIGIN), Connection.client_id)


def test_every_sealed_column_of_the_product_is_known_and_what_is_sent_away_is_bound_to_its_origin() -> None:
    known: dict[str, dict[str, tuple[str, ...]]] = {}
    for table, columns in sealed_tables():
        kinds = {column.name: column.type for column in columns}
        known[table.name] = {name: kind.bound_to for name, kind in kinds.items() if isinstance(kind, SealedText)}
    for_origin = ("origin",)
    assert known == {
        "connection": {"client_secret": for_origin, "access_token": for_origin, "refresh_token": for_origin},
        "authorization_attempt": {"client_secret": for_origin, "verifier": for_origin},
        "sign_in_attempt": {"verifier": ()},
        "status_token": {"key": ()},
        "web_session": {"refresh_token": ()},
        "unsent_form": {"content": ("route", "browser_hash")},
    }


async def test_the_tables_rows_have_the_places_that_their_objects_have(system: System) -> None:
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        places = {place async for place, _ in each_sealed(session)}
    columns = (Connection.client_secret, Connection.access_token, Connection.refresh_token)
    assert places == {context_of(connection, column) for column in columns}


async def test_only_what_changes_is_written(system: System) -> None:
    connection = await system.connect()
    new = Sealed("another")
    changed = context_of(connection, Connection.access_token)
    async with system.resources.database.transaction() as session:
        assert await rewrite_sealed(session, lambda place, _: new if place == changed else None) == 1
    async with system.resources.database.transaction() as session:
        row = (await session.execute(select(Connection))).scalar_one()
    assert (row.access_token, row.refresh_token) == (new, connection.refresh_token)


def test_a_value_that_was_copied_to_another_row_does_not_open_there(vault: Vault) -> None:
    """Who can write to the database must not be able to use one row's secret as another's."""
    rows = [StatusToken(), StatusToken()]
    rows[0].key = vault.seal(context_of(rows[0], StatusToken.key), "s3cret")
    rows[1].key = rows[0].key
    assert vault.open(context_of(rows[0], StatusToken.key), rows[0].key) == "s3cret"
    with pytest.raises(CannotOpen):
        vault.open(context_of(rows[1], StatusToken.key), rows[1].key)
