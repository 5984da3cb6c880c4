"""Signs a person in by OpenID Connect: begins, and finishes what the same browser began."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from app.core import clock
from app.core.database import Session
from app.core.errors import NotAllowed
from app.core.messages import T
from app.core.random_tokens import hash_token, new_token
from app.features.accounts.audit import log_action
from app.features.accounts.models import Person, SignInAttempt
from app.features.accounts.sessions import start_session, viewer_of
from app.integrations.microsoft.entra import challenge_of, new_secret
from app.integrations.microsoft.schemas import Identity
from app.resources import Resources

ATTEMPT_MINUTES = 10
VERIFIER = "sign-in verifier"


class SignInOver(NotAllowed):
    """The attempt is unknown, used, expired, or was begun in another browser."""

    status = 400
    default = T(
        "This sign-in is over: it was used already, took too long, or began in another browser. Please start again."
    )


@dataclass(frozen=True)
class SignInStart:
    """Where to send the browser, and the secret its cookie must bring back."""

    address: str
    browser_secret: str


@dataclass(frozen=True)
class NewSession:
    """The token for the session cookie, when it ends, and where the person wanted to go."""

    token: str
    expires_at: datetime
    return_to: str


def local_path(wanted: str | None) -> str:
    """The wanted page if it is one of ours, otherwise the home page: nobody is led elsewhere after signing in."""
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\")) or "\\" in wanted:
        return "/"
    return wanted if wanted.isprintable() and len(wanted) <= 2000 else "/"


def redirect_uri(resources: Resources) -> str:
    """The address registered at Entra ID for answers."""
    return f"{resources.config.public_url}/sign-in/callback"


async def begin_sign_in(resources: Resources, return_to: str | None) -> SignInStart:
    """Remember a new attempt and say where the browser goes."""
    state, nonce, verifier, browser_secret = new_token(), new_token(), new_secret(), new_token()
    address = await resources.entra.authorize_url(
        redirect_uri=redirect_uri(resources), state=state, nonce=nonce, code_challenge=challenge_of(verifier)
    )
    async with resources.database.transaction() as session:
        session.add(
            SignInAttempt(
                state_hash=hash_token(state),
                browser_hash=hash_token(browser_secret),
                nonce=nonce,
                verifier=resources.vault.seal(VERIFIER, verifier),
                return_to=local_path(return_to),
                expires_at=clock.now() + timedelta(minutes=ATTEMPT_MINUTES),
            )
        )
    return SignInStart(address, browser_secret)


async def finish_sign_in(
    resources: Resources, *, code: str, state: str, browser_secret: str | None, address: str = ""
) -> NewSession:
    """Claim the attempt, learn who it is, and start a session. Raises SignInOver or a RemoteError.

    `address` is where the browser calls from, for the audit log.
    """
    async with resources.database.transaction() as session:
        attempt = await _claim(session, state)
    fits = secrets.compare_digest(attempt.browser_hash, hash_token(browser_secret or ""))
    if not fits or attempt.expires_at <= clock.now():
        raise SignInOver
    identity = await resources.entra.redeem(
        code=code,
        redirect_uri=redirect_uri(resources),
        code_verifier=resources.vault.open(VERIFIER, attempt.verifier),
        nonce=attempt.nonce,
    )
    async with resources.database.transaction() as session:
        person = await _remember(session, identity)
        roles = identity.wids | identity.roles
        token, expires_at = await start_session(
            session, person, roles, resources.config.session_hours, sid=identity.sid
        )
        viewer = viewer_of(person, roles, resources.config, address)
        await log_action(session, viewer, T("Signed in"), may=viewer.rights)
    return NewSession(token, expires_at, attempt.return_to)


async def _claim(session: Session, state: str) -> SignInAttempt:
    """Take the attempt out of the table, so that it works once, whatever happens next."""
    found = await session.execute(
        delete(SignInAttempt).where(SignInAttempt.state_hash == hash_token(state)).returning(SignInAttempt)
    )
    attempt = found.scalar_one_or_none()
    if attempt is None:
        raise SignInOver
    session.expunge(attempt)
    return attempt


async def _remember(session: Session, identity: Identity) -> Person:
    values = {
        "display_name": identity.name,
        "email": identity.email,
        "last_signed_in_at": clock.now(),
    }
    await session.execute(
        insert(Person)
        .values(id=uuid4(), tid=identity.tid, oid=identity.oid, **values)
        .on_conflict_do_update(index_elements=["tid", "oid"], set_=values)
    )
    found = await session.execute(select(Person).where(Person.tid == identity.tid, Person.oid == identity.oid))
    return found.scalar_one()
