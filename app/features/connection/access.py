"""Lends out a ServiceNow client with a live token; refreshes one at a time across all processes. Decides nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select

from app.features.connection.models import Connection, ConnectionStatus
from app.foundation import clock
from app.foundation.database import Session
from app.foundation.errors import NeedsAttention
from app.foundation.logs import get_logger
from app.foundation.text import T, Text
from app.foundation.vault import CannotOpen
from app.remote.errors import SignedOut
from app.remote.servicenow.client import ServiceNowClient
from app.remote.servicenow.oauth import ServiceNowOAuth
from app.remote.servicenow.shapes import Tokens
from app.resources import Resources

log = get_logger(__name__)

ACCESS_TOKEN = "servicenow access token"  # noqa: S105 - a purpose, not a secret.
REFRESH_TOKEN = "servicenow refresh token"  # noqa: S105 - a purpose, not a secret.
CLIENT_SECRET = "servicenow client secret"  # noqa: S105 - a purpose, not a secret.
# Tokens live 1,800 s by default; one that is about to end is not used for a call that may take 30 s.
RENEW_BEFORE = timedelta(seconds=120)

Answer = TypeVar("Answer")


class NotConnected(NeedsAttention):
    """There is no connection, or it waits for a person."""

    default = T("ServiceNow is not connected. An administrator connects it on the ServiceNow page.")


@dataclass(frozen=True)
class _Live:
    connection_id: UUID
    origin: str
    access_token: str
    version: int


async def active_connection(session: Session) -> Connection | None:
    """The one connection that is not removed, whatever its health."""
    found = await session.execute(select(Connection).where(Connection.status != ConnectionStatus.REMOVED))
    return found.scalar_one_or_none()


def redirect_uri(resources: Resources) -> str:
    """The address registered at ServiceNow for answers."""
    return f"{resources.config.public_url}/servicenow/callback"


async def with_client(
    resources: Resources, work: Callable[[ServiceNowClient], Awaitable[Answer]], *, connection_id: UUID | None = None
) -> Answer:
    """The answer of `work`, called with a client whose token is live; `connection_id` insists on that connection.

    A 401 is believed once: the token is renewed and `work` called a second time, which is safe even for writes, since a
    refused call was not done. Raises NotConnected (also when renewing is refused: the connection then needs attention)
    and whatever `work` raises.
    """
    live = await _live_token(resources, connection_id, stale_version=None)
    try:
        return await work(ServiceNowClient(resources.servicenow, live.origin, live.access_token))
    except SignedOut:
        live = await _live_token(resources, live.connection_id, stale_version=live.version)
    try:
        return await work(ServiceNowClient(resources.servicenow, live.origin, live.access_token))
    except SignedOut as error:
        sentence = T("ServiceNow refuses even a fresh access token. Authorize the connection again.")
        await mark_attention(resources, live.connection_id, sentence)
        raise NotConnected(sentence) from error


async def mark_attention(resources: Resources, connection_id: UUID, sentence: Text) -> None:
    """Say on every page what a person must do; tickets wait meanwhile."""
    async with resources.database.transaction() as session:
        connection = await session.get(Connection, connection_id, with_for_update=True)
        if connection is not None and connection.status == ConnectionStatus.CONNECTED:
            connection.status = ConnectionStatus.NEEDS_ATTENTION
            connection.attention = sentence.to_json()


async def _live_token(resources: Resources, connection_id: UUID | None, *, stale_version: int | None) -> _Live:
    """A token that will live a while; one that is stale, or of the version ServiceNow just refused, is renewed."""
    async with resources.database.transaction() as session:
        connection = await _find(session, connection_id, lock=False)
        live = _still_good(resources, connection, stale_version)
    if live is not None:
        return live
    return await _renewed(resources, connection.id, stale_version)


async def _renewed(resources: Resources, connection_id: UUID, stale_version: int | None) -> _Live:
    """Renew under the row's lock: whoever comes second finds the token that the first one got.

    This is the one place that holds a transaction across a remote call: the lock is what makes refreshes single, and a
    rotated refresh token must not be used twice (docs/decisions/0004-one-refresh-at-a-time.md).
    """
    refused: Text
    async with resources.database.transaction() as session:
        connection = await _find(session, connection_id, lock=True)
        live = _still_good(resources, connection, stale_version)
        if live is not None:
            return live
        try:
            tokens = await _refresh(resources, connection)
        except SignedOut as error:
            refused = error.message
        else:
            store_tokens(resources, connection, tokens)
            log.info("access token renewed", connection=str(connection.id), version=connection.token_version)
            return _Live(connection.id, connection.origin, tokens.access_token, connection.token_version)
    await mark_attention(resources, connection_id, refused)
    raise NotConnected(refused)


async def _refresh(resources: Resources, connection: Connection) -> Tokens:
    """Ask twice before giving up: ServiceNow says `access_denied` for passing troubles too (facts 1.5)."""
    if connection.refresh_token is None:
        raise SignedOut
    try:
        oauth = ServiceNowOAuth(
            resources.servicenow,
            connection.origin,
            client_id=connection.client_id,
            client_secret=resources.vault.open(CLIENT_SECRET, connection.client_secret),
            redirect_uri=redirect_uri(resources),
        )
        refresh_token = resources.vault.open(REFRESH_TOKEN, connection.refresh_token)
    except CannotOpen as error:
        raise SignedOut(
            T("The stored tokens cannot be opened: VAULT_KEYS has changed. Authorize the connection again.")
        ) from error
    try:
        return await oauth.refresh(refresh_token)
    except SignedOut:
        await clock.sleep(1)
        return await oauth.refresh(refresh_token)


def store_tokens(resources: Resources, connection: Connection, tokens: Tokens) -> None:
    """Seal and keep what a grant gave; a refresh token that the answer leaves out stays as it is."""
    now = clock.now()
    connection.access_token = resources.vault.seal(ACCESS_TOKEN, tokens.access_token)
    connection.access_expires_at = now + timedelta(seconds=tokens.expires_in)
    if tokens.refresh_token is not None:
        connection.refresh_token = resources.vault.seal(REFRESH_TOKEN, tokens.refresh_token)
    connection.scope = tokens.scope
    connection.token_version = (connection.token_version or 0) + 1


def _still_good(resources: Resources, connection: Connection, stale_version: int | None) -> _Live | None:
    if connection.access_token is None or connection.access_expires_at is None:
        return None
    if connection.token_version == stale_version or connection.access_expires_at <= clock.now() + RENEW_BEFORE:
        return None
    try:
        token = resources.vault.open(ACCESS_TOKEN, connection.access_token)
    except CannotOpen:
        return None
    return _Live(connection.id, connection.origin, token, connection.token_version)


async def _find(session: Session, connection_id: UUID | None, *, lock: bool) -> Connection:
    query = select(Connection).where(Connection.status != ConnectionStatus.REMOVED)
    if connection_id is not None:
        query = query.where(Connection.id == connection_id)
    if lock:
        query = query.with_for_update()
    connection = (await session.execute(query)).scalar_one_or_none()
    if connection is None:
        raise NotConnected
    if connection.status == ConnectionStatus.NEEDS_ATTENTION:
        raise NotConnected(Text.from_json(connection.attention) if connection.attention else None)
    return connection
