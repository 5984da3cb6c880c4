"""Connects an instance by OAuth: begins, and finishes what the same person's browser began. Sends nothing else there."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select, text, update

from app.features.accounts.audit import record
from app.features.accounts.permissions import Viewer
from app.features.connection.access import (
    CLIENT_SECRET,
    NotConnected,
    active_connection,
    redirect_uri,
    store_tokens,
)
from app.features.connection.call_log import keep_calls
from app.features.connection.disconnect import EndedSecrets, end_tokens, forget
from app.features.connection.models import AuthorizationAttempt, Connection, ConnectionStatus
from app.foundation import clock
from app.foundation.database import Session
from app.foundation.errors import AppError, Conflict, InvalidInput
from app.foundation.logs import get_logger
from app.foundation.text import T, Text
from app.foundation.tokens import hash_token, new_token
from app.foundation.vault import CannotOpen
from app.remote.errors import RemoteError, Unreachable
from app.remote.servicenow.client import ServiceNowClient
from app.remote.servicenow.instance import Instance, InvalidAddress, parse_instance
from app.remote.servicenow.oauth import ServiceNowOAuth, challenge_of, new_state, new_verifier
from app.remote.servicenow.shapes import Release, RemoteUser, Tokens
from app.resources import Resources

log = get_logger(__name__)

VERIFIER = "servicenow verifier"
# Long enough to log in, meet a second factor and read the consent page.
ATTEMPT_MINUTES = 15
KEPT_HOURS = 24
# Held while a connection is taken up or laid down, so that two people finishing at once come one after the other.
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('security-center connection'))")


class AuthorizationOver(AppError):
    """The answer from ServiceNow belongs to no authorization that this person's browser may finish."""

    status = 400
    default = T(
        "This answer from ServiceNow belongs to no authorization that was begun here, so nothing was changed. Press "
        "Authorize again."
    )


class AuthorizationUsed(AuthorizationOver):
    """The same answer came a second time."""

    default = T(
        "This authorization was already used, and each works once. If the connection is shown as connected, all is "
        "well; otherwise press Authorize again."
    )


class AuthorizationDenied(AuthorizationOver):
    """ServiceNow came back without a code."""


@dataclass(frozen=True)
class SetUp:
    """What the set-up form asks for. `expected_user_name` may be empty; the secret never has a repr."""

    instance: str
    client_id: str
    client_secret: str
    expected_user_name: str

    def __repr__(self) -> str:
        return f"SetUp({self.instance!r}, {self.client_id!r}, …)"


@dataclass(frozen=True)
class AuthorizationStart:
    """Where to send the browser, and the secret its cookie must bring back."""

    address: str
    browser_secret: str


@dataclass(frozen=True)
class Begun:
    """What was typed when an authorization was begun, to show the form again; its secret is not among it."""

    instance: str
    client_id: str
    expected_user_name: str


async def begin_connect(
    resources: Resources, viewer: Viewer, typed: SetUp, browser_secret: str | None
) -> AuthorizationStart:
    """Check the address, remember a new attempt, and say where the browser goes. Raises InvalidInput by field."""
    try:
        instance = parse_instance(typed.instance, resources.config.servicenow_allowed_origins)
    except InvalidAddress as error:
        raise InvalidInput(fields={"instance": error.message}) from error
    try:
        # Checked again at every call: a name may point elsewhere by then.
        await resources.servicenow.check(instance.origin)
    except Unreachable as error:
        raise InvalidInput(fields={"instance": error.message}) from error
    return await _begin(resources, viewer, instance, typed, browser_secret)


async def begin_again(resources: Resources, viewer: Viewer, browser_secret: str | None) -> AuthorizationStart:
    """Authorize the active connection anew with the client it has. Raises NotConnected, or Conflict without a secret."""
    async with resources.database.transaction() as session:
        connection = await active_connection(session)
    if connection is None or connection.client_secret is None:
        raise NotConnected
    try:
        client_secret = resources.vault.open(CLIENT_SECRET, connection.client_secret)
    except CannotOpen as error:
        raise Conflict(
            T("The stored client secret cannot be opened: VAULT_KEYS has changed. Type it again on the set-up page.")
        ) from error
    instance = Instance(connection.instance_name, connection.origin)
    again = SetUp(connection.instance_name, connection.client_id, client_secret, connection.expected_user_name)
    return await _begin(resources, viewer, instance, again, browser_secret)


async def _begin(
    resources: Resources, viewer: Viewer, instance: Instance, typed: SetUp, browser_secret: str | None
) -> AuthorizationStart:
    """A browser that has begun before keeps its secret, so that a double click or a second tab spoils nothing."""
    state, verifier, browser_secret = new_state(), new_verifier(), browser_secret or new_token()
    now, vault = clock.now(), resources.vault
    async with resources.database.transaction() as session:
        active = await active_connection(session)
        session.add(
            AuthorizationAttempt(
                state_hash=hash_token(state),
                browser_hash=hash_token(browser_secret),
                person_id=viewer.person_id,
                verifier=vault.seal(VERIFIER, verifier),
                replaces=active.id if active else None,
                instance_name=instance.name,
                origin=instance.origin,
                client_id=typed.client_id,
                client_secret=vault.seal(CLIENT_SECRET, typed.client_secret),
                expected_user_name=typed.expected_user_name,
                created_at=now,
                expires_at=now + timedelta(minutes=ATTEMPT_MINUTES),
            )
        )
        await record(session, viewer, T("Authorization begun"), instance=instance.name, client_id=typed.client_id)
    oauth = _oauth(resources, instance.origin, typed.client_id, typed.client_secret)
    return AuthorizationStart(oauth.authorize_url(state=state, code_challenge=challenge_of(verifier)), browser_secret)


def _oauth(resources: Resources, origin: str, client_id: str, client_secret: str) -> ServiceNowOAuth:
    return ServiceNowOAuth(
        resources.servicenow, origin, client_id=client_id, client_secret=client_secret,
        redirect_uri=redirect_uri(resources),
    )  # fmt: skip


async def forget_old_attempts(session: Session) -> None:
    """Delete those that nobody will come back with."""
    long_ago = clock.now() - timedelta(hours=KEPT_HOURS)
    await session.execute(delete(AuthorizationAttempt).where(AuthorizationAttempt.expires_at < long_ago))


async def begun_with(session: Session, viewer: Viewer, state: str) -> Begun | None:
    """What this person typed for the attempt of this state, to show the form again."""
    found = await session.execute(
        select(AuthorizationAttempt).where(
            AuthorizationAttempt.state_hash == hash_token(state), AuthorizationAttempt.person_id == viewer.person_id
        )
    )
    attempt = found.scalar_one_or_none()
    return Begun(attempt.instance_name, attempt.client_id, attempt.expected_user_name) if attempt else None


async def finish_connect(
    resources: Resources, viewer: Viewer, *, code: str, state: str, error: str, browser_secret: str | None
) -> UUID:
    """Claim the attempt and commit, then exchange the code, read back who consented, and keep the connection.

    The claim is committed first because a code lives 60 seconds and works once: whatever happens next, nobody may try
    this attempt again. Raises AuthorizationOver, Conflict when another instance was connected meanwhile, or a
    RemoteError when ServiceNow gives no tokens.
    """
    async with resources.database.transaction() as session:
        attempt = await _claim(session, viewer, state, browser_secret)
        if error or not code:
            await record(session, viewer, T("Authorization denied at ServiceNow"), instance=attempt.instance_name)
    if error or not code:
        raise AuthorizationDenied(_denied(error))
    if attempt.verifier is None or attempt.client_secret is None:
        raise AuthorizationUsed
    try:
        verifier = resources.vault.open(VERIFIER, attempt.verifier)
        client_secret = resources.vault.open(CLIENT_SECRET, attempt.client_secret)
    except CannotOpen as problem:
        raise AuthorizationOver from problem
    oauth = _oauth(resources, attempt.origin, attempt.client_id, client_secret)
    try:
        tokens = await oauth.exchange(code=code, code_verifier=verifier)
        user, release = await _read_back(resources, attempt.origin, tokens)
    finally:
        await keep_calls(resources)
    try:
        await _make_room(resources, viewer, attempt)
        connection = await _keep(resources, viewer, attempt, client_secret, tokens, user, release)
    except Conflict:
        await end_tokens(resources, EndedSecrets.of(attempt.origin, attempt.client_id, client_secret, tokens))
        raise
    log.info("connected", connection=str(connection.id), instance=connection.instance_name, user=connection.user_name)
    return connection.id


async def _keep(
    resources: Resources, viewer: Viewer, attempt: AuthorizationAttempt, client_secret: str, tokens: Tokens,
    user: RemoteUser | None, release: Release | None,
) -> Connection:  # fmt: skip
    async with resources.database.transaction() as session:
        connection = await _taken_up(session, attempt)
        connection.client_secret = resources.vault.seal(CLIENT_SECRET, client_secret)
        _describe(connection, viewer, user, release)
        connection.refresh_token = None
        store_tokens(resources, connection, tokens)
        await record(
            session, viewer, T("Connection authorized"),
            instance=connection.instance_name, consented_as=connection.user_name or "unknown",
        )  # fmt: skip
    return connection


async def _claim(session: Session, viewer: Viewer, state: str, browser_secret: str | None) -> AuthorizationAttempt:
    """Mark the attempt as used, once, and take its secrets out of the table. Raises AuthorizationOver."""
    found = await session.execute(
        select(AuthorizationAttempt).where(AuthorizationAttempt.state_hash == hash_token(state)).with_for_update()
    )
    attempt = found.scalar_one_or_none()
    # A stranger who got hold of an answer must neither use it nor spoil it for the one who began.
    if attempt is None or attempt.person_id != viewer.person_id:
        raise AuthorizationOver
    if not secrets.compare_digest(attempt.browser_hash, hash_token(browser_secret or "")):
        raise AuthorizationOver(
            T("This authorization was begun in another browser. Finish it there, or press Authorize again in this one.")
        )
    if attempt.used_at is not None:
        raise AuthorizationUsed
    if attempt.expires_at <= clock.now():
        raise AuthorizationOver(
            T(
                "This authorization took longer than %(minutes)s minutes and has expired. Press Authorize again.",
                minutes=ATTEMPT_MINUTES,
            )
        )
    session.expunge(attempt)
    await session.execute(
        update(AuthorizationAttempt)
        .where(AuthorizationAttempt.id == attempt.id)
        .values(used_at=clock.now(), verifier=None, client_secret=None)
        .execution_options(synchronize_session=False)
    )
    return attempt


async def _read_back(resources: Resources, origin: str, tokens: Tokens) -> tuple[RemoteUser | None, Release | None]:
    """Who consented and which release answers. Not knowing does not lose the tokens: provisioning asks again."""
    client = ServiceNowClient(resources.servicenow, origin, tokens.access_token)
    user, release = None, None
    try:
        user = await client.whoami()
        release = await client.release()
    except RemoteError as error:
        log.warning("consent could not be read back", origin=origin, why=str(error))
    return user, release


async def _make_room(resources: Resources, viewer: Viewer, attempt: AuthorizationAttempt) -> None:
    """Remove the connection to another instance. Raises Conflict when somebody else has connected it meanwhile."""
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
        ended = forget(resources, active)
        await record(
            session, viewer, T("Connection removed"), instance=active.instance_name, in_favour_of=attempt.origin
        )
    await end_tokens(resources, ended)


async def _taken_up(session: Session, attempt: AuthorizationAttempt) -> Connection:
    """The instance's row, found again so that its tickets keep their links, or a new one."""
    await session.execute(ONE_AT_A_TIME)
    active = await active_connection(session)
    if active is not None and active.origin != attempt.origin:
        raise Conflict
    found = await session.execute(select(Connection).where(Connection.origin == attempt.origin).with_for_update())
    connection = found.scalar_one_or_none()
    if connection is None:
        connection = Connection(origin=attempt.origin)
        session.add(connection)
    connection.instance_name = attempt.instance_name
    connection.client_id = attempt.client_id
    connection.expected_user_name = attempt.expected_user_name
    connection.status = ConnectionStatus.CONNECTED
    connection.attention = None
    connection.removed_at = None
    return connection


def _describe(connection: Connection, viewer: Viewer, user: RemoteUser | None, release: Release | None) -> None:
    connection.user_sys_id = user.sys_id if user else ""
    connection.user_name = user.user_name if user else ""
    connection.user_display_name = user.name if user else ""
    connection.user_email = user.email if user else ""
    connection.release_family = release.family if release else ""
    connection.release_build = release.build if release else ""
    connection.connected_at = clock.now()
    connection.connected_by = viewer.person_id
    connection.last_success_at = clock.now() if user else None
    connection.throttled_until = None


def _denied(error: str) -> Text:
    if error == "access_denied":
        return T(
            "ServiceNow was not authorized: Deny was pressed on its consent page. Nothing was changed. To connect, press "
            "Authorize again and choose Allow, signed in as the integration user."
        )
    if not error:
        return T("ServiceNow sent neither a code nor a reason. Nothing was changed. Press Authorize again.")
    return T("ServiceNow did not authorize us (%(reason)s). Nothing was changed.", reason=error[:80])
