"""Key rotation: encrypt every stored secret with the newest key, and find what no key opens. Returns no secret."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Table, bindparam, select, update

from app.core.database import Base, Session
from app.core.logging import get_logger
from app.core.messages import T
from app.core.vault import CannotOpen, Sealed, SealedText
from app.features.accounts import models as accounts
from app.features.connection import models as connection
from app.features.connection.active_connection import active_connection
from app.features.connection.models import Connection, ConnectionStatus
from app.features.connection.oauth_client import CLIENT_SECRET, REFRESH_TOKEN
from app.features.connection.tokens import needs_attention
from app.resources import Resources

log = get_logger(__name__)
# Tables exist once their modules are imported. Tables of features above this one are imported by app/bootstrap.py.
FEATURES_WITH_SECRETS = (accounts, connection)
KEY_LOST = T(
    "The key that sealed the tokens is lost. Type the client secret again, and authorize.", code="connection.key_lost"
)


async def reseal_everything(resources: Resources) -> int:
    """How many secrets are now sealed with the first key. What no key opens is left as it is, and logged."""
    count = 0
    async with resources.database.transaction() as session:
        # Sealed columns are found by their type, in every table, so that none can be forgotten.
        for table in Base.metadata.sorted_tables:
            sealed = [column for column in table.columns if isinstance(column.type, SealedText)]
            if sealed:
                count += await _reseal_table(resources, session, table, sealed)
    return count


async def opens_what_is_stored(resources: Resources) -> bool:
    """Whether this process's keys open the secrets of the connection in use; without one there is nothing to open."""
    async with resources.database.transaction() as session:
        found = await active_connection(session)
    return found is None or found.status != ConnectionStatus.CONNECTED or _opens(resources, found)


async def forget_what_no_key_opens(resources: Resources) -> bool:
    """Discard the secrets of the connection when no key opens them; it then waits to be authorized. Whether it was needed.

    Its row stays, and with it every ticket.
    """
    async with resources.database.transaction() as session:
        found = await active_connection(session)
        if found is None:
            return False
        await session.refresh(found, with_for_update=True)
        if _opens(resources, found):
            return False
        found.client_secret = found.refresh_token = found.access_token = None
        await needs_attention(session, found, KEY_LOST)
    return True


def _opens(resources: Resources, found: Connection) -> bool:
    try:
        for purpose, sealed in ((CLIENT_SECRET, found.client_secret), (REFRESH_TOKEN, found.refresh_token)):
            if sealed is not None:
                resources.vault.open(purpose, sealed)
    except CannotOpen:
        return False
    return True


async def _reseal_table(resources: Resources, session: Session, table: Table, sealed: list[Column[Any]]) -> int:
    key = table.primary_key.columns[0]
    # Locked: a token that is renewed meanwhile must not be overwritten with the one before.
    rows = await session.execute(select(key, *sealed).with_for_update())
    count = 0
    for row in rows.all():
        values = {}
        for column, old in zip(sealed, row[1:], strict=True):
            if isinstance(old, Sealed) and (resealed := _resealed(resources, table, column, old)):
                values[column.name] = resealed
        if values:
            await session.execute(update(table).where(key == bindparam("of_row")), {"of_row": row[0], **values})
        count += len(values)
    return count


def _resealed(resources: Resources, table: Table, column: Column[Any], old: Sealed) -> Sealed | None:
    try:
        return resources.vault.reseal(old)
    except CannotOpen:
        log.warning("vault.value_not_openable", table=table.name, column=column.name)
        return None
