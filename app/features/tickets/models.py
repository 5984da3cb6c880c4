"""The tables of tickets: what was asked, how its delivery went, what ServiceNow made of it. No queries."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DDL, BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, event, text
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Id
from app.core.logging import current_correlation_id
from app.core.page_versions import bump_on_change, on_schema_created
from app.features.tickets.table_triggers import FUNCTIONS, GRAMS, TRIGGERS
from app.features.tickets.tally_triggers import TALLY_TICKETS

# As text, so that PostgreSQL sees that a query for them may use the partial index.
UNDELIVERED = text("delivery IN ('queued', 'held')")
FOR_LANES = text("delivery = 'queued' AND NOT has_own_job")


class Outbound:
    """The outbox: the columns of what is delivered to ServiceNow, as app.features.tickets.delivery.outbound uses them."""

    # A value of `Delivery`.
    delivery: Mapped[str]
    # The number of the newest attempt. An attempt of another number writes nothing.
    attempts: Mapped[int] = mapped_column(default=0)
    refusals: Mapped[int] = mapped_column(default=0)
    # What refused (outbound.refusal_cause), the same for every row with that cause. NULL unless the row was refused.
    refusal_cause: Mapped[str | None]
    # When the newest attempt that was refused for that cause began. Later ones may have failed for something else.
    refused_at: Mapped[datetime | None]
    # The newest send was refused before ServiceNow looked at it, so it surely did nothing.
    turned_away: Mapped[bool] = mapped_column(default=False)
    # How many sends in a row ended in an internal error of ServiceNow itself (500), and what it said the last time.
    failures: Mapped[int] = mapped_column(default=0)
    failure_text: Mapped[str] = mapped_column(default="")
    # A person asked for another try after a refusal, so the circuit breaker lets it through.
    force_retry: Mapped[bool] = mapped_column(default=False)
    attempted_at: Mapped[datetime | None]
    # When a send last left us. NULL while it is certain that none did.
    sent_at: Mapped[datetime | None]
    # Until when that send may still be running in ServiceNow. A row that is held or given up keeps it until it is known
    # whether it arrived.
    uncertain_until: Mapped[datetime | None]
    # Since when an attempt waits for its answer.
    in_flight_since: Mapped[datetime | None]
    # NULL while a queued row waits for the connection.
    next_try_at: Mapped[datetime | None]
    # The message (Message.to_json) of what stands in the way.
    problem: Mapped[dict[str, Any] | None]
    # The id of the request in which a person asked for it, for the log lines of every later job.
    request_id: Mapped[str] = mapped_column(default=current_correlation_id)
    shared_at: Mapped[datetime | None]


class Ticket(Outbound, Base):
    """One share. What was asked never changes after it was sent; what ServiceNow made of it is copied from there.

    `record` is the whole record as decided when it was shared, `correlation_id` the ID by which it is found again.
    """

    __tablename__ = "ticket"
    __table_args__ = (
        # Partial indexes: nearly all tickets are shared and idle, and each query concerns the few that are not.
        Index("ix_ticket_queued", "next_try_at", postgresql_where=text("delivery = 'queued'")),
        Index("ix_ticket_undelivered", "delivery", postgresql_where=UNDELIVERED),
        Index("ix_ticket_in_flight", "connection_id", postgresql_where=text("in_flight_since IS NOT NULL")),
        Index("ix_ticket_verified", "connection_id", "kind", "verified_at", postgresql_where=text("sys_id <> ''")),
        # The order in which polling reads records by their ids (polling/scan_order.py). Of closed tickets those of a span of
        # time are wanted, which the last column tells without the row.
        Index(
            "ix_ticket_scan",
            "connection_id",
            "kind",
            "state",
            text("verified_at NULLS FIRST"),
            "id",
            "state_since",
            postgresql_where=text("sys_id <> ''"),
        ),
        # The same of the few that are read with each poll.
        Index(
            "ix_ticket_without_marker",
            "connection_id",
            "kind",
            "state",
            text("verified_at NULLS FIRST"),
            "id",
            postgresql_where=text("sys_id <> '' AND NOT has_marker AND absence = ''"),
        ),
        # Polls are more frequent after a share; the circuit breaker counts what got through.
        Index("ix_ticket_shared", "connection_id", "kind", "shared_at"),
        # The records that a list of changes must hold, as proof that it can be believed.
        Index("ix_ticket_remote_updated", "connection_id", "kind", "remote_updated_at"),
        # What the lanes send next, single shares first.
        Index("ix_ticket_lanes", text("(batch_id IS NOT NULL)"), "created_at", "id", postgresql_where=FOR_LANES),
        # The circuit breaker asks for these with each send.
        Index("ix_ticket_refused", "connection_id", "refused_at", postgresql_where=text("refusal_cause IS NOT NULL")),
        # Retention looks for those that were closed long ago.
        Index("ix_ticket_state_since", "state_since"),
        # The order of the list. Both parts descend, so that a page begins where a cursor (created_at, id) stands.
        Index("ix_ticket_newest", text("created_at DESC"), text("id DESC")),
        # The same within each line of ticket_tally, of which every filter is a set (views/ticket_classes.py).
        Index(
            "ix_ticket_of_class",
            "connection_id",
            "kind",
            "delivery",
            "state",
            text("(absence = '')"),
            text("created_at DESC"),
            text("id DESC"),
        ),
        # The few newest of each kind, of which a card shows all but those that were given up.
        Index(
            "ix_ticket_newest_of_kind",
            "connection_id",
            "kind",
            text("created_at DESC"),
            "id",
            postgresql_where=text("delivery <> 'given_up'"),
        ),
        # Two tickets never follow one record. NULLs do not collide, so unsent tickets do not either.
        UniqueConstraint("connection_id", "sys_id", "kind"),
    )

    id: Mapped[Id]
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("connection.id"))
    kind: Mapped[str]
    # Deduplication: the idempotency key that comes with the form, so that one that is sent twice makes one ticket.
    form_key: Mapped[str] = mapped_column(unique=True)
    batch_id: Mapped[UUID | None] = mapped_column(index=True)
    predecessor_id: Mapped[UUID | None] = mapped_column(ForeignKey("ticket.id"), index=True)

    # What was asked.
    source: Mapped[str]
    category: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    priority: Mapped[int]
    due_date: Mapped[date]
    # The type or model that a person chose for this change request (ChangeType.key); empty for the administrator's.
    change_type: Mapped[str] = mapped_column(default="")
    requested_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    requested_by_oid: Mapped[str]
    requested_by_name: Mapped[str]
    created_at: Mapped[datetime]
    record: Mapped[dict[str, Any]]
    warnings: Mapped[list[Any]] = mapped_column(default=list)

    correlation_id: Mapped[str] = mapped_column(unique=True)
    # The sys_id that its record is to have, where the instance keeps one that was chosen (delivery/own_sys_id.py); empty
    # for tickets of earlier versions. `sent_plain`: a create has left without it, so it may not be the record's.
    own_sys_id: Mapped[str] = mapped_column(default="")
    sent_plain: Mapped[bool] = mapped_column(default=False)

    # A job of its own brings it (delivery/deliver.py), because it needs more than one request; otherwise the lanes do
    # (delivery/lanes.py).
    has_own_job: Mapped[bool] = mapped_column(default=False)

    # What ServiceNow made of it, in its own values: labels are for people and differ by language
    # (docs/facts/servicenow.md#trap-31). `sys_id` is NULL, not '', before the ticket is shared.
    sys_id: Mapped[str | None]
    number: Mapped[str] = mapped_column(default="")
    state: Mapped[str] = mapped_column(default="")
    state_label: Mapped[str] = mapped_column(default="")
    remote_priority: Mapped[str] = mapped_column(default="")
    assigned_to: Mapped[str] = mapped_column(default="")
    remote_updated_at: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]
    # Why the record is not shown to us, a value of `Absence`; '' while it is.
    absence: Mapped[str] = mapped_column(default="")
    # Whether the record still carries our marker, by which changes are listed. One without it is read by its id.
    has_marker: Mapped[bool] = mapped_column(default=True)
    state_since: Mapped[datetime | None]
    differences: Mapped[list[Any]] = mapped_column(default=list)
    # The work notes and comments that others wrote there, newest first, as the instance shows them.
    journal: Mapped[list[Any]] = mapped_column(default=list)
    journal_read_at: Mapped[datetime | None]
    # Why they could not be read then.
    journal_problem: Mapped[dict[str, Any] | None]

    @hybrid_property
    def visible(self) -> bool:
        """Whether ServiceNow showed the record when it was last asked for; in a query, the condition for it."""
        return self.absence == ""


class TicketTally(Base):
    """How many tickets there are of a kind in a state: what counting `ticket` would give, kept by triggers at each commit.

    `shown` is whether ServiceNow shows their records. A combination without tickets has no row.
    """

    __tablename__ = "ticket_tally"
    __table_args__ = (CheckConstraint("n > 0", name="counts_tickets"),)

    # No foreign key: checking it would lock the connection's row at the end of each transaction.
    connection_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    delivery: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(primary_key=True)
    state_label: Mapped[str] = mapped_column(primary_key=True)
    shown: Mapped[bool] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger)


class TicketNote(Outbound, Base):
    """A work note written here. Its id comes with the form, so that a form sent twice is one note.

    It carries a reference of its own (part of the id), by which it is found again in the record.
    """

    __tablename__ = "ticket_note"

    id: Mapped[Id]
    ticket_id: Mapped[UUID] = mapped_column(ForeignKey("ticket.id", ondelete="CASCADE"), index=True)
    text: Mapped[str]
    requested_by_oid: Mapped[str]
    requested_by_name: Mapped[str]
    created_at: Mapped[datetime]
    # False when ServiceNow accepted it and does not let us see whether it kept it.
    confirmed: Mapped[bool] = mapped_column(default=True)


class TicketAction(Base):
    """An improvement action that a ticket was made of, with its points at that time. A free task has none."""

    __tablename__ = "ticket_action"
    __table_args__ = (
        # The newest tickets of one action, and the newest shared one: each is read off the index.
        Index("ix_ticket_action_newest", "control_id", text("created_at DESC"), "ticket_id"),
        Index(
            "ix_ticket_action_shared",
            "control_id",
            text("shared_created DESC"),
            "ticket_id",
            postgresql_where=text("shared_created IS NOT NULL"),
        ),
    )

    ticket_id: Mapped[UUID] = mapped_column(ForeignKey("ticket.id", ondelete="CASCADE"), primary_key=True)
    control_id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    points: Mapped[float | None]
    max_points: Mapped[float | None]
    # Copies of the ticket's `created_at`, the second only while it is shared. Triggers keep them (table_triggers.py).
    created_at: Mapped[datetime]
    shared_created: Mapped[datetime | None]


class TicketSearch(Base):
    """What search finds a ticket by: name, number, requester and titles of its actions, in lower case.

    Kept by triggers (table_triggers.py). A table of its own, because a ticket is written at each poll, and each time all its
    index entries with it.
    """

    __tablename__ = "ticket_search"
    __table_args__ = (
        Index("ix_ticket_search_newest", text("created_at DESC"), text("ticket_id DESC")),
        # What was added last is read from end to end by each search, so it stays short (in kB).
        # https://www.postgresql.org/docs/current/gin.html#GIN-FAST-UPDATE
        Index(
            "ix_ticket_search_grams",
            text("grams(search_text)"),
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": 512},
        ),
    )

    ticket_id: Mapped[UUID] = mapped_column(ForeignKey("ticket.id", ondelete="CASCADE"), primary_key=True)
    created_at: Mapped[datetime]
    search_text: Mapped[str]


class TicketEvent(Base):
    """Something that happened to a ticket. `message` is stored as Message.to_json, `actor` is a person's name or empty."""

    __tablename__ = "ticket_event"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    ticket_id: Mapped[UUID] = mapped_column(ForeignKey("ticket.id", ondelete="CASCADE"), index=True)
    occurred_at: Mapped[datetime]
    event_type: Mapped[str]
    message: Mapped[dict[str, Any]]
    actor: Mapped[str] = mapped_column(default="")


class OwnSysIdRule(Base):
    """What a table of an instance does with a sys_id that we choose, as its answers have shown (delivery/own_sys_id.py).

    `refusals` counts the creates in a row that were refused with a sys_id and taken without.
    """

    __tablename__ = "own_sys_id_rule"

    connection_id: Mapped[UUID] = mapped_column(ForeignKey("connection.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    verdict: Mapped[str]
    refusals: Mapped[int] = mapped_column(default=0)
    learned_at: Mapped[datetime]


class StateName(Base):
    """The label and the category that an administrator gave a state of the instance. Other states have defaults."""

    __tablename__ = "state_name"

    connection_id: Mapped[UUID] = mapped_column(ForeignKey("connection.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    own_label: Mapped[str]
    category: Mapped[str]


class StateChoice(Base):
    """A state as the instance lists it among the choices of its field, where we may read those."""

    __tablename__ = "state_choice"

    connection_id: Mapped[UUID] = mapped_column(ForeignKey("connection.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str]


class PollCursor(Base):
    """How far polling of one table has read, and how it went.

    `watermark` is the moment up to which changes were read, on our clock. `last_scan_at` is when the rolling scan last
    read a chunk, `last_closed_scan_at` when it last read one of closed tickets. Cards show `succeeded_at` as the age of
    their data, and `problem` as the reason when that is old. `changes_refused` counts refusals of the query for changes
    in a row, the last one at `changes_refused_at`.
    """

    __tablename__ = "poll_cursor"

    connection_id: Mapped[UUID] = mapped_column(ForeignKey("connection.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    watermark: Mapped[datetime | None]
    last_scan_at: Mapped[datetime | None]
    last_closed_scan_at: Mapped[datetime | None]
    tried_at: Mapped[datetime | None]
    succeeded_at: Mapped[datetime | None]
    last_change_at: Mapped[datetime | None]
    problem: Mapped[dict[str, Any] | None]
    changes_refused_at: Mapped[datetime | None]
    changes_refused: Mapped[int] = mapped_column(default=0)
    choices_read_at: Mapped[datetime | None]


# An index needs this one before there are tables.
event.listen(TicketSearch.__table__, "before_create", DDL(GRAMS))  # type: ignore[no-untyped-call]
on_schema_created(FUNCTIONS)
on_schema_created(TRIGGERS)
on_schema_created(TALLY_TICKETS)
bump_on_change("plans", TicketAction)
bump_on_change("connection", StateName, StateChoice)
bump_on_change("poll", PollCursor, columns=("succeeded_at", "problem", "changes_refused"))
