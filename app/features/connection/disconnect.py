"""Remove the connection: discard its secrets, then revoke its tokens at ServiceNow. Its tickets stay, read-only."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import InstrumentedAttribute

from app.core import clock
from app.core.database import Session
from app.core.logging import get_logger
from app.core.messages import T
from app.core.sealed_columns import context_of
from app.core.vault import CannotOpen, Sealed
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.connection.active_connection import NotConnected, active_connection
from app.features.connection.call_log import keep_calls
from app.features.connection.gateway import InstancePaused, call_with_token
from app.features.connection.models import AuthorizationAttempt, Connection, ConnectionStatus
from app.features.connection.oauth_client import oauth_client
from app.integrations.http.errors import RemoteError, Unauthorized
from app.integrations.servicenow.oauth import NAMED_CAUSES, NOT_RENEWED, ServiceNowOAuth
from app.resources import Resources

log = get_logger(__name__)

# Refusals of a refresh that are about the token. The other named causes are about the client, and prove nothing.
TOKEN_IS_OVER = {NOT_RENEWED.code, NAMED_CAUSES["invalid_grant"].code}


@dataclass(frozen=True)
class DiscardedSecrets:
    """The secrets of a connection that was just removed: enough to revoke its tokens, held in memory only."""

    origin: str
    client_id: str
    client_secret: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(frozen=True)
class Removal:
    """`revoked` is True only when ServiceNow was seen to refuse both tokens afterwards."""

    instance_name: str
    revoked: bool


async def remove_connection(resources: Resources, viewer: Viewer, connection_id: UUID) -> Removal:
    """Remove this connection, then revoke its tokens at ServiceNow. Raises NotConnected when it is not the active one."""
    # Removing is committed first: from then on no process can renew the tokens that are about to be revoked, and an
    # instance that does not answer cannot keep us connected.
    async with resources.database.transaction() as session:
        connection = await _locked(session, connection_id)
        name = connection.instance_name
        discarded = await mark_removed(session, resources, connection)
        await log_action(session, viewer, T("Connection removed"), instance=name)
    revoked = await revoke_tokens(resources, discarded)
    async with resources.database.transaction() as session:
        outcome = T("Tokens revoked at ServiceNow") if revoked else T("Revoking the tokens was not confirmed")
        await log_action(session, viewer, outcome, instance=name)
    log.info("connection.removed", instance=name, revoked=revoked)
    return Removal(name, revoked)


async def mark_removed(session: Session, resources: Resources, connection: Connection) -> DiscardedSecrets:
    """Within the caller's transaction: remove the connection with its secrets; gives what revoking needs."""
    # Authorizations that were begun at this instance and not finished hold its client secret as well.
    await session.execute(
        update(AuthorizationAttempt)
        .where(AuthorizationAttempt.origin == connection.origin, AuthorizationAttempt.used_at.is_(None))
        .values(used_at=clock.now(), client_secret=None, verifier=None)
        .execution_options(synchronize_session=False)
    )
    return discard_secrets(resources, connection)


def discard_secrets(resources: Resources, connection: Connection) -> DiscardedSecrets:
    """Within the caller's transaction: mark the row as removed, without secrets; gives what revoking needs."""
    discarded = DiscardedSecrets(
        origin=connection.origin,
        client_id=connection.client_id,
        client_secret=_opened(resources, connection, Connection.client_secret),
        access_token=_opened(resources, connection, Connection.access_token),
        refresh_token=_opened(resources, connection, Connection.refresh_token),
    )
    connection.status = ConnectionStatus.REMOVED
    connection.attention = connection.refresh_answer_lost_at = connection.next_renewal_at = None
    connection.removed_at = clock.now()
    connection.client_secret = connection.access_token = connection.refresh_token = None
    connection.access_granted_at = connection.access_expires_at = connection.refresh_expires_at = None
    return discarded


async def revoke_tokens(resources: Resources, discarded: DiscardedSecrets) -> bool:
    """Revoke both tokens; True when ServiceNow was seen to refuse them afterwards. Raises no error of a call."""
    try:
        oauth = oauth_client(resources, discarded.origin, discarded.client_id, discarded.client_secret)
        for token in (discarded.refresh_token, discarded.access_token):
            if token:
                await oauth.revoke(token)
        return await _is_refused(resources, oauth, discarded)
    except (RemoteError, InstancePaused) as error:
        log.warning("connection.tokens.not_revoked", origin=discarded.origin, error=str(error))
        return False
    finally:
        await keep_calls(resources)


async def _is_refused(resources: Resources, oauth: ServiceNowOAuth, discarded: DiscardedSecrets) -> bool:
    # The revoking service answers 200 to everything, a hibernating instance's web page included, so the tokens are tried:
    # docs/facts/servicenow.md#1-1-endpoints. The refresh token first, which lives for months: an access token may be
    # refused only because its half hour is over.
    if not discarded.access_token:
        return False
    if discarded.refresh_token:
        try:
            await oauth.refresh(discarded.refresh_token)
        except Unauthorized as refusal:
            if refusal.code not in TOKEN_IS_OVER:
                return False  # The client was refused, which says nothing about the token.
        else:
            return False
    try:
        await call_with_token(
            resources, lambda client: client.whoami(), origin=discarded.origin, access_token=discarded.access_token
        )
    except Unauthorized:
        return True
    return False


def _opened(resources: Resources, connection: Connection, column: InstrumentedAttribute[Sealed | None]) -> str:
    sealed: Sealed | None = getattr(connection, column.key)
    if sealed is None:
        return ""
    try:
        return resources.vault.open(context_of(connection, column), sealed)
    except CannotOpen:
        return ""


async def _locked(session: Session, connection_id: UUID) -> Connection:
    connection = await active_connection(session)
    if connection is None or connection.id != connection_id:
        raise NotConnected
    # Waits for a token refresh under way, so that the newest tokens are the ones revoked.
    await session.refresh(connection, with_for_update=True)
    if connection.status == ConnectionStatus.REMOVED:
        raise NotConnected
    return connection
