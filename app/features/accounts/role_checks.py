"""Asks Entra ID, while sessions are open, what roles their people have now; ends a session that Entra ID ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update

from app.core import clock
from app.core.logging import get_logger
from app.core.messages import T
from app.core.sealed_columns import context_of
from app.core.unforeseen import is_unforeseen, kind_of
from app.core.vault import CannotOpen, Sealed
from app.features.accounts.audit import log_action
from app.features.accounts.models import Person, WebSession
from app.features.accounts.permissions import role_of
from app.features.accounts.sessions import alive, end_sessions, viewer_of
from app.integrations.http.errors import Ambiguous, RemoteError, ServerError, Throttled, Unreachable
from app.integrations.microsoft.entra import SignInEnded
from app.integrations.microsoft.schemas import Identity
from app.resources import Resources

log = get_logger(__name__)
# In one run; the rest waits for the next one, a minute later. Entra ID answers in some 0.1 s.
MOST_AT_ONCE = 200
# Trouble that other sessions would meet as well, so that the run ends.
FOR_ALL = (Unreachable, Ambiguous, ServerError, Throttled)


@dataclass(frozen=True)
class Due:
    """A session whose roles are to be asked for."""

    row: WebSession
    oid: str

    @property
    def session_id(self) -> UUID:
        return self.row.id

    @property
    def person_id(self) -> UUID:
        return self.row.person_id


def sealed_token(resources: Resources, row: WebSession, token: str) -> Sealed | None:
    """A refresh token as the database keeps it in this row; None without one."""
    return resources.vault.seal(context_of(row, WebSession.refresh_token), token) if token else None


async def check_roles_if_due(resources: Resources) -> None:
    """Ask for every open session not asked about for `role_check_minutes`. While Entra ID is away, all stay as they are."""
    if not resources.config.role_check_minutes:
        return
    for due in await _due(resources):
        try:
            await _check(resources, due)
        except FOR_ALL as error:
            log.warning("account.roles.not_checked", error=error.code)
            return
        except RemoteError as error:
            # Of this session alone, as far as is known. It stays, and must not be the first again at once.
            log.warning("account.roles.not_checked", session=str(due.session_id), error=error.code)
            await _note(resources, due)
        except Exception as error:
            if not is_unforeseen(error):
                raise
            # An answer that no one foresaw is about one session: it must not keep all others from being asked about.
            log.exception("account.roles.not_checked", session=str(due.session_id), error=kind_of(error))
            await _note(resources, due)


async def _due(resources: Resources) -> list[Due]:
    asked_before = clock.now() - timedelta(minutes=resources.config.role_check_minutes)
    async with resources.database.transaction() as session:
        rows = await session.execute(
            select(WebSession, Person.oid)
            .join(Person, Person.id == WebSession.person_id)
            .where(
                *alive(resources.config),
                WebSession.refresh_token.is_not(None),
                WebSession.roles_checked_at <= asked_before,
            )
            .order_by(WebSession.roles_checked_at)
            .limit(MOST_AT_ONCE)
        )
        return [Due(row, oid) for row, oid in rows]


async def _check(resources: Resources, due: Due) -> None:
    if due.row.refresh_token is None:
        return
    try:
        token = resources.vault.open(context_of(due.row, WebSession.refresh_token), due.row.refresh_token)
    except CannotOpen:
        log.warning("vault.value_not_openable", table="web_session", column="refresh_token")
        async with resources.database.transaction() as session:
            cleared = update(WebSession).where(WebSession.id == due.session_id).values(refresh_token=None)
            await session.execute(cleared)
        return
    try:
        identity = await resources.entra.refresh(refresh_token=token, oid=due.oid)
    except SignInEnded as ended:
        await _end(resources, due, ended)
    else:
        await _keep_roles(resources, due, identity)


async def _note(resources: Resources, due: Due) -> None:
    async with resources.database.transaction() as session:
        noted = update(WebSession).where(WebSession.id == due.session_id).values(roles_checked_at=clock.now())
        await session.execute(noted)


async def _end(resources: Resources, due: Due, ended: SignInEnded) -> None:
    """Entra ID refuses the sign-in: the account is disabled, its sessions were revoked, or another factor is wanted."""
    async with resources.database.transaction() as session:
        person = await session.get(Person, due.person_id)
        if person is None or not await end_sessions(session, WebSession.id == due.session_id):
            return  # Ended meanwhile.
        number = str(ended.message.values.get("number", ""))
        who = viewer_of(person, (), resources.config)
        await log_action(session, who, T("Session ended, because Microsoft refused it"), reason=number)
    log.info("account.session.ended_by_entra", session=str(due.session_id), reason=number)


async def _keep_roles(resources: Resources, due: Due, identity: Identity) -> None:
    """The roles of now count in every session of the person; without any, all of them end."""
    reported = identity.wids | identity.roles
    async with resources.database.transaction() as session:
        person = await session.get(Person, due.person_id)
        row = await session.get(WebSession, due.session_id, with_for_update=True)
        if person is None or row is None or row.expires_at <= clock.now():
            return
        before, after = role_of(row.roles, resources.config), role_of(reported, resources.config)
        row.roles_checked_at, row.role_claims = clock.now(), identity.role_claims
        row.refresh_token = sealed_token(resources, row, identity.refresh_token) or row.refresh_token
        await session.flush()
        of_person = WebSession.person_id == person.id
        await session.execute(update(WebSession).where(of_person).values(roles=sorted(reported)))
        if before == after:
            return
        # As an entry of the person's own: a name among the facts could not be erased, for the audit log's chain covers them.
        who = viewer_of(person, reported, resources.config)
        may = who.texts.audit
        if after is None:
            await end_sessions(session, of_person)
        action = T("Signed out, because the role is gone") if after is None else T("Role changed at Microsoft")
        await log_action(session, who, action, may=may)
    log.info("account.role.changed", session=str(due.session_id), may=may)
