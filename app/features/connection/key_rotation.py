"""Seals every stored secret anew with the newest key, and finds what no key opens. Gives no secret away."""

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
# Tables exist once their modules are imported. Those of rooms above this one are imported where the house is put together.
ROOMS = (accounts, connection)
KEY_LOST = T(
    "The key that sealed the tokens is lost. Type the client secret again, and authorize.", code="connection.key_lost"
)


async def reseal_everything(resources: Resources) -> int:
    """How many secrets are now sealed with the first key.

    Every sealed column of every table is found by its type, so that none can be forgotten. What no key opens any more
    is left as it is and written to the log: it was lost before.
    """
    count = 0
    async with resources.database.transaction() as session:
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
    """For keys that are lost: the connection lets go of its secrets and waits to be authorized. Whether there was need.

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
    """Row by row, under a lock: a token that is renewed meanwhile must not be overwritten with the one before."""
    key = table.primary_key.columns[0]
    rows = await session.execute(select(key, *sealed).with_for_update())
    count = 0
    for row in rows.all():
        values = {}
        for column, old in zip(sealed, row[1:], strict=True):
            if isinstance(old, Sealed) and (anew := _resealed(resources, table, column, old)):
                values[column.name] = anew
        if values:
            await session.execute(update(table).where(key == bindparam("of_row")), {"of_row": row[0], **values})
        count += len(values)
    return count


def _resealed(resources: Resources, table: Table, column: Column[Any], old: Sealed) -> Sealed | None:
    try:
        return resources.vault.reseal(old)
    except CannotOpen:
        log.warning("a sealed value fits none of VAULT_KEYS", table=table.name, column=column.name)
        return None
