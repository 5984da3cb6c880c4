"""Lends out a ServiceNow client with a live token; refreshes one at a time across all processes. Decides nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core import clock
from app.core.database import Session
from app.core.errors import AppError
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.core.vault import CannotOpen
from app.features.accounts.audit import log_action
from app.features.connection.active_connection import NotConnected, usable_connection
from app.features.connection.call_log import keep_calls
from app.features.connection.models import Connection, ConnectionStatus
from app.features.connection.oauth_client import ACCESS_TOKEN, CLIENT_SECRET, REFRESH_TOKEN, oauth_client
from app.integrations.http.errors import RemoteError, Throttled, Unauthorized, Unreachable
from app.integrations.servicenow.oauth import NOT_RENEWED, USUAL_REFRESH_SECONDS
from app.integrations.servicenow.schemas import Tokens
from app.resources import Resources

log = get_logger(__name__)

# Tokens live 1,800 s by default; one that is about to end is not used for a call that may take 30 s.
RENEW_BEFORE = timedelta(seconds=120)
# An instance that is asked early hands out the same token with what is left of its time (facts 1.4). Of a short life
# only the last quarter counts as "about to end", or every call in those two minutes would ask for a token.
RENEW_BEFORE_PART = 4
# Connect, wait and read of two token calls; whoever waits for the lock waits a little longer than that.
RENEWAL_SECONDS = 75
LOCK_WAIT = text("SET LOCAL lock_timeout = '90s'")
LOCK_NOT_AVAILABLE = "55P03"

_renewals_under_way: set[asyncio.Task[LiveToken]] = set()


class NoToken(Unreachable):
    """The access token could not be renewed just now. What was wanted of ServiceNow was not sent, for certain."""

    default = T("ServiceNow could not renew our access just now. Nothing was sent; we will try again.")


class RefreshAnswerLost(NoToken):
    """A renewal was sent, and whether it was done is unknown: an instance that rotates may have spent our refresh token."""

    default = T(
        "An answer of ServiceNow with a new token was lost on its way. Nothing else was sent; we will try again."
    )


class WrongKeys(NoToken):
    """This process's VAULT_KEYS do not open what is stored: its own trouble, which says nothing of the connection."""

    default = T(
        "This server cannot open the stored tokens: they were sealed with a key that is not among its VAULT_KEYS. Nothing "
        "was sent. Its operator has to add that key and restart. If the key is lost, authorize the connection again."
    )


TOKEN_REFUSED = T(
    "ServiceNow refuses even a fresh access token. The integration user may be locked or inactive, or an access policy of "
    "the instance may refuse this server. Check both, then authorize the connection again.",
    code="connection.token_refused",
)
LOST_AND_REFUSED = T(
    "The answer with the new token was lost on its way, and ServiceNow does not accept the token before it any more: it "
    "gives a new one at each renewal. Authorize the connection again. Nothing else is wrong, and tickets wait until then."
)


@dataclass(frozen=True)
class LiveToken:
    connection_id: UUID
    origin: str
    access_token: str
    version: int
    last_success_at: datetime | None
    was_throttled: bool


async def renew_now(resources: Resources) -> None:
    """Renew the access token although it may live: the only way to know that this works. Raises as `with_client` does."""
    try:
        live = await live_token(resources, None, stale_version=None)
        await live_token(resources, live.connection_id, stale_version=live.version)
    finally:
        await keep_calls(resources)


async def consent_lasts(resources: Resources, session: Session, connection_id: UUID, seconds: int) -> None:
    """The client's record says how long a consent lasts; until it is read, the usual hundred days are assumed."""
    connection = await session.get(Connection, connection_id, with_for_update=True)
    if connection is None or connection.refresh_token is None:
        return
    try:
        # It was sealed when it was granted, at the consent or when it was rotated; the vault keeps that to the second.
        granted_at = max(connection.connected_at, resources.vault.sealed_at(connection.refresh_token))
    except CannotOpen:
        return
    connection.refresh_expires_at = granted_at + timedelta(seconds=seconds)


async def mark_attention(
    resources: Resources, connection_id: UUID, sentence: Message, *, token_version: int | None = None
) -> None:
    """Say on every page what a person must do; tickets wait meanwhile.

    With `token_version`, only if no newer token has come since: a consent given in the meantime is not spoiled.
    """
    async with resources.database.transaction() as session:
        connection = await session.get(Connection, connection_id, with_for_update=True)
        if connection is None or connection.status != ConnectionStatus.CONNECTED:
            return
        if token_version is None or connection.token_version == token_version:
            await needs_attention(session, connection, sentence)


async def needs_attention(session: Session, connection: Connection, sentence: Message) -> None:
    """Within the caller's transaction: this connection waits for a person."""
    connection.status = ConnectionStatus.NEEDS_ATTENTION
    connection.attention = sentence.to_json()
    await log_action(session, None, T("Connection needs attention"), instance=connection.instance_name, why=sentence)
    log.warning("connection needs attention", connection=str(connection.id), why=str(sentence))


async def live_token(resources: Resources, connection_id: UUID | None, *, stale_version: int | None) -> LiveToken:
    """A token that will live a while; one that is stale, or of the version ServiceNow just refused, is renewed."""
    async with resources.database.transaction() as session:
        connection = await usable_connection(session, connection_id, lock=False)
        live = _still_good(resources, connection, stale_version)
    if live is not None:
        return live
    # Within one process the crowd waits here, where waiting costs nothing, and not with a database connection each.
    async with resources.keyed_locks.of(f"servicenow token {connection.id}"):
        task = asyncio.create_task(_renewed(resources, connection.id, stale_version))
        _renewals_under_way.add(task)
        task.add_done_callback(_renewals_under_way.discard)
        # Whoever asked may go away; a rotated refresh token that has left ServiceNow must be stored all the same.
        return await asyncio.shield(task)


async def _renewed(resources: Resources, connection_id: UUID, stale_version: int | None) -> LiveToken:
    """Renew under the row's lock: whoever comes second finds the token that the first one got.

    This is the one place that holds a transaction across a remote call: the lock is what makes refreshes single, and a
    rotated refresh token must not be used twice (docs/decisions/0004-one-refresh-at-a-time.md).
    """
    try:
        async with resources.database.transaction() as session:
            await session.execute(LOCK_WAIT)
            connection = await usable_connection(session, connection_id, lock=True)
            live = _still_good(resources, connection, stale_version)
            if live is not None:
                return live
            try:
                tokens = await _refreshed(resources, connection)
            except Unauthorized as error:
                # In this transaction: a consent that waits for the lock must find it said, and undo it.
                sentence = LOST_AND_REFUSED if _was_lost_before(connection, error) else error.message
                await needs_attention(session, connection, sentence)
                failed: AppError = NotConnected(sentence)
            except RefreshAnswerLost as error:
                # For whoever comes next, also in another process: a refusal would then have this cause.
                connection.attention = error.message.to_json()
                failed = error
            else:
                connection.attention = None
                store_tokens(resources, connection, tokens)
                log.info("access token renewed", connection=str(connection.id), version=connection.token_version)
                return _live(connection, tokens.access_token)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
            raise NoToken from error
        raise
    raise failed


def _was_lost_before(connection: Connection, error: Unauthorized) -> bool:
    """Only where ServiceNow names no cause of its own."""
    return connection.attention == RefreshAnswerLost.default.to_json() and error.message == NOT_RENEWED


async def _refreshed(resources: Resources, connection: Connection) -> Tokens:
    """New tokens. Raises SignedOut when the grant is over, and NoToken for everything that may pass."""
    try:
        async with asyncio.timeout(RENEWAL_SECONDS):
            return await _refresh(resources, connection)
    except (Unauthorized, NoToken):
        raise
    except Throttled as error:
        raise NoToken(error.message, retry=error.retry) from error
    except TimeoutError as error:
        raise RefreshAnswerLost from error
    except RemoteError as error:
        if not error.is_final:
            raise RefreshAnswerLost from error
        # An answer of the token service that was lost says nothing of the call that needed the token: it was not sent.
        named = error.retry if error.retry.seconds is not None else None
        raise NoToken(
            T("Our access at ServiceNow could not be renewed: %(why)s", why=error.message), retry=named
        ) from error


async def _refresh(resources: Resources, connection: Connection) -> Tokens:
    """Ask twice before giving up: ServiceNow says `access_denied` for passing troubles too (facts 1.5)."""
    if connection.refresh_token is None or connection.client_secret is None:
        raise Unauthorized(T("There is no refresh token for this connection. Authorize it again."))
    try:
        client_secret = resources.vault.open(CLIENT_SECRET, connection.client_secret)
        refresh_token = resources.vault.open(REFRESH_TOKEN, connection.refresh_token)
    except CannotOpen as error:
        log.error("stored tokens fit none of this process's VAULT_KEYS", connection=str(connection.id))
        raise WrongKeys from error
    oauth = oauth_client(resources, connection.origin, connection.client_id, client_secret)
    try:
        return await oauth.refresh(refresh_token)
    except Unauthorized:
        await clock.sleep(1)
        return await oauth.refresh(refresh_token)


def store_tokens(resources: Resources, connection: Connection, tokens: Tokens) -> None:
    """Seal and keep what a grant gave; a refresh token that the answer leaves out stays as it is.

    A refresh token that is new lives its whole time from now on; one that came back unchanged does not (facts 1.4).
    """
    now = clock.now()
    connection.access_token = resources.vault.seal(ACCESS_TOKEN, tokens.access_token)
    connection.access_granted_at = now
    connection.access_expires_at = now + timedelta(seconds=tokens.expires_in)
    if tokens.refresh_token is not None and tokens.refresh_token != _opened_refresh_token(resources, connection):
        connection.refresh_token = resources.vault.seal(REFRESH_TOKEN, tokens.refresh_token)
        connection.refresh_expires_at = now + timedelta(seconds=USUAL_REFRESH_SECONDS)
    connection.scope = tokens.scope
    connection.token_version = (connection.token_version or 0) + 1


def _opened_refresh_token(resources: Resources, connection: Connection) -> str | None:
    if connection.refresh_token is None:
        return None
    try:
        return resources.vault.open(REFRESH_TOKEN, connection.refresh_token)
    except CannotOpen:
        return None


def _still_good(resources: Resources, connection: Connection, stale_version: int | None) -> LiveToken | None:
    granted, expires = connection.access_granted_at, connection.access_expires_at
    if connection.access_token is None or granted is None or expires is None:
        return None
    margin = min(RENEW_BEFORE, (expires - granted) / RENEW_BEFORE_PART)
    if connection.token_version == stale_version or expires - margin <= clock.now():
        return None
    try:
        token = resources.vault.open(ACCESS_TOKEN, connection.access_token)
    except CannotOpen:
        return None
    return _live(connection, token)


def _live(connection: Connection, access_token: str) -> LiveToken:
    return LiveToken(
        connection_id=connection.id,
        origin=connection.origin,
        access_token=access_token,
        version=connection.token_version,
        last_success_at=connection.last_success_at,
        was_throttled=connection.throttled_until is not None,
    )
