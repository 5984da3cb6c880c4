"""Tables of the connection: the instance, its throttle and leases, authorizations that were begun, the call log."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Id
from app.core.page_versions import bump_on_change
from app.core.vault import Sealed, SealedText


class ConnectionStatus(StrEnum):
    """`NEEDS_ATTENTION`: a person has to authorize again; the row and its tickets stay as they are.

    `UNCONFIRMED`: the tokens are those of an account that may be the wrong one; nothing is sent until a person confirms it.
    """

    CONNECTED = "connected"
    UNCONFIRMED = "unconfirmed"
    NEEDS_ATTENTION = "needs_attention"
    REMOVED = "removed"


class Connection(Base):
    """One instance we are, or were, authorized at. One row per instance, reused when it is connected again.

    At most one row is not removed. Secrets are sealed. `attention` is what a person is told to do (Message.to_json, with
    its code); None while it is connected. `refresh_answer_lost_at` is when the response to a token refresh was last lost,
    None once tokens came. `token_version` counts grants, so that a process sees that another one has refreshed.
    """

    __tablename__ = "connection"
    __table_args__ = (
        # A unique index over a constant allows one row that is not removed.
        # https://www.postgresql.org/docs/current/indexes-partial.html
        Index("uq_connection_active", text("(true)"), unique=True, postgresql_where=text("status <> 'removed'")),
    )

    id: Mapped[Id]
    instance_name: Mapped[str]
    origin: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str]
    attention: Mapped[dict[str, Any] | None]

    client_id: Mapped[str]
    # None once the connection is removed: secrets are discarded, the row stays for its tickets.
    client_secret: Mapped[Sealed | None] = mapped_column(SealedText("origin"))
    access_token: Mapped[Sealed | None] = mapped_column(SealedText("origin"))
    access_granted_at: Mapped[datetime | None]
    access_expires_at: Mapped[datetime | None]
    refresh_token: Mapped[Sealed | None] = mapped_column(SealedText("origin"))
    refresh_expires_at: Mapped[datetime | None]
    refresh_answer_lost_at: Mapped[datetime | None]
    token_version: Mapped[int] = mapped_column(default=0)
    scope: Mapped[str] = mapped_column(default="")
    uses_pkce: Mapped[bool] = mapped_column(default=True)
    sends_scope: Mapped[bool] = mapped_column(default=True)
    # When the status last changed without a consent: it needs attention, or works again.
    status_changed_at: Mapped[datetime | None]
    # After a refusal that names no final cause: how often it was repeated, and when we ask again; None when we do not.
    renewal_refusals: Mapped[int] = mapped_column(default=0)
    next_renewal_at: Mapped[datetime | None]

    # The integration user the admin named in the checklist (may be empty), and who really consented.
    expected_user_name: Mapped[str] = mapped_column(default="")
    user_sys_id: Mapped[str] = mapped_column(default="")
    user_name: Mapped[str] = mapped_column(default="")
    user_display_name: Mapped[str] = mapped_column(default="")
    user_email: Mapped[str] = mapped_column(default="")
    # Since when this account consents: what its tickets have shown stays true when it consents again.
    account_since: Mapped[datetime | None]
    release_family: Mapped[str] = mapped_column(default="")
    release_build: Mapped[str] = mapped_column(default="")

    connected_at: Mapped[datetime]
    connected_by: Mapped[UUID | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    removed_at: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]


class AuthorizationAttempt(Base):
    """An authorization that was begun: used once, by the browser that began it, within its time.

    A used or expired one is kept for a day, without its secrets once used, so that a late callback is told which of the
    two it is. `replaces` is the connection that was active when it was begun: if another person has connected another
    instance in the meantime, finishing must not remove that one unasked.
    """

    __tablename__ = "authorization_attempt"

    id: Mapped[Id]
    state_hash: Mapped[str] = mapped_column(unique=True)
    browser_hash: Mapped[str]
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    verifier: Mapped[Sealed | None] = mapped_column(SealedText("origin"))
    replaces: Mapped[UUID | None]
    instance_name: Mapped[str]
    origin: Mapped[str]
    client_id: Mapped[str]
    client_secret: Mapped[Sealed | None] = mapped_column(SealedText("origin"))
    expected_user_name: Mapped[str] = mapped_column(default="")
    uses_pkce: Mapped[bool] = mapped_column(default=True)
    sends_scope: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    # Why nothing came of it (Message.to_json); None while it is open, and when it succeeded.
    problem: Mapped[dict[str, Any] | None]


class CallRecord(Base):
    """One call to ServiceNow, for support: where to, how it ended, and both sides' numbers of it. No content."""

    __tablename__ = "call_record"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    method: Mapped[str]
    host: Mapped[str]
    path: Mapped[str]
    status: Mapped[int]
    outcome: Mapped[str]
    milliseconds: Mapped[int]
    transaction_id: Mapped[str]
    correlation_id: Mapped[str]


class TicketPreferences(Base):
    """What an administrator has decided for new tickets at one instance: proposals, the group, and own columns.

    `proposals` holds kind, priorities by score impact, days until due by priority and category; `columns` the instance's
    own columns that take a copy of a data item, by kind and item; `field_values` the fixed values of columns, by kind and
    column; `change_types` the type or model of change requests. All as app.features.connection.preferences reads them.
    """

    __tablename__ = "ticket_preferences"

    connection_id: Mapped[UUID] = mapped_column(ForeignKey("connection.id", ondelete="CASCADE"), primary_key=True)
    proposals: Mapped[dict[str, Any]] = mapped_column(default=dict)
    columns: Mapped[dict[str, Any]] = mapped_column(default=dict)
    field_values: Mapped[dict[str, Any]] = mapped_column(default=dict)
    change_types: Mapped[dict[str, Any]] = mapped_column(default=dict)
    group_id: Mapped[str] = mapped_column(default="")
    group_name: Mapped[str] = mapped_column(default="")
    # Whether what is sent carries the sender's name and e-mail address, besides the user ID.
    names_sender: Mapped[bool] = mapped_column(default=True)


class InstanceThrottle(Base):
    """The rate limiting state of one instance, shared by all processes.

    No call of a job begins before `paused_until`, nor before `probe_until` while the first call after a pause has no outcome
    (connection/throttle.py). `requests` counts those of the clock hour that began at `hour`,
    `hourly_limit` is the instance's own, when it named one. `last_viewed_at` is when the cards were last viewed.
    `clock_ahead_seconds` is how far the instance's clock is ahead of ours, at least: as it stamped the last record that
    it made for us, or less, if its answers have shown less since; None until one of them has shown it. Until
    `slot_wanted_until` a caller waits for a slot: who holds several for long gives one up.
    """

    __tablename__ = "instance_throttle"

    connection_id: Mapped[UUID] = mapped_column(ForeignKey("connection.id", ondelete="CASCADE"), primary_key=True)
    paused_until: Mapped[datetime | None]
    probe_until: Mapped[datetime | None]
    reason: Mapped[dict[str, Any] | None]
    failures: Mapped[int] = mapped_column(default=0)
    hour: Mapped[datetime | None]
    requests: Mapped[int] = mapped_column(default=0)
    hourly_limit: Mapped[int | None]
    clock_ahead_seconds: Mapped[float | None]
    last_viewed_at: Mapped[datetime | None]
    slot_wanted_until: Mapped[datetime | None]


class CallLease(Base):
    """A slot that a call holds while it waits for its answer, or one call after the other, until `expires_at` at the latest.

    A lease past its end belongs to a process that died: the slot is free again.
    """

    __tablename__ = "call_lease"

    id: Mapped[Id]
    # Not of `connection`: the foreign key would lock that row, and wait for a token renewal in another process.
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("instance_throttle.connection_id", ondelete="CASCADE"))
    pool: Mapped[str]
    expires_at: Mapped[datetime]


# Not tokens and their times, and not the last success, which changes with each call.
SHOWN = (
    "instance_name", "origin", "status", "attention", "client_id", "refresh_expires_at", "scope", "uses_pkce",
    "sends_scope", "status_changed_at", "next_renewal_at", "expected_user_name", "user_sys_id", "user_name",
    "user_display_name", "user_email", "account_since", "release_family", "release_build", "connected_at", "connected_by",
    "removed_at",
)  # fmt: skip
bump_on_change("connection", Connection, columns=SHOWN)
bump_on_change("connection", TicketPreferences)
bump_on_change("poll", InstanceThrottle, columns=("paused_until", "reason", "hourly_limit"))
