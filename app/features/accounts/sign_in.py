"""Signs a person in by OpenID Connect: begins an attempt, and finishes it for the same browser. Sets no cookie."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from app.core import clock
from app.core.database import Session
from app.core.errors import NotAllowed
from app.core.messages import T
from app.core.random_tokens import hash_token, new_token
from app.core.sealed_columns import context_of
from app.core.vault import CannotOpen, Sealed
from app.features.accounts.attempt_retention import KEPT_MINUTES, sweep_attempts
from app.features.accounts.audit import log_action
from app.features.accounts.models import Person, SignInAttempt
from app.features.accounts.role_checks import sealed_token
from app.features.accounts.sessions import Browser, start_session, viewer_of
from app.features.accounts.unsent_forms import claim_forms
from app.integrations.microsoft.aadsts import Purpose, explain, number_in
from app.integrations.microsoft.entra import challenge_of, new_secret
from app.integrations.microsoft.schemas import Identity
from app.resources import Resources

# Longer than a password, a second factor and a consent screen take; after it the stored nonce is of no use to a thief.
ATTEMPT_MINUTES = 10
# The cookie lives as long as the row, for the same reason.
COOKIE_SECONDS = 60 * (ATTEMPT_MINUTES + KEPT_MINUTES)
# Content injection: a link to the callback can carry any text as `error`, and the page would show it under our name. Only
# the codes of RFC 6749 4.1.2.1 and OpenID Connect Core 3.1.2.6 are repeated.
# https://owasp.org/www-community/attacks/Content_Spoofing
KNOWN_ERRORS = {
    "access_denied", "consent_required", "interaction_required", "invalid_client", "invalid_request", "invalid_resource",
    "invalid_scope", "login_required", "server_error", "temporarily_unavailable", "unauthorized_client",
    "unsupported_response_type",
}  # fmt: skip
# Of a page that a browser comes back to. No page of the product has an address near 2,000 characters; a longer one is made by
# hand, and would fill the next header.
LONGEST_PATH = 2000


class SignInOver(NotAllowed):
    """The attempt is unknown, or was begun in another browser."""

    status = 400
    default = T(
        "This sign-in began in another browser or too long ago, so you are not signed in here. Sign in again.",
        code="sign_in.of_another_browser",
    )


class SignInUsed(SignInOver):
    """The same answer came a second time."""

    default = T(
        "This sign-in was used already, and each works once. You are not signed in now: sign in again.",
        code="sign_in.used",
    )


class SignInTooLate(SignInOver):
    """The answer came after the attempt's time."""

    default = T(
        "This sign-in took longer than %(minutes)s minutes, so it is over. Sign in again: Microsoft asks you for less now.",
        minutes=ATTEMPT_MINUTES,
        code="sign_in.too_late",
    )


class SignInRefused(SignInOver):
    """Entra ID sent the browser back without a code."""

    default = T("You are not signed in: no confirmation came back from the sign-in. Please try again.")


def refused(error: str, description: str) -> SignInRefused:
    """Why Entra ID sent the browser back without a code, from what its answer says in `error` and `error_description`."""
    known = error if error in KNOWN_ERRORS else ""
    number = number_in(description)
    if number is not None:
        return SignInRefused(explain(number, Purpose.SIGN_IN, error=known))
    if not known:
        return SignInRefused()
    return SignInRefused(T("%(what)s The reason: %(reason)s.", what=SignInRefused.default, reason=known))


@dataclass(frozen=True)
class SignInStart:
    """`address` is where the browser goes; `browser_secret` is what its cookie for this `state` must bring back."""

    address: str
    state: str
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
    return wanted if wanted.isprintable() and len(wanted) <= LONGEST_PATH else "/"


def page_after_sign_in(wanted: str | None) -> str:
    """The wanted path if it is a page of this site that is no way in or out, otherwise the home page's."""
    path = local_path(wanted)
    # Those would lead in a circle, or show "You are signed out" to a person who has just signed in.
    return "/" if path.startswith(("/sign-in", "/sign-out", "/signed-out")) else path


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
        await sweep_attempts(session)
        attempt = SignInAttempt(
            state_hash=hash_token(state),
            browser_hash=hash_token(browser_secret),
            nonce=nonce,
            return_to=page_after_sign_in(return_to),
            expires_at=clock.now() + timedelta(minutes=ATTEMPT_MINUTES),
        )
        attempt.verifier = resources.vault.seal(context_of(attempt, SignInAttempt.verifier), verifier)
        session.add(attempt)
    return SignInStart(address, state, browser_secret)


async def finish_sign_in(
    resources: Resources,
    *,
    code: str,
    state: str,
    browser_secret: str | None,
    browser: Browser = Browser(),  # noqa: B008
) -> NewSession:
    """Claim the attempt, redeem the code, and start a session. Raises SignInOver or a RemoteError.

    The session that `browser` had until now ends.
    """
    # The claim is committed before the code is redeemed, so that two calls with one state cannot both go on.
    async with resources.database.transaction() as session:
        attempt, verifier = await _claim(session, state, browser_secret)
    try:
        code_verifier = resources.vault.open(context_of(attempt, SignInAttempt.verifier), verifier)
    except CannotOpen as error:  # The keys were changed since, or the row was.
        raise SignInOver from error
    # https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#redeem-a-code-for-an-access-token
    identity = await resources.entra.redeem(
        code=code,
        redirect_uri=redirect_uri(resources),
        code_verifier=code_verifier,
        nonce=attempt.nonce,
    )
    async with resources.database.transaction() as session:
        person = await _remember(session, identity)
        roles = identity.wids | identity.roles
        token, expires_at = await start_session(
            session,
            person,
            roles,
            resources.config.session_hours,
            browser=browser,
            sid=identity.sid,
            role_claims=identity.role_claims,
            seal_token=lambda row: sealed_token(resources, row, identity.refresh_token),
        )
        await claim_forms(session, person.id, browser.unsent_token)
        viewer = viewer_of(person, roles, resources.config, browser.address)
        await log_action(session, viewer, T("Signed in"), may=viewer.texts.audit)
    return NewSession(token, expires_at, attempt.return_to)


async def wanted_page(session: Session, state: str, browser_secrets: Collection[str]) -> str:
    """The page that this browser's attempt of this `state` leads to, or its newest attempt; the home page's without one."""
    # Only for the secrets of this browser: a path may hold words that a person searched for.
    found = await session.execute(
        select(SignInAttempt.state_hash, SignInAttempt.return_to)
        .where(SignInAttempt.browser_hash.in_([hash_token(secret) for secret in browser_secrets]))
        .order_by(SignInAttempt.expires_at.desc())
    )
    pages = [(row.state_hash, row.return_to) for row in found]
    return dict(pages).get(hash_token(state)) or (pages[0][1] if pages else "/")


async def _claim(session: Session, state: str, browser_secret: str | None) -> tuple[SignInAttempt, Sealed]:
    """The attempt, and its verifier, which leaves the table: an attempt works once, even if a later step fails (replay)."""
    found = await session.execute(
        select(SignInAttempt).where(SignInAttempt.state_hash == hash_token(state)).with_for_update()
    )
    attempt = found.scalar_one_or_none()
    # Constant time, so that an answer's delay tells nothing about the secret (timing attack). A browser that did not begin the
    # attempt must not use it up for the one that did.
    if attempt is None or not secrets.compare_digest(attempt.browser_hash, hash_token(browser_secret or "")):
        raise SignInOver
    if attempt.used_at is not None or attempt.verifier is None:
        raise SignInUsed
    if attempt.expires_at <= clock.now():
        raise SignInTooLate
    verifier = attempt.verifier
    session.expunge(attempt)
    await session.execute(
        update(SignInAttempt)
        .where(SignInAttempt.id == attempt.id)
        .values(used_at=clock.now(), verifier=None)
        .execution_options(synchronize_session=False)
    )
    return attempt, verifier


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
