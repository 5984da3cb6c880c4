"""Starts and ends the sessions of signed-in browsers, and says when one is over. Reads and writes rows only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, not_, select, update

from app.core import clock
from app.core.bounds import identifier
from app.core.database import Session
from app.core.messages import T
from app.core.random_tokens import hash_token, new_token
from app.core.vault import Sealed
from app.features.accounts.attempt_retention import sweep_attempts
from app.features.accounts.audit import log_action
from app.features.accounts.models import Person, WebSession
from app.features.accounts.permissions import Viewer, role_of
from app.integrations.microsoft.schemas import RoleClaims
from app.resources import ProductConfig

# How exactly the last use is known. Writing it at every request would cost a write for each.
USE_NOTED_SECONDS = 60
# A User-Agent is some 120 characters; more of it names no browser.
LONGEST_USER_AGENT = 300


@dataclass(frozen=True)
class Browser:
    """Who signs in: IP address and User-Agent. `token` is the session it had until now, which ends.

    `unsent_token` finds the forms that it sent too late.
    """

    address: str = ""
    user_agent: str = ""
    token: str | None = None
    unsent_token: str | None = None


def alive(config: ProductConfig) -> tuple[ColumnElement[bool], ...]:
    """The conditions of a session that is over neither by its absolute end nor by standing idle."""
    # https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html#session-expiration
    now = clock.now()
    used_after = now - timedelta(minutes=config.session_idle_minutes)
    return WebSession.expires_at > now, WebSession.last_used_at > used_after


def is_alive(config: ProductConfig, expires_at: datetime, last_used_at: datetime) -> bool:
    """The same for a session that was read: both conditions of `alive`."""
    now = clock.now()
    return expires_at > now and last_used_at > now - timedelta(minutes=config.session_idle_minutes)


def is_use_due(last_used_at: datetime) -> bool:
    """Whether a use of now is to be noted."""
    return clock.now() - last_used_at >= timedelta(seconds=USE_NOTED_SECONDS)


async def note_use(session: Session, token_hash: str, last_used_at: datetime) -> None:
    """Note that the session is used now; `last_used_at` is what was read."""
    # Again with the time that was read: of two requests at once, one writes.
    same = WebSession.token_hash == token_hash, WebSession.last_used_at == last_used_at
    await session.execute(update(WebSession).where(*same).values(last_used_at=clock.now()))


async def owner_of(session: Session, token: str | None) -> UUID | None:
    """Whose session this is, or was until lately; None for an unknown one."""
    if not token:
        return None
    found = await session.execute(select(WebSession.person_id).where(WebSession.token_hash == hash_token(token)))
    return found.scalar_one_or_none()


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
    browser: Browser = Browser(),
    sid: str = "",
    role_claims: RoleClaims = RoleClaims.SENT,
    seal_token: Callable[[WebSession], Sealed | None] | None = None,
) -> tuple[str, datetime]:
    """Start a session of `hours` hours, and end the one that the browser had. Returns its token, not stored, and its end.

    `sid` is Entra ID's name for the session there, by which front-channel logout ends it. `role_claims` says why there may be
    no roles. `seal_token` gives Entra ID's refresh token, sealed for the new row.
    """
    now = clock.now()
    await sweep_attempts(session)
    # A copy of the cookie must not outlive what the person takes for the same session: ASVS 5.0 7.2.4.
    if browser.token:
        await end_sessions(session, WebSession.token_hash == hash_token(browser.token))
    # The person's other sessions get these roles too: what Entra ID reports now is newer than what it reported to them.
    await session.execute(update(WebSession).where(WebSession.person_id == person.id).values(roles=sorted(roles)))
    # A new token at each sign-in, independent of the browser's cookie, prevents session fixation:
    # https://owasp.org/www-community/attacks/Session_fixation
    token, expires_at = new_token(), now + timedelta(hours=hours)
    row = WebSession(
        token_hash=hash_token(token),
        person_id=person.id,
        roles=sorted(roles),
        created_at=now,
        expires_at=expires_at,
        sid=sid,
        role_claims=role_claims,
        last_used_at=now,
        address=browser.address,
        user_agent=browser.user_agent[:LONGEST_USER_AGENT],
        roles_checked_at=now,
    )
    row.refresh_token = seal_token(row) if seal_token else None
    session.add(row)
    return token, expires_at


async def end_sessions(session: Session, *which: ColumnElement[bool]) -> int:
    """End the sessions that fit these conditions. Returns how many were open."""
    now = clock.now()
    ended = await session.execute(
        update(WebSession)
        .where(WebSession.expires_at > now, *which)
        .values(expires_at=now, refresh_token=None)
        .returning(WebSession.id)
        .execution_options(synchronize_session=False)
    )
    return len(ended.all())


async def discard_tokens_of_ended(session: Session, config: ProductConfig) -> None:
    """Delete Entra ID's tokens of sessions that ended by themselves. Each is good for weeks, and the row stays a while."""
    is_over = WebSession.refresh_token.is_not(None), not_(and_(*alive(config)))
    discard = update(WebSession).where(*is_over).values(refresh_token=None)
    await session.execute(discard.execution_options(synchronize_session=False))


async def sign_out(session: Session, viewer: Viewer | None, token: str | None) -> None:
    """End this browser's session and write the audit log; without a session nothing happens."""
    if viewer is not None:
        await log_action(session, viewer, T("Signed out"))
    if token:
        await end_sessions(session, WebSession.token_hash == hash_token(token))


async def end_sessions_named(session: Session, sid: str, address: str = "") -> None:
    """End every session that Entra ID knows by this name. An empty name matches none, although many rows have it.

    `address` is where the call came from, for the audit log.
    """
    # Anyone may call this, with any text: only an id is looked for, and nothing is written where it names no session.
    if not (sid := identifier(sid)):
        return
    open_ones = select(WebSession.person_id).where(WebSession.sid == sid, WebSession.expires_at > clock.now())
    people = set((await session.execute(open_ones)).scalars())
    if people:
        await end_sessions(session, WebSession.sid == sid)
    for person_id in sorted(people):
        person = await session.get_one(Person, person_id)
        who = Viewer(person.id, person.oid, person.tid, person.display_name, person.email, None, address)
        await log_action(session, who, T("Signed out at Microsoft"))
