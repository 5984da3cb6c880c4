"""Finds, starts and ends the sessions of browsers that are signed in. Touches rows only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from app.core import clock
from app.core.database import Session
from app.core.random_tokens import hash_token, new_token
from app.features.accounts.models import Person, SignInAttempt, WebSession
from app.features.accounts.permissions import Viewer, permissions_of
from app.resources import ProductConfig


async def find_viewer(session: Session, config: ProductConfig, token: str | None) -> Viewer | None:
    """Who this session token belongs to, or None when there is no such session or its time is over."""
    if not token:
        return None
    found = await session.execute(
        select(Person, WebSession.roles)
        .join(WebSession, WebSession.person_id == Person.id)
        .where(WebSession.token_hash == hash_token(token), WebSession.expires_at > clock.now())
    )
    row = found.one_or_none()
    if row is None:
        return None
    person, roles = row
    return viewer_of(person, roles, config)


def viewer_of(person: Person, roles: Iterable[str], config: ProductConfig, address: str = "") -> Viewer:
    """This person with what these roles allow, calling from this address."""
    allowed = permissions_of(roles, config)
    return Viewer(
        person_id=person.id,
        oid=person.oid,
        tid=person.tid,
        display_name=person.display_name,
        email=person.email,
        may_view=allowed.may_view,
        may_share=allowed.may_share,
        may_manage=allowed.may_manage,
        address=address,
    )


async def start_session(
    session: Session, person: Person, roles: frozenset[str], hours: int, *, sid: str = ""
) -> tuple[str, datetime]:
    """A new session; gives its token, which is not kept, and when it ends. Sweeps out what has expired.

    The person's other sessions take these roles as well: what Entra ID says now is truer than what it said to them.
    """
    now = clock.now()
    await session.execute(delete(WebSession).where(WebSession.expires_at < now))
    await session.execute(delete(SignInAttempt).where(SignInAttempt.expires_at < now))
    await session.execute(update(WebSession).where(WebSession.person_id == person.id).values(roles=sorted(roles)))
    token, expires_at = new_token(), now + timedelta(hours=hours)
    session.add(
        WebSession(
            token_hash=hash_token(token),
            person_id=person.id,
            roles=sorted(roles),
            created_at=now,
            expires_at=expires_at,
            sid=sid,
        )
    )
    return token, expires_at


async def end_session(session: Session, token: str | None) -> None:
    """This browser is signed out, whether or not it was signed in."""
    if token:
        await session.execute(delete(WebSession).where(WebSession.token_hash == hash_token(token)))


async def end_sessions_named(session: Session, sid: str) -> None:
    """Every browser whose session at Entra ID has this name is signed out; an empty name is nobody's."""
    if sid:
        await session.execute(delete(WebSession).where(WebSession.sid == sid))
