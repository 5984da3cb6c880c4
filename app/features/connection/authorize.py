"""Connect an instance by OAuth: begin an authorization, and finish it for the same person's browser.

The authorization code grant as ServiceNow does it: docs/facts/servicenow.md#1-2-authorization-request
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, text

from app.core import clock
from app.core.bounds import line
from app.core.database import Session
from app.core.errors import AppError, Conflict, InvalidInput
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.core.random_tokens import hash_token, new_token
from app.core.sealed_columns import context_of
from app.core.vault import CannotOpen
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.connection.active_connection import NotConnected, active_connection
from app.features.connection.authorization_attempts import (
    ATTEMPT_MINUTES,
    DENIED,
    AuthorizationDenied,
    AuthorizationOver,
    AuthorizationUsed,
    claim,
    note_problem,
)
from app.features.connection.call_log import keep_calls
from app.features.connection.consent_check import doubt_about
from app.features.connection.disconnect import DiscardedSecrets, discard_secrets, mark_removed, revoke_tokens
from app.features.connection.gateway import InstancePaused, ServiceNowClient, call_with_token
from app.features.connection.models import AuthorizationAttempt, Connection, ConnectionStatus
from app.features.connection.oauth_client import oauth_client
from app.features.connection.tokens import store_tokens
from app.features.connection.unstored_tokens import revoked_unless_stored
from app.integrations.http.errors import RemoteError, Unreachable
from app.integrations.servicenow.address import Instance, InvalidAddress, parse_instance
from app.integrations.servicenow.oauth import NAMED_CAUSES, challenge_of, new_state, new_verifier
from app.integrations.servicenow.schemas import Release, RemoteUser, Tokens
from app.resources import Resources

log = get_logger(__name__)

# Seconds before an instance that failed to tell who consented is asked again: the person's browser waits meanwhile.
READ_BACK_PAUSES = (0.5, 1.0)
# Advisory lock that serializes connecting, removing and configuring: one row lock would not cover the row that is not
# there yet. https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('security-center connection'))")


@dataclass(frozen=True)
class SetUp:
    """What the set-up form asks for. `expected_user_name` may be empty; the secret never has a repr."""

    instance: str
    client_id: str
    client_secret: str
    expected_user_name: str
    uses_pkce: bool = True
    sends_scope: bool = True

    def __repr__(self) -> str:
        return f"SetUp({self.instance!r}, {self.client_id!r}, …)"


@dataclass(frozen=True)
class AuthorizationStart:
    """Where to send the browser, and the secret its cookie must bring back."""

    address: str
    browser_secret: str


@dataclass(frozen=True)
class _ReadBack:
    """What the instance answered right after the consent; `doubt` when it failed to say who consented."""

    user: RemoteUser | None
    release: Release | None
    doubt: Message | None


@dataclass(frozen=True)
class _Consent:
    """Everything a consent has brought."""

    viewer: Viewer
    attempt: AuthorizationAttempt
    client_secret: str = field(repr=False)
    tokens: Tokens
    read_back: _ReadBack


async def begin_connect(
    resources: Resources, viewer: Viewer, typed: SetUp, browser_secret: str | None
) -> AuthorizationStart:
    """Check the address, remember a new attempt, and say where the browser goes. Raises InvalidInput by field."""
    return await _begin(resources, viewer, await check_instance(resources, typed.instance), typed, browser_secret)


async def check_instance(resources: Resources, typed: str) -> Instance:
    """The instance that was typed, if we may call it (SSRF). Raises InvalidInput by field."""
    try:
        instance = parse_instance(typed, resources.config.servicenow_allowed_origins)
        # SSRF: the address must be public, or allowed by name. Checked again at every call, since a name may point elsewhere
        # by then (DNS rebinding).
        await resources.servicenow.check(instance.origin)
    except (InvalidAddress, Unreachable) as error:
        raise InvalidInput(fields={"instance": error.message}) from error
    return instance


async def begin_again(resources: Resources, viewer: Viewer, browser_secret: str | None) -> AuthorizationStart:
    """Authorize the active connection again, with the client it has. Raises NotConnected, or Conflict without a secret."""
    async with resources.database.transaction() as session:
        connection = await active_connection(session)
    if connection is None or connection.client_secret is None:
        raise NotConnected
    try:
        client_secret = resources.vault.open(context_of(connection, Connection.client_secret), connection.client_secret)
    except CannotOpen as error:
        raise Conflict(
            T("The stored client secret cannot be opened: VAULT_KEYS has changed. Type it again on the set-up page.")
        ) from error
    instance = Instance(connection.instance_name, connection.origin)
    again = SetUp(
        connection.instance_name,
        connection.client_id,
        client_secret,
        connection.expected_user_name,
        connection.uses_pkce,
        connection.sends_scope,
    )
    return await _begin(resources, viewer, instance, again, browser_secret)


async def _begin(
    resources: Resources, viewer: Viewer, instance: Instance, typed: SetUp, browser_secret: str | None
) -> AuthorizationStart:
    # A browser that has begun before keeps its secret, so that a double click or a second tab spoils nothing.
    # `state` holds letters and digits only: docs/facts/servicenow.md#trap-21
    state, browser_secret = new_state(), browser_secret or new_token()
    verifier = new_verifier() if typed.uses_pkce else ""
    # Before anything is stored: an address that may not be called any more gets neither a secret nor a browser.
    oauth = oauth_client(resources, instance.origin, typed.client_id, typed.client_secret)
    now, vault = clock.now(), resources.vault
    async with resources.database.transaction() as session:
        active = await active_connection(session)
        attempt = AuthorizationAttempt(
            state_hash=hash_token(state), browser_hash=hash_token(browser_secret), person_id=viewer.person_id,
            replaces=active.id if active else None, instance_name=instance.name, origin=instance.origin,
            client_id=typed.client_id, expected_user_name=typed.expected_user_name,
            uses_pkce=typed.uses_pkce, sends_scope=typed.sends_scope,
            created_at=now, expires_at=now + timedelta(minutes=ATTEMPT_MINUTES),
        )  # fmt: skip
        attempt.verifier = vault.seal(context_of(attempt, AuthorizationAttempt.verifier), verifier)
        attempt.client_secret = vault.seal(context_of(attempt, AuthorizationAttempt.client_secret), typed.client_secret)
        session.add(attempt)
        await log_action(session, viewer, T("Authorization begun"), instance=instance.name, client_id=typed.client_id)
    # PKCE can be switched off: from a client with a secret it is not documented for every release.
    # docs/facts/servicenow.md#1-3-token-request-and-client-authentication
    challenge = challenge_of(verifier) if verifier else ""
    address = oauth.authorize_url(state=state, code_challenge=challenge, sends_scope=typed.sends_scope)
    return AuthorizationStart(address, browser_secret)


async def finish_connect(
    resources: Resources,
    viewer: Viewer,
    *,
    code: str,
    state: str,
    error: str,
    browser_secret: str | None,
) -> None:
    """Claim the attempt and commit, then exchange the code, read back who consented, and store the connection.

    Provisioning is queued in the transaction that stores it, unless a person has to confirm the account first. Raises
    AuthorizationOver, Conflict when another instance was connected meanwhile, or a RemoteError when ServiceNow gives no
    tokens.
    """
    # Committed first, because a code works once (docs/facts/servicenow.md#sandbox-7): this attempt must not
    # be tried again, even if a later step fails.
    async with resources.database.transaction() as session:
        attempt = await claim(session, viewer, state, browser_secret)
    try:
        if error or not code:
            raise AuthorizationDenied(why_denied(error))
        await _finish(resources, viewer, attempt, code, state)
    except AppError as problem:
        async with resources.database.transaction() as session:
            await note_problem(session, attempt, problem.message)
            await log_action(
                session, viewer, T("Authorization failed"), instance=attempt.instance_name, why=problem.message
            )
        raise


def why_denied(error: str) -> Message:
    """The sentence for the `error` that came in place of a code (RFC 6749 4.1.2.1)."""
    if error == "access_denied":
        return DENIED
    if error in ("invalid_scope", "unauthorized_client"):
        return NAMED_CAUSES[error]
    if not error:
        return T("ServiceNow sent neither a code nor a reason. Nothing was changed. Press Authorize again.")
    return T(
        "ServiceNow did not authorize us (%(reason)s). Nothing was changed. The client may lack the scope useraccount, or "
        "may not take a proof key (PKCE): each can be switched off under Advanced in this form.",
        reason=line(error, 80),
    )


async def _finish(resources: Resources, viewer: Viewer, attempt: AuthorizationAttempt, code: str, state: str) -> None:
    if attempt.verifier is None or attempt.client_secret is None:
        raise AuthorizationUsed
    try:
        verifier = resources.vault.open(context_of(attempt, AuthorizationAttempt.verifier), attempt.verifier)
        client_secret = resources.vault.open(
            context_of(attempt, AuthorizationAttempt.client_secret), attempt.client_secret
        )
    except CannotOpen as problem:
        raise AuthorizationOver from problem
    oauth = oauth_client(resources, attempt.origin, attempt.client_id, client_secret)
    try:
        # POST /oauth_token.do with grant_type=authorization_code. The code lives 60 seconds:
        # docs/facts/servicenow.md#1-2-authorization-request
        tokens = await oauth.exchange(code=code, code_verifier=verifier, state=state)
    finally:
        await keep_calls(resources)
    access, refresh = tokens.access_token, tokens.refresh_token or ""
    received = DiscardedSecrets(attempt.origin, attempt.client_id, client_secret, access, refresh)
    async with revoked_unless_stored(resources, received):
        read_back = await _read_back(resources, attempt.origin, tokens)
        await _remove_other_instance(resources, viewer, attempt)
        earlier = await _store(resources, _Consent(viewer, attempt, client_secret, tokens, read_back))
    if earlier is not None:
        await revoke_tokens(resources, earlier)


async def confirm_account(resources: Resources, viewer: Viewer, *, shown: str) -> None:
    """Accept the account that consented, and queue provisioning.

    Does nothing when no account waits for that, or when it is not the one that was `shown` (its sys_id).
    """
    async with resources.database.transaction() as session:
        await session.execute(ONE_AT_A_TIME)
        connection = await active_connection(session)
        if connection is None or connection.status != ConnectionStatus.UNCONFIRMED or connection.user_sys_id != shown:
            return
        connection.status, connection.attention = ConnectionStatus.CONNECTED, None
        await log_action(session, viewer, T("Account confirmed"), consented_as=connection.user_name)
        await _queue_provisioning(session, resources, connection.id)


async def _queue_provisioning(session: Session, resources: Resources, connection_id: UUID) -> None:
    # By name: provisioning lies above this feature and is not imported here.
    await resources.queue.defer(session, "provisioning.start", connection_id=str(connection_id))


async def _store(resources: Resources, consent: _Consent) -> DiscardedSecrets | None:
    """Store the connection; the tokens of another account that it had before, which nothing would use again."""
    discarded: DiscardedSecrets | None = None
    viewer, user = consent.viewer, consent.read_back.user
    async with resources.database.transaction() as session:
        connection = await _upsert_connection(session, consent.attempt)
        if connection.user_sys_id and user and connection.user_sys_id != user.sys_id:
            discarded = discard_secrets(resources, connection)
        connection.status, connection.attention, connection.removed_at = ConnectionStatus.CONNECTED, None, None
        connection.next_renewal_at, connection.renewal_refusals = None, 0
        doubt = consent.read_back.doubt or doubt_about(user, consent.attempt.expected_user_name, viewer)
        if doubt is not None:
            connection.status, connection.attention = ConnectionStatus.UNCONFIRMED, doubt.to_json()
        connection.client_secret = resources.vault.seal(
            context_of(connection, Connection.client_secret), consent.client_secret
        )
        _describe(connection, viewer, user, consent.read_back.release)
        # A consent without a refresh token must not keep the one of the consent before it.
        connection.refresh_token = connection.refresh_expires_at = None
        store_tokens(resources, connection, consent.tokens)
        await session.flush()
        await log_action(
            session, viewer, T("Connection authorized"),
            instance=connection.instance_name, consented_as=connection.user_name or "unknown",
        )  # fmt: skip
        if doubt is None:
            await _queue_provisioning(session, resources, connection.id)
    log.info(
        "connection.authorized",
        connection=str(connection.id), instance=connection.instance_name, user=connection.user_name,
    )  # fmt: skip
    return discarded


async def _read_back(resources: Resources, origin: str, tokens: Tokens) -> _ReadBack:
    """Who consented and which release answers. Not knowing does not lose the tokens.

    An instance that fails to tell is asked again, and then a person must confirm, as where it refuses to tell: nothing is
    sent in the name of an account that was not checked.
    """
    # Tickets are opened in the name of the account that consented. A person's own account would stop them when that
    # person leaves: docs/facts/servicenow.md#trap-23
    user, doubt = None, None
    access_token = tokens.access_token
    for pause in (*READ_BACK_PAUSES, None):
        try:
            user = await call_with_token(resources, ServiceNowClient.whoami, origin=origin, access_token=access_token)
            doubt = None
            break
        except InstancePaused as error:
            # The slot of interactive calls stayed taken for 45 s. The browser does not wait for that a second time.
            log.warning("connection.consent.not_read_back", origin=origin, error=str(error))
            return _ReadBack(None, None, _account_unknown(error))
        except RemoteError as error:
            log.warning("connection.consent.not_read_back", origin=origin, error=str(error))
            # A refusal is repeated as well: they can be intermittent (docs/facts/servicenow.md#sandbox-49).
            doubt = _account_unknown(error)
        if pause is not None:
            await clock.sleep(pause)
    try:
        release = await call_with_token(resources, ServiceNowClient.release, origin=origin, access_token=access_token)
        return _ReadBack(user, release, doubt)
    except (RemoteError, InstancePaused) as error:
        log.warning("connection.release.not_read", origin=origin, error=str(error))
        return _ReadBack(user, None, doubt)


def _account_unknown(error: AppError) -> Message:
    return T(
        "ServiceNow could not be asked who consented: %(why)s Nothing has been sent yet. Authorize again, or confirm the "
        "account if you are sure that it is the integration user.",
        why=error.message,
    )


async def _remove_other_instance(resources: Resources, viewer: Viewer, attempt: AuthorizationAttempt) -> None:
    """Remove the connection to another instance. Raises Conflict when another person has connected it meanwhile."""
    async with resources.database.transaction() as session:
        await session.execute(ONE_AT_A_TIME)
        active = await active_connection(session)
        if active is None or active.origin == attempt.origin:
            return
        if active.id != attempt.replaces:
            raise Conflict(
                T(
                    "Meanwhile %(instance)s was connected by somebody else, so nothing was changed. If you still want "
                    "to connect %(wanted)s in its place, press Authorize again.",
                    instance=active.instance_name,
                    wanted=attempt.instance_name,
                )
            )
        discarded = await mark_removed(session, resources, active)
        await log_action(
            session, viewer, T("Connection removed"), instance=active.instance_name, in_favour_of=attempt.origin
        )
    await revoke_tokens(resources, discarded)


async def _upsert_connection(session: Session, attempt: AuthorizationAttempt) -> Connection:
    """The instance's row, found again so that its tickets keep their links, or a new one. Raises Conflict."""
    await session.execute(ONE_AT_A_TIME)
    active = await active_connection(session)
    if active is not None and active.origin != attempt.origin:
        raise Conflict
    # Waits for a token refresh under way, whose outcome must not overwrite the new tokens.
    found = await session.execute(select(Connection).where(Connection.origin == attempt.origin).with_for_update())
    connection = found.scalar_one_or_none()
    if connection is None:
        connection = Connection(origin=attempt.origin)
        session.add(connection)
    connection.instance_name = attempt.instance_name
    connection.client_id = attempt.client_id
    connection.expected_user_name = attempt.expected_user_name
    connection.uses_pkce, connection.sends_scope = attempt.uses_pkce, attempt.sends_scope
    return connection


def _describe(connection: Connection, viewer: Viewer, user: RemoteUser | None, release: Release | None) -> None:
    if connection.account_since is None or user is None or connection.user_sys_id != user.sys_id:
        connection.account_since = clock.now()
    connection.user_sys_id = user.sys_id if user else ""
    connection.user_name = user.user_name if user else ""
    connection.user_display_name = user.name if user else ""
    connection.user_email = user.email if user else ""
    connection.release_family = release.family if release else ""
    connection.release_build = release.build if release else ""
    connection.connected_at = clock.now()
    connection.connected_by = viewer.person_id
    connection.last_success_at = clock.now() if user else None
