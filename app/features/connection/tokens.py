"""Keep the access token of a connection live: refreshed one at a time, over all processes. Never touches the Table API."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core import clock
from app.core.database import Session
from app.core.errors import AppError
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.core.sealed_columns import context_of
from app.core.vault import CannotOpen, SealedElsewhere
from app.features.accounts.audit import log_action
from app.features.connection.active_connection import NotConnected, usable_connection
from app.features.connection.models import Connection, ConnectionStatus
from app.features.connection.oauth_client import oauth_client
from app.features.connection.stored_origin import check_stored_origin
from app.features.connection.token_errors import NoToken, RefreshAnswerLost, SecretsMoved, WrongKeys
from app.integrations.http.errors import RemoteError, Throttled, Unauthorized
from app.integrations.servicenow.oauth import NOT_RENEWED, USUAL_REFRESH_SECONDS
from app.integrations.servicenow.schemas import Tokens
from app.resources import Resources

log = get_logger(__name__)

# An access token lives 1,800 s by default (docs/facts/servicenow.md#1-4-token-response). It must outlive the call it is
# used for, which takes up to 40 s, and a wait in the instance's own queue.
RENEW_BEFORE = timedelta(seconds=120)
# Asked early, an instance hands out the same token with what is left of its time (docs/facts/servicenow.md#sandbox-12).
# Of a short life only the last quarter counts as "about to end", or every call in those two minutes would ask for a token.
RENEW_BEFORE_PART = 4
# Two token calls of 5 + 35 s at most, less what is improbable. Others wait for the row's lock a little longer than that.
RENEWAL_SECONDS = 75
LOCK_WAIT = text("SET LOCAL lock_timeout = '90s'")
# https://www.postgresql.org/docs/current/errcodes-appendix.html
LOCK_NOT_AVAILABLE = "55P03"
# `access_denied` is said for passing troubles too, so a refusal is believed when a second request is refused after this
# many seconds: docs/facts/servicenow.md#1-5-error-responses-of-oauth-token-do
SECOND_TRY_SECONDS = 1.0

# asyncio keeps only weak references to tasks; one that is no longer awaited would be collected while it runs.
_renewals_under_way: set[asyncio.Task[Any]] = set()
Renewed = TypeVar("Renewed")


TOKEN_REFUSED = T(
    "ServiceNow refuses even a fresh access token. The integration user may be locked or inactive, or an access policy of "
    "the instance may refuse this server. Check both. We ask again by ourselves from time to time, and tickets wait until "
    "then.",
    code="connection.token_refused",
)
LOST_AND_REFUSED = T(
    "The answer with the new token was lost on its way, and ServiceNow does not accept the token before it any more: it "
    "gives a new one at each renewal. Authorize the connection again. Nothing else is wrong, and tickets wait until then.",
    code="oauth.refresh_answer_lost_and_refused",
)
# No final cause is named, so it may pass: docs/facts/servicenow.md#1-5-error-responses-of-oauth-token-do
MAY_PASS = {NOT_RENEWED.code, TOKEN_REFUSED.code, LOST_AND_REFUSED.code}
# How long after each refusal the next try is due; the last one for all that follow.
RETRY_AFTER = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=1))


@dataclass(frozen=True)
class LiveToken:
    """An opened access token, with what the gateway needs of its connection's row. `version` counts grants."""

    connection_id: UUID
    origin: str
    access_token: str = field(repr=False)
    version: int
    last_success_at: datetime | None


async def set_consent_lifetime(resources: Resources, session: Session, connection_id: UUID, seconds: int) -> None:
    """Keep when the consent ends, from the lifetime that the client's record at ServiceNow names.

    Until that is read, ServiceNow's default of a hundred days is assumed.
    """
    connection = await session.get(Connection, connection_id, with_for_update=True)
    if connection is None or connection.refresh_token is None:
        return
    try:
        # Sealed when it was granted, at the consent or when it was rotated; the vault keeps that to the second.
        granted_at = max(connection.connected_at, resources.vault.sealed_at(connection.refresh_token))
    except CannotOpen:
        return
    connection.refresh_expires_at = granted_at + timedelta(seconds=seconds)


async def mark_attention(
    resources: Resources, connection_id: UUID, sentence: Message, *, token_version: int | None = None
) -> None:
    """Mark the connection as needing attention: nothing is sent until a person authorizes it again.

    Does nothing unless the status is CONNECTED. With `token_version`, only if no newer token has come since: a consent
    given in the meantime is not spoiled.
    """
    async with resources.database.transaction() as session:
        connection = await session.get(Connection, connection_id, with_for_update=True)
        if connection is None or connection.status != ConnectionStatus.CONNECTED:
            return
        if token_version is None or connection.token_version == token_version:
            await needs_attention(session, connection, sentence)


async def needs_attention(session: Session, connection: Connection, sentence: Message) -> None:
    """Within the caller's transaction: this connection waits for a person, who is told the sentence on every page."""
    connection.status, connection.status_changed_at = ConnectionStatus.NEEDS_ATTENTION, clock.now()
    connection.attention = sentence.to_json()
    connection.renewal_refusals = 0
    plan_retry(connection, sentence)
    await log_action(session, None, T("Connection needs attention"), instance=connection.instance_name, why=sentence)
    log.warning("connection.needs_attention", connection=str(connection.id), code=sentence.code, why=str(sentence))


def plan_retry(connection: Connection, sentence: Message) -> None:
    """When ServiceNow is asked again after it said `sentence`: ever more rarely, and not at all where the cause is final."""
    wait = RETRY_AFTER[min(connection.renewal_refusals, len(RETRY_AFTER) - 1)]
    connection.next_renewal_at = clock.now() + wait if sentence.code in MAY_PASS else None
    connection.renewal_refusals += 1


async def stored_token(resources: Resources, connection_id: UUID, session: Session) -> LiveToken | None:
    """The stored access token, None unless it can still be used. Raises NotConnected."""
    return still_good(resources, await usable_connection(session, connection_id))


async def live_token(
    resources: Resources, connection_id: UUID | None, *, stale_version: int | None = None
) -> LiveToken:
    """A token with some life left; one that is about to end, or of the version ServiceNow just refused, is renewed."""
    async with resources.database.transaction() as session:
        connection = await usable_connection(session, connection_id)
        live = still_good(resources, connection, stale_version)
    if live is not None:
        return live
    # Within one process callers wait here, where waiting costs nothing, and not with a database connection each.
    async with resources.keyed_locks.of(f"servicenow token {connection.id}"):
        return await to_the_end(_renewed(resources, connection.id, stale_version))


async def to_the_end(renewal: Coroutine[Any, Any, Renewed]) -> Renewed:
    """The renewal's outcome. It goes on when the caller is cancelled: a rotated refresh token must be stored all the same."""
    task = asyncio.create_task(renewal)
    _renewals_under_way.add(task)
    task.add_done_callback(_renewals_under_way.discard)
    return await asyncio.shield(task)


async def _renewed(resources: Resources, connection_id: UUID, stale_version: int | None) -> LiveToken:
    """Renew under the row's lock: the process that comes second finds the token that the first one got.

    This is the one place that holds a transaction across a remote call: the lock is what makes refreshes single, and a
    rotated refresh token must not be used twice (docs/decisions/0004-one-refresh-at-a-time.md).
    """
    try:
        async with resources.database.transaction() as session:
            await session.execute(LOCK_WAIT)
            connection = await usable_connection(session, connection_id, lock=True)
            live = still_good(resources, connection, stale_version)
            if live is not None:
                return live
            try:
                tokens = await refreshed(resources, connection)
            except Unauthorized as error:
                # In this transaction: a consent that waits for the lock must find the status, and undo it.
                sentence = LOST_AND_REFUSED if was_answer_lost_before(connection, error) else error.message
                await needs_attention(session, connection, sentence)
                failed: AppError = NotConnected(sentence)
            except RefreshAnswerLost as error:
                # For the next refresh, also in another process: a refusal would then have this cause.
                connection.refresh_answer_lost_at = clock.now()
                failed = error
            else:
                store_tokens(resources, connection, tokens)
                log.info("token.refreshed", connection=str(connection.id), version=connection.token_version)
                return _live(connection, tokens.access_token)
    except DBAPIError as error:
        if is_lock_timeout(error):
            raise NoToken from error
        raise
    raise failed


def is_lock_timeout(error: DBAPIError) -> bool:
    """Whether another process held the connection's row for too long."""
    return getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE


def was_answer_lost_before(connection: Connection, error: Unauthorized) -> bool:
    """Whether this refusal follows from a lost answer. Only where ServiceNow names no cause of its own."""
    return connection.refresh_answer_lost_at is not None and error.code == NOT_RENEWED.code


async def refreshed(resources: Resources, connection: Connection, *, tries: int = 2) -> Tokens:
    """New tokens; the caller holds the row's lock. Raises Unauthorized when refused so often, NoToken for what may pass."""
    try:
        async with asyncio.timeout(RENEWAL_SECONDS):
            return await _refresh(resources, connection, tries)
    except (Unauthorized, NoToken):
        raise
    except Throttled as error:
        raise NoToken(error.message, retry=error.retry) from error
    except TimeoutError as error:
        raise RefreshAnswerLost from error
    except RemoteError as error:
        if not error.is_final:
            raise RefreshAnswerLost from error
        # A lost answer of the token service says nothing of the call that needed the token: that was not sent.
        named = error.retry if error.retry.seconds is not None else None
        raise NoToken(
            T("Our access at ServiceNow could not be renewed: %(why)s", why=error.message), retry=named
        ) from error


async def _refresh(resources: Resources, connection: Connection, tries: int) -> Tokens:
    if connection.refresh_token is None or connection.client_secret is None:
        raise Unauthorized(T("There is no refresh token for this connection. Authorize it again."))
    check_stored_origin(resources, connection.origin)
    try:
        client_secret = resources.vault.open(context_of(connection, Connection.client_secret), connection.client_secret)
        refresh_token = resources.vault.open(context_of(connection, Connection.refresh_token), connection.refresh_token)
    except SealedElsewhere as error:
        log.error("token.sealed_for_another_place", connection=str(connection.id), origin=connection.origin)
        raise SecretsMoved from error
    except CannotOpen as error:
        log.error("token.vault_keys_do_not_fit", connection=str(connection.id))
        raise WrongKeys from error
    oauth = oauth_client(resources, connection.origin, connection.client_id, client_secret)
    for _ in range(tries - 1):
        try:
            return await oauth.refresh(refresh_token)
        except Unauthorized:
            await clock.sleep(SECOND_TRY_SECONDS)
    return await oauth.refresh(refresh_token)


def store_tokens(resources: Resources, connection: Connection, tokens: Tokens) -> None:
    """Seal and keep the tokens of a grant. A refresh token that the response leaves out stays as it is.

    A new refresh token lives its whole time from now on; one that came back unchanged does not
    (docs/facts/servicenow.md#1-4-token-response).
    """
    now = clock.now()
    connection.access_token = resources.vault.seal(context_of(connection, Connection.access_token), tokens.access_token)
    connection.access_granted_at = now
    connection.access_expires_at = now + timedelta(seconds=tokens.expires_in)
    if tokens.refresh_token is not None and tokens.refresh_token != _opened_refresh_token(resources, connection):
        connection.refresh_token = resources.vault.seal(
            context_of(connection, Connection.refresh_token), tokens.refresh_token
        )
        connection.refresh_expires_at = now + timedelta(seconds=USUAL_REFRESH_SECONDS)
    connection.refresh_answer_lost_at = None
    connection.scope = tokens.scope
    connection.token_version = (connection.token_version or 0) + 1


def _opened_refresh_token(resources: Resources, connection: Connection) -> str | None:
    if connection.refresh_token is None:
        return None
    try:
        return resources.vault.open(context_of(connection, Connection.refresh_token), connection.refresh_token)
    except CannotOpen:
        return None


def still_good(resources: Resources, connection: Connection, stale_version: int | None = None) -> LiveToken | None:
    """The stored access token, unless it is about to end, is of the version that was just refused, or does not open."""
    granted, expires = connection.access_granted_at, connection.access_expires_at
    if connection.access_token is None or granted is None or expires is None:
        return None
    margin = min(RENEW_BEFORE, (expires - granted) / RENEW_BEFORE_PART)
    if connection.token_version == stale_version or expires - margin <= clock.now():
        return None
    try:
        token = resources.vault.open(context_of(connection, Connection.access_token), connection.access_token)
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
    )
