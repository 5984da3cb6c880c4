"""Authorizations that were begun: each is used once, by the same person and browser, within 15 minutes (login CSRF)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from app.core import clock
from app.core.database import Session
from app.core.errors import AppError
from app.core.messages import Message, T
from app.core.random_tokens import hash_token
from app.features.accounts.permissions import Viewer
from app.features.connection.models import AuthorizationAttempt

# Long enough to log in at ServiceNow, answer a second factor and read the consent page. The code itself lives 60 seconds:
# docs/facts/servicenow.md#trap-20
ATTEMPT_MINUTES = 15
# Retention: used and expired attempts are kept for a day, so that a late answer is told which of the two it is.
KEPT_HOURS = 24
DENIED = T(
    "ServiceNow was not authorized: Deny was pressed on its consent page. Nothing was changed. To connect, press "
    "Authorize again and choose Allow, signed in as the integration user. If nobody pressed Deny, the client may lack the "
    "scope useraccount.",
    code="authorization.denied",
)


class AuthorizationOver(AppError):
    """The callback belongs to no authorization that this person's browser may finish."""

    status = 400
    default = T(
        "This answer from ServiceNow belongs to no authorization that was begun here, so nothing was changed. Press "
        "Authorize again."
    )


class AuthorizationUsed(AuthorizationOver):
    """The same callback came a second time."""

    default = T(
        "This authorization was already used, and each works once. If the connection is shown as connected, all is "
        "well; otherwise press Authorize again."
    )


class AuthorizationDenied(AuthorizationOver):
    """ServiceNow came back without a code."""


@dataclass(frozen=True)
class Begun:
    """What was typed into the set-up form, to show it again. The secret is not among it."""

    instance: str
    client_id: str
    expected_user_name: str
    uses_pkce: bool
    sends_scope: bool


async def forget_old_attempts(session: Session) -> None:
    oldest_kept = clock.now() - timedelta(hours=KEPT_HOURS)
    await session.execute(delete(AuthorizationAttempt).where(AuthorizationAttempt.expires_at < oldest_kept))


async def begun_with(session: Session, viewer: Viewer, state: str) -> Begun | None:
    """What this person typed for the attempt of this OAuth `state`; None for another person's."""
    found = await session.execute(
        select(AuthorizationAttempt).where(
            AuthorizationAttempt.state_hash == hash_token(state), AuthorizationAttempt.person_id == viewer.person_id
        )
    )
    attempt = found.scalar_one_or_none()
    return _begun(attempt) if attempt else None


async def note_problem(session: Session, attempt: AuthorizationAttempt, sentence: Message) -> None:
    """Store why nothing came of it, for the diagnosis."""
    await session.execute(
        update(AuthorizationAttempt)
        .where(AuthorizationAttempt.id == attempt.id)
        .values(problem=sentence.to_json())
        .execution_options(synchronize_session=False)
    )


async def last_begun(session: Session, viewer: Viewer) -> Begun | None:
    """What this person typed last: an error page of ServiceNow's own leads back to no callback."""
    mine = select(AuthorizationAttempt).where(AuthorizationAttempt.person_id == viewer.person_id)
    found = await session.execute(mine.order_by(AuthorizationAttempt.created_at.desc()).limit(1))
    attempt = found.scalar_one_or_none()
    return _begun(attempt) if attempt else None


def _begun(attempt: AuthorizationAttempt) -> Begun:
    return Begun(
        attempt.instance_name, attempt.client_id, attempt.expected_user_name, attempt.uses_pkce, attempt.sends_scope
    )


async def claim(session: Session, viewer: Viewer, state: str, browser_secret: str | None) -> AuthorizationAttempt:
    """Mark the attempt as used, and take its secrets out of the table. Gives it with the secrets. Raises AuthorizationOver."""
    found = await session.execute(
        select(AuthorizationAttempt).where(AuthorizationAttempt.state_hash == hash_token(state)).with_for_update()
    )
    attempt = found.scalar_one_or_none()
    # Another person who got hold of the callback's address must neither use it up nor finish it.
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


@dataclass(frozen=True)
class LastAttempt:
    """The newest authorization of any person; `came_back` says whether a browser returned from ServiceNow."""

    instance_name: str
    origin: str
    client_id: str
    expected_user_name: str
    begun_at: datetime
    came_back: bool
    problem: Message | None

    @property
    def succeeded(self) -> bool:
        return self.came_back and self.problem is None


async def last_attempt(session: Session) -> LastAttempt | None:
    """The newest attempt, for the diagnosis: nothing may be connected yet, or a new consent may have failed."""
    newest = select(AuthorizationAttempt).order_by(AuthorizationAttempt.created_at.desc()).limit(1)
    row = (await session.execute(newest)).scalar_one_or_none()
    if row is None:
        return None
    return LastAttempt(
        instance_name=row.instance_name,
        origin=row.origin,
        client_id=row.client_id,
        expected_user_name=row.expected_user_name,
        begun_at=row.created_at,
        came_back=row.used_at is not None,
        problem=Message.from_json(row.problem) if row.problem else None,
    )
