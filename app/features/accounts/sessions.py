"""Finds, starts and ends the sessions of signed-in browsers. Reads and writes rows only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from app.core import clock
from app.core.database import Session
from app.core.messages import T
from app.core.random_tokens import hash_token, new_token
from app.features.accounts.audit import log_action
from app.features.accounts.models import Person, SignInAttempt, WebSession
from app.features.accounts.permissions import Viewer, role_of
from app.integrations.microsoft.schemas import RoleClaims
from app.resources import ProductConfig

# Retention: an attempt outlives its use, so that a late or second answer is told which of the two it is, and still finds the
# page that was wanted.
KEPT_MINUTES = 60


async def find_viewer(session: Session, config: ProductConfig, token: str | None) -> Viewer | None:
    """The person this session token belongs to; None for an unknown, ended or missing one."""
    if not token:
        return None
    # Only the hash is stored: a stolen database opens no session.
    # https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html
    found = await session.execute(
        select(Person, WebSession.roles, WebSession.role_claims)
        .join(WebSession, WebSession.person_id == Person.id)
        .where(WebSession.token_hash == hash_token(token), WebSession.expires_at > clock.now())
    )
    row = found.one_or_none()
    if row is None:
        return None
    person, roles, role_claims = row
    return replace(viewer_of(person, roles, config), role_claims=RoleClaims(role_claims))


def viewer_of(person: Person, roles: Iterable[str], config: ProductConfig, address: str = "") -> Viewer:
    """The person with the role that these reported roles give; `address` is the browser's IP address."""
    # The role is derived at each request, so that a changed *_ROLES setting counts in open sessions as well.
    return Viewer(
        person_id=person.id,
        oid=person.oid,
        tid=person.tid,
        display_name=person.display_name,
        email=person.email,
        role=role_of(roles, config),
        address=address,
    )


async def start_session(
    session: Session,
    person: Person,
    roles: frozenset[str],
    hours: int,
    *,
    sid: str = "",
    role_claims: RoleClaims = RoleClaims.SENT,
) -> tuple[str, datetime]:
    """Start a session of `hours` hours. Returns its token, which is not stored, and its end.

    `sid` is Entra ID's name for the session there, by which front-channel logout ends it. `role_claims` says why there may be
    no roles.
    """
    now = clock.now()
    # Retention: each sign-in deletes what has expired, so that no job is needed for it.
    await session.execute(delete(WebSession).where(WebSession.expires_at < now))
    oldest_kept = now - timedelta(minutes=KEPT_MINUTES)
    await session.execute(delete(SignInAttempt).where(SignInAttempt.expires_at < oldest_kept))
    # The person's other sessions get these roles too: what Entra ID reports now is newer than what it reported to them.
    await session.execute(update(WebSession).where(WebSession.person_id == person.id).values(roles=sorted(roles)))
    # A new token at each sign-in, independent of the browser's cookie, prevents session fixation:
    # https://owasp.org/www-community/attacks/Session_fixation
    token, expires_at = new_token(), now + timedelta(hours=hours)
    session.add(
        WebSession(
            token_hash=hash_token(token),
            person_id=person.id,
            roles=sorted(roles),
            created_at=now,
            expires_at=expires_at,
            sid=sid,
            role_claims=role_claims,
        )
    )
    return token, expires_at


async def sign_out(session: Session, viewer: Viewer | None, token: str | None) -> None:
    """End this browser's session and write the audit log; without a session nothing happens."""
    if viewer is not None:
        await log_action(session, viewer, T("Signed out"))
    if token:
        await session.execute(delete(WebSession).where(WebSession.token_hash == hash_token(token)))


async def end_sessions_named(session: Session, sid: str, address: str = "") -> None:
    """End every session that Entra ID knows by this name. An empty name matches none, although many rows have it.

    `address` is where the call came from, for the audit log.
    """
    if not sid:
        return
    ended = await session.execute(delete(WebSession).where(WebSession.sid == sid).returning(WebSession.person_id))
    for person_id in sorted(set(ended.scalars())):
        person = await session.get_one(Person, person_id)
        who = Viewer(person.id, person.oid, person.tid, person.display_name, person.email, None, address)
        await log_action(session, who, T("Signed out at Microsoft"))
