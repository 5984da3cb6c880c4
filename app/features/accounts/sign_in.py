"""Signs a person in by OpenID Connect: begins an attempt, and finishes it for the same browser. Sets no cookie."""

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

# Longer than a password, a second factor and a consent screen take; after it the stored nonce is of no use to a thief.
ATTEMPT_MINUTES = 10
# What the vault seals the PKCE verifier for: a value sealed for one purpose does not open for another.
VERIFIER = "sign-in verifier"


class SignInOver(NotAllowed):
    """The attempt is unknown, used, expired, or was begun in another browser."""

    status = 400
    default = T(
        "This sign-in is over: it was used already, took too long, or began in another browser. Please start again."
    )


@dataclass(frozen=True)
class SignInStart:
    """`address` is where the browser goes, `browser_secret` what its cookie must bring back."""

    address: str
    browser_secret: str


@dataclass(frozen=True)
class NewSession:
    """The token for the session cookie, its end, and the path of the page to open."""

    token: str
    expires_at: datetime
    return_to: str


def local_path(wanted: str | None) -> str:
    """The wanted path if it stays on this site, otherwise the home page's."""
    # Open redirect: browsers read "//host" and "/\host" as another site, and drop tabs and line ends inside an address.
    # https://cheatsheetseries.owasp.org/cheatsheets/Unvalidated_Redirects_and_Forwards_Cheat_Sheet.html
    # https://url.spec.whatwg.org/#concept-basic-url-parser
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\")) or "\\" in wanted:
        return "/"
    # No page of the product has an address near 2,000 characters; a longer one is made by hand, and would fill the next header.
    return wanted if wanted.isprintable() and len(wanted) <= 2000 else "/"


def redirect_uri(resources: Resources) -> str:
    """Where Entra ID sends the browser after the sign-in; the app registration must hold exactly this address."""
    return f"{resources.config.public_url}/sign-in/callback"


async def begin_sign_in(resources: Resources, return_to: str | None) -> SignInStart:
    """Store a new attempt. Raises a RemoteError while Entra ID's metadata cannot be read."""
    # state binds the answer to this attempt (RFC 6749 10.12), the nonce the ID token (OpenID Connect Core 3.1.2.1), and PKCE
    # the code (RFC 7636): a code that leaks through a log or a Referer cannot be redeemed without the verifier.
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
    """Claim the attempt, redeem the code, and start a session. Raises SignInOver or a RemoteError.

    `address` is the browser's IP address, for the audit log.
    """
    # The claim is committed before the code is redeemed, so that two calls with one state cannot both go on.
    async with resources.database.transaction() as session:
        attempt = await _claim(session, state)
    # Constant time, so that an answer's delay tells nothing about the secret (timing attack).
    fits = secrets.compare_digest(attempt.browser_hash, hash_token(browser_secret or ""))
    if not fits or attempt.expires_at <= clock.now():
        raise SignInOver
    # https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#redeem-a-code-for-an-access-token
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
        await log_action(session, viewer, T("Signed in"), may=viewer.texts.audit)
    return NewSession(token, expires_at, attempt.return_to)


async def _claim(session: Session, state: str) -> SignInAttempt:
    # DELETE … RETURNING takes the row out in one statement: an attempt works once, even if a later step fails (replay).
    found = await session.execute(
        delete(SignInAttempt).where(SignInAttempt.state_hash == hash_token(state)).returning(SignInAttempt)
    )
    attempt = found.scalar_one_or_none()
    if attempt is None:
        raise SignInOver
    session.expunge(attempt)
    return attempt


async def _remember(session: Session, identity: Identity) -> Person:
    # Upsert by tenant and object id: names and addresses change, and an address can be given to another person.
    # https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference, docs/facts/microsoft-graph.md#edge-54
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
