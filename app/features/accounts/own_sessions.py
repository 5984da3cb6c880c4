"""Lists a person's own sessions, and ends one or all of them. Shows and ends nothing of another person's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app.core.database import Session
from app.core.errors import NotFound
from app.core.messages import T
from app.core.random_tokens import hash_token
from app.features.accounts.audit import log_action
from app.features.accounts.models import WebSession
from app.features.accounts.permissions import Viewer
from app.features.accounts.sessions import alive, end_sessions
from app.resources import ProductConfig


@dataclass(frozen=True)
class OwnSession:
    """One open session. `address` and `user_agent` are the browser's at the sign-in; `is_this`: it is the one that asks."""

    id: UUID
    started_at: datetime
    last_used_at: datetime
    ends_at: datetime
    address: str
    user_agent: str
    is_this: bool


async def list_own_sessions(
    session: Session, config: ProductConfig, viewer: Viewer, token: str | None
) -> list[OwnSession]:
    """The viewer's open sessions: the one with this token first, then the one used last."""
    found = await session.execute(
        select(WebSession)
        .where(WebSession.person_id == viewer.person_id, *alive(config))
        .order_by(WebSession.last_used_at.desc(), WebSession.id)
    )
    this = hash_token(token or "")
    lines = [
        OwnSession(
            id=row.id,
            started_at=row.created_at,
            last_used_at=row.last_used_at,
            ends_at=row.expires_at,
            address=row.address,
            user_agent=row.user_agent,
            is_this=row.token_hash == this,
        )
        for row in found.scalars()
    ]
    return sorted(lines, key=lambda line: not line.is_this)


async def end_own_session(session: Session, viewer: Viewer, session_id: UUID) -> None:
    """End one of the viewer's sessions. Raises NotFound for another person's, and for one that is over already."""
    # The person stands in the condition, so that another one's id finds nothing (insecure direct object reference).
    # https://cheatsheetseries.owasp.org/cheatsheets/Insecure_Direct_Object_Reference_Prevention_Cheat_Sheet.html
    if not await end_sessions(session, WebSession.id == session_id, WebSession.person_id == viewer.person_id):
        raise NotFound(T("This session is over already."))
    await log_action(session, viewer, T("Session ended"))


async def end_all_own_sessions(session: Session, viewer: Viewer) -> int:
    """End every session of the viewer, this one included. Returns how many."""
    count = await end_sessions(session, WebSession.person_id == viewer.person_id)
    await log_action(session, viewer, T("Signed out everywhere"), sessions=count)
    return count
