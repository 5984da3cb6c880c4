"""Key rotation: encrypt every stored secret with the newest key, and find what no key opens. Returns no secret."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.core.database import Session
from app.core.logging import get_logger
from app.core.messages import T
from app.core.process_reports import running_processes
from app.core.sealed_columns import context_of, rewrite_sealed
from app.core.vault import CannotOpen, Context, Sealed
from app.features.accounts import models as accounts
from app.features.connection import models as connection
from app.features.connection.active_connection import active_connection
from app.features.connection.models import Connection, ConnectionStatus
from app.features.connection.tokens import needs_attention
from app.resources import Resources

log = get_logger(__name__)
# Tables exist once their modules are imported. Tables of features above this one are imported by app/bootstrap.py.
FEATURES_WITH_SECRETS = (accounts, connection)
KEY_LOST = T(
    "The key that sealed the tokens is lost. Type the client secret again, and authorize.", code="connection.key_lost"
)
SECRETS_OF_USE = (Connection.client_secret, Connection.refresh_token)
# What secrets were sealed for before they were sealed for a row: the purpose alone, by table and column.
PURPOSES_OF_BEFORE = {
    ("connection", "client_secret"): "servicenow client secret",
    ("connection", "access_token"): "servicenow access token",
    ("connection", "refresh_token"): "servicenow refresh token",
    ("authorization_attempt", "client_secret"): "servicenow client secret",
    ("authorization_attempt", "verifier"): "servicenow verifier",
    ("sign_in_attempt", "verifier"): "sign-in verifier",
    ("status_token", "key"): "status token key",
}


@dataclass(frozen=True)
class Rewritten:
    """How many sealed values were written again, and how many were left because nothing of ours opens them there."""

    count: int
    unopened: int


@dataclass(frozen=True)
class KeyTrouble:
    """Why this process cannot open the connection's secrets.

    `missing` are fingerprints of keys it lacks; without any, its keys fit and the values belong elsewhere.
    `another_web_can`: a running web process holds every key that is in use.
    """

    missing: frozenset[str]
    another_web_can: bool


async def reseal_everything(resources: Resources) -> Rewritten:
    """Seal every secret with the first key. What does not open in its place is left as it is, and logged."""

    def resealed(context: Context, old: Sealed) -> Sealed:
        return resources.vault.reseal(context, old)

    return await _rewrite(resources, resealed)


async def bind_everything(resources: Resources) -> Rewritten:
    """Seal what an earlier version sealed for a purpose alone for its row and origin. Changes nothing a second time.

    Part of `python -m app migrate` and of nothing else, so that no such value opens in the running product.
    """

    def bound(context: Context, old: Sealed) -> Sealed | None:
        purpose = PURPOSES_OF_BEFORE.get((context.table, context.column), "")
        return resources.vault.bind(context, purpose, old)

    return await _rewrite(resources, bound)


async def keys_in_use(session: Session) -> frozenset[str]:
    """Fingerprints of the keys that sealed the secrets of the connection in use."""
    found = await active_connection(session)
    sealed = (found.client_secret, found.refresh_token) if found is not None else ()
    return frozenset(value.key for value in sealed if value is not None and value.key)


async def key_trouble(resources: Resources) -> KeyTrouble | None:
    """None when this process's keys open the secrets of the connection in use, or nothing is connected."""
    async with resources.database.transaction() as session:
        found = await active_connection(session)
        if found is None or found.status != ConnectionStatus.CONNECTED or _opens(resources, found):
            return None
        needed = await keys_in_use(session)
        webs = await running_processes(session, "web")
    missing = needed - set(resources.vault.fingerprints)
    return KeyTrouble(missing, bool(missing) and any(needed <= set(web.keys) for web in webs))


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
        for column in SECRETS_OF_USE:
            sealed = getattr(found, column.key)
            if sealed is not None:
                resources.vault.open(context_of(found, column), sealed)
    except CannotOpen:
        return False
    return True


async def _rewrite(resources: Resources, rewrite: Callable[[Context, Sealed], Sealed | None]) -> Rewritten:
    unopened = 0

    def kept_if_closed(context: Context, old: Sealed) -> Sealed | None:
        nonlocal unopened
        try:
            return rewrite(context, old)
        except CannotOpen:
            unopened += 1
            log.warning("vault.value_not_openable", table=context.table, column=context.column)
            return None

    async with resources.database.transaction() as session:
        count = await rewrite_sealed(session, kept_if_closed)
    return Rewritten(count, unopened)
