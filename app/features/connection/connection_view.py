"""The active connection as pages see it: plain values without secrets. Reads rows only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select

from app.core import clock
from app.core.database import Session
from app.core.messages import Message, T
from app.features.accounts.models import Person
from app.features.connection.authorization_attempts import LastAttempt
from app.features.connection.models import Connection, ConnectionStatus, InstanceThrottle
from app.features.connection.throttle import pause_message, pause_of
from app.integrations.servicenow.auth_scope import SCOPE_MISSING
from app.integrations.servicenow.releases import release_name

# The refresh token ends 100 days after the consent by default, and with it the connection. Nothing prolongs it but a new
# consent, so people are warned two weeks ahead: docs/facts/servicenow.md#1-4-token-response
WARN_DAYS = 14


@dataclass(frozen=True)
class ConnectionView:
    """The active connection. `status` is a ConnectionStatus, or "begun" for one that is not there yet.

    `days_left` counts whole days until the refresh token ends, None when that is unknown; `ends_soon` asks for a renewed
    consent. `user_name` is empty when the instance would not tell who consented. `pause` says why jobs call nothing just
    now and until when, None when they do. `status_changed_at`, `next_renewal_at` and `account_since`: as in Connection.
    """

    id: UUID
    status: str
    instance_name: str
    origin: str
    client_id: str
    attention: Message | None
    user_sys_id: str
    user_name: str
    user_display_name: str
    user_email: str
    expected_user_name: str
    connected_at: datetime
    connected_by: str
    access_expires_at: datetime | None
    refresh_expires_at: datetime | None
    days_left: int | None
    ends_soon: bool
    release: str
    release_build: str
    scope: str
    uses_pkce: bool
    sends_scope: bool
    status_changed_at: datetime | None
    next_renewal_at: datetime | None
    account_since: datetime | None
    last_success_at: datetime | None
    pause: Message | None
    # ServiceNow refuses every call of the client just now, whatever the last check has found.
    lacks_scope: bool = False

    @property
    def is_connected(self) -> bool:
        return self.status == ConnectionStatus.CONNECTED.value

    @property
    def is_confirmed(self) -> bool:
        """Until a person has confirmed the account that consented, nothing is checked and no card appears."""
        return self.status != ConnectionStatus.UNCONFIRMED.value

    @property
    def may_recover(self) -> bool:
        """Whether asking again may help: ServiceNow refused and named no final cause."""
        return self.next_renewal_at is not None

    @property
    def can_be_checked(self) -> bool:
        """Whether "Check again" does anything."""
        return self.is_connected or self.may_recover

    @property
    def has_expired(self) -> bool:
        """`days_left` is 0 all through the last day, on which the consent still holds."""
        return self.refresh_expires_at is not None and self.refresh_expires_at <= clock.now()


async def connection_view(session: Session) -> ConnectionView | None:
    # Outer joins: the person who connected may have been deleted since, and a new instance was never called.
    found = await session.execute(
        select(Connection, Person.display_name, InstanceThrottle)
        .outerjoin(Person, Person.id == Connection.connected_by)
        .outerjoin(InstanceThrottle, InstanceThrottle.connection_id == Connection.id)
        .where(Connection.status != ConnectionStatus.REMOVED)
    )
    row = found.one_or_none()
    return None if row is None else _view(row[0], row[1] or "", row[2])


def consent_notice(connection: Connection) -> Message | None:
    """That the consent ends soon or has ended, for those who can give it again; None while there is time."""
    ends_at, days = connection.refresh_expires_at, days_left(connection.refresh_expires_at)
    if ends_at is None or days is None or days > WARN_DAYS:
        return None
    if ends_at <= clock.now():
        return T("The consent for ServiceNow has ended. Tickets wait until it is given again; none is lost.")
    if days <= 1:
        return T(
            "The consent for ServiceNow ends in less than two days. Give it again before then, or tickets have to wait."
        )
    return T(
        "The consent for ServiceNow ends in %(days)s days. Give it again before then, or tickets have to wait.",
        days=days,
    )


async def connection_changed_at(session: Session) -> datetime | None:
    """When a connection was last made, authorized again or removed; None where there never was one."""
    newest = await session.execute(select(func.max(func.greatest(Connection.connected_at, Connection.removed_at))))
    found: datetime | None = newest.scalar_one()
    return found


async def status_changed_at(session: Session) -> datetime | None:
    """When a connection last stopped working, or worked again by itself; None where that never happened."""
    found: datetime | None = (await session.execute(select(func.max(Connection.status_changed_at)))).scalar_one()
    return found


def view_of_attempt(attempt: LastAttempt) -> ConnectionView:
    """The connection that this authorization would have made: enough for checks that need no token."""
    return ConnectionView(
        id=UUID(int=0), status="begun", instance_name=attempt.instance_name, origin=attempt.origin,
        client_id=attempt.client_id, attention=attempt.problem, user_sys_id="", user_name="", user_display_name="",
        user_email="", expected_user_name=attempt.expected_user_name, connected_at=attempt.begun_at, connected_by="",
        access_expires_at=None, refresh_expires_at=None, days_left=None, ends_soon=False, release="", release_build="",
        scope="", uses_pkce=True, sends_scope=True, status_changed_at=None, next_renewal_at=None, account_since=None,
        last_success_at=None, pause=None,
    )  # fmt: skip


def _view(connection: Connection, connected_by: str, throttle: InstanceThrottle | None) -> ConnectionView:
    days = days_left(connection.refresh_expires_at)
    return ConnectionView(
        id=connection.id,
        status=str(connection.status),
        instance_name=connection.instance_name,
        origin=connection.origin,
        client_id=connection.client_id,
        attention=_attention(connection),
        user_sys_id=connection.user_sys_id,
        user_name=connection.user_name,
        user_display_name=connection.user_display_name,
        user_email=connection.user_email,
        expected_user_name=connection.expected_user_name,
        connected_at=connection.connected_at,
        connected_by=connected_by,
        access_expires_at=connection.access_expires_at,
        refresh_expires_at=connection.refresh_expires_at,
        days_left=days,
        ends_soon=days is not None and days <= WARN_DAYS,
        release=release_name(connection.release_family),
        release_build=connection.release_build,
        scope=connection.scope,
        uses_pkce=connection.uses_pkce,
        sends_scope=connection.sends_scope,
        status_changed_at=connection.status_changed_at,
        next_renewal_at=connection.next_renewal_at,
        account_since=connection.account_since,
        last_success_at=connection.last_success_at,
        pause=pause_message(throttle),
        lacks_scope=_lacks_scope(throttle),
    )


def _lacks_scope(throttle: InstanceThrottle | None) -> bool:
    pause = pause_of(throttle) if throttle is not None else None
    return pause is not None and pause.reason is not None and pause.reason.code == SCOPE_MISSING.code


def _attention(connection: Connection) -> Message | None:
    return Message.from_json(connection.attention) if connection.attention else None


def days_left(expires_at: datetime | None) -> int | None:
    if expires_at is None:
        return None
    # Whole days, rounded down: a person who reads "1 day left" has at least one. Far from the end, the hour after the consent
    # still counts as its whole day: "99 days left" at once after a consent of 100 days looks like an error.
    left = expires_at - clock.now()
    days = left // timedelta(days=1)
    if days > WARN_DAYS and left - timedelta(days=days) > timedelta(hours=23):
        days += 1
    return max(days, 0)
