"""What a person may do with a held ticket: retry it, edit and retry it, or give it up. Sends nothing itself.

A queued ticket whose instance was removed may be given up as well, because nothing else would end its wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select

from app.core import clock
from app.core.database import Session
from app.core.errors import Conflict, InvalidInput, NotFound
from app.core.jobs import Queue
from app.core.messages import Message, T
from app.features.accounts.audit import log_action
from app.features.accounts.models import Person
from app.features.accounts.permissions import Viewer
from app.features.connection.models import Connection, ConnectionStatus
from app.features.connection.preferences import load_preferences
from app.features.tickets.delivery.outbox_row import requeue
from app.features.tickets.delivery.refusals import cause_key, cause_of, innermost, missing_fields
from app.features.tickets.events import EventType, record_event
from app.features.tickets.models import Ticket, TicketAction
from app.features.tickets.sharing.fixed_columns import check_change_type
from app.features.tickets.sharing.record import Links, compose_record, with_decisions
from app.features.tickets.sharing.share import action_link, check_request, ticket_link
from app.features.tickets.ticket_audit import audit_ticket_event
from app.features.tickets.ticket_fields import Requester, TicketRequest, stored_request, stored_values
from app.features.tickets.types import BULK_PRIORITY, Delivery, TicketKind

# More groups than a person reads are not listed; the button for all held tickets is there as well.
MOST_GROUPS = 10
NOT_HELD = T("This ticket is not held any more. Its page shows how it stands now.")


@dataclass(frozen=True)
class HeldGroup:
    """Tickets of one kind that are held for one reason. `missing` are the labels of fields that have to be filled."""

    key: str
    kind: TicketKind
    reason: Message
    missing: list[str]
    count: int


async def held_groups(session: Session, kind: TicketKind | None = None) -> list[HeldGroup]:
    """The reasons for which tickets are held at the active connection, the most frequent first."""
    return groups_of((await session.execute(held_query(kind))).mappings())


def held_query(kind: TicketKind | None = None) -> Select[*tuple[Any, ...]]:
    """What `groups_of` needs."""
    # One row for all tickets that are alike: thousands may wait for the same thing.
    alike_in = (Ticket.connection_id, Ticket.kind, Ticket.refusal_cause, Ticket.problem)
    query = (
        select(*alike_in, func.count().label("count"))
        .join(Connection, Connection.id == Ticket.connection_id)
        .where(Ticket.delivery == Delivery.HELD, Connection.status != ConnectionStatus.REMOVED)
        .group_by(*alike_in)
        .order_by(func.min(Ticket.created_at))
    )
    return query if kind is None else query.where(Ticket.kind == kind)


def groups_of(rows: Iterable[Mapping[Any, Any]]) -> list[HeldGroup]:
    """The groups of these rows of `held_query`, the most frequent first."""
    groups: dict[str, list[tuple[Ticket, int]]] = {}
    for row in rows:
        values = dict(row)
        count = values.pop("count")
        alike = Ticket(**values)
        groups.setdefault(cause_key(alike), []).append((alike, count))
    found = [_group(key, alike) for key, alike in groups.items()]
    return sorted(found, key=lambda group: -group.count)[:MOST_GROUPS]


def _group(key: str, alike: Sequence[tuple[Ticket, int]]) -> HeldGroup:
    # Of those that were sent, because the others only name it as the reason why they were not.
    first = next((ticket for ticket, _ in alike if ticket.refusal_cause), alike[0][0])
    reason = innermost(Message.from_json(first.problem)) if first.problem else T("Held.")
    count = sum(count for _, count in alike)
    return HeldGroup(key, TicketKind(first.kind), reason, missing_fields(cause_of(first)), count)


async def _held(session: Session) -> list[Ticket]:
    query = (
        select(Ticket)
        .join(Connection, Connection.id == Ticket.connection_id)
        .where(Ticket.delivery == Delivery.HELD, Connection.status != ConnectionStatus.REMOVED)
        # In the order of their ids: two people who press a button at once wait for, and do not deadlock, each other.
        .order_by(Ticket.id)
        .with_for_update(of=Ticket)
    )
    return list((await session.execute(query)).scalars())


async def retry_group(session: Session, queue: Queue, key: str, *, viewer: Viewer) -> int:
    """Send every ticket that is held for this reason again, and return how many. Without `force_retry`, as in `retry_all`."""
    tickets = [ticket for ticket in await _held(session) if cause_key(ticket) == key]
    for ticket in tickets:
        record_event(session, ticket, EventType.PERSON, T("Asked to try again."), actor=viewer.display_name)
        await _queue_again(session, queue, ticket, priority=BULK_PRIORITY)
    if tickets:
        await log_action(session, viewer, T("Tickets held for one reason sent again"), tickets=len(tickets))
    return len(tickets)


async def retry(session: Session, queue: Queue, ticket_id: UUID, *, viewer: Viewer) -> None:
    """Send a held ticket again; what may have arrived is looked for first. Raises NotFound or Conflict."""
    ticket = await held_ticket(session, ticket_id)
    record_event(session, ticket, EventType.PERSON, T("Asked to try again."), actor=viewer.display_name)
    # A retry that a person requests for one ticket passes the circuit breaker.
    ticket.force_retry = True
    await _queue_again(session, queue, ticket)
    await audit_ticket_event(session, viewer, T("Ticket sent again"), ticket_id)


async def retry_all(session: Session, queue: Queue, *, viewer: Viewer) -> int:
    """Send every held ticket again, and return how many.

    Without `force_retry`: once a few are refused again, the circuit breaker holds the rest unsent.
    """
    # Those of a removed instance stay as they are: they can be given up, and would wait for ever.
    tickets = await _held(session)
    for ticket in tickets:
        record_event(session, ticket, EventType.PERSON, T("Asked to try again."), actor=viewer.display_name)
        await _queue_again(session, queue, ticket, priority=BULK_PRIORITY)
    await log_action(session, viewer, T("All held tickets sent again"), tickets=len(tickets))
    return len(tickets)


async def edit_and_retry(
    session: Session, queue: Queue, ticket_id: UUID, asked: TicketRequest, *, viewer: Viewer, public_url: str
) -> None:
    """Ask for something else, and send that. Raises NotFound, Conflict, or InvalidInput with nothing changed.

    The person who shared it first stays its requester. Should the first version have arrived after all, it is found
    before anything is sent, and the ticket's page shows how it differs.
    """
    check_request(asked)
    ticket = await held_ticket(session, ticket_id)
    # The other type is another table, where the first version would not be found: two records would be made.
    if asked.kind != ticket.kind and ticket.sent_at is not None:
        raise InvalidInput(
            fields={"kind": T("It may have reached ServiceNow as the other type already, so the type stays as it is.")}
        )
    actions = await session.execute(
        select(TicketAction.control_id, TicketAction.title).where(TicketAction.ticket_id == ticket_id)
    )
    predecessor = await session.get(Ticket, ticket.predecessor_id) if ticket.predecessor_id else None
    links = Links(
        ticket=ticket_link(public_url, ticket.id),
        actions=[(title, action_link(public_url, control_id)) for control_id, title in actions],
        predecessor=predecessor.number if predecessor else "",
    )
    preferences = await load_preferences(session, ticket.connection_id)
    check_change_type(asked, preferences)
    payload = compose_record(asked, await _requester_of(session, ticket), links, ticket.correlation_id, preferences)
    for column, value in stored_values(asked).items():
        setattr(ticket, column, value)
    ticket.record = payload.fields
    ticket.warnings = [warning.to_json() for warning in payload.warnings]
    ticket.force_retry = True
    record_event(session, ticket, EventType.PERSON, T("Changed, and asked to try again."), actor=viewer.display_name)
    await _queue_again(session, queue, ticket)
    await audit_ticket_event(session, viewer, T("Ticket changed and sent again"), ticket_id)


async def give_up(session: Session, queue: Queue, ticket_id: UUID, *, viewer: Viewer) -> None:
    """Keep a held or stranded ticket, marked, and send nothing more of it. Raises NotFound or Conflict.

    One that was sent may have a record in ServiceNow: it is reconciled, and followed when the record exists.
    """
    ticket = await _ticket(session, ticket_id)
    if ticket.delivery != Delivery.HELD and not await _is_stranded(session, ticket):
        raise Conflict(NOT_HELD)
    ticket.delivery, ticket.next_try_at = Delivery.GIVEN_UP, None
    gave_up = T("Given up. It stays here, and nothing more is sent.")
    record_event(session, ticket, EventType.PERSON, gave_up, actor=viewer.display_name)
    # A refused record may have been created nevertheless (docs/facts/servicenow.md#trap-4), so every sent one is looked for.
    if ticket.sent_at is not None:
        ticket.uncertain_until = ticket.uncertain_until or clock.now()
        doubt = T(
            "It may have reached ServiceNow before that. We look for it there, and follow it here when we find it. You "
            "can look yourself, for a record with the correlation ID %(id)s.",
            id=ticket.correlation_id,
        )
        ticket.problem = doubt.to_json()
        await queue.defer(session, "tickets.reconcile", ticket_id=str(ticket_id))
    await audit_ticket_event(session, viewer, T("Ticket given up"), ticket_id)


async def held_ticket(session: Session, ticket_id: UUID) -> Ticket:
    """The ticket, locked. Raises NotFound, or Conflict when it is not held."""
    ticket = await _ticket(session, ticket_id)
    if ticket.delivery != Delivery.HELD:
        raise Conflict(NOT_HELD)
    return ticket


async def _requester_of(session: Session, ticket: Ticket) -> Requester:
    """Who shared it first. Their address is the one of today, and empty for a person who is not known any more."""
    person = await session.get(Person, ticket.requested_by_id) if ticket.requested_by_id else None
    email = person.email if person else ""
    return Requester(ticket.requested_by_id, ticket.requested_by_oid, ticket.requested_by_name, email)


async def _ticket(session: Session, ticket_id: UUID) -> Ticket:
    ticket = await session.get(Ticket, ticket_id, with_for_update=True)
    if ticket is None:
        raise NotFound
    return ticket


async def _is_stranded(session: Session, ticket: Ticket) -> bool:
    """Whether it waits for an instance that was removed."""
    connection = await session.get(Connection, ticket.connection_id)
    return ticket.delivery == Delivery.QUEUED and (connection is None or connection.status == ConnectionStatus.REMOVED)


async def _queue_again(session: Session, queue: Queue, ticket: Ticket, *, priority: int = 0) -> None:
    # What an administrator decided since then may be what was missing. One that may have arrived stays as it was sent, or
    # its page would name differences that ServiceNow has not made.
    if ticket.uncertain_until is None:
        preferences = await load_preferences(session, ticket.connection_id)
        requester = await _requester_of(session, ticket)
        ticket.record = with_decisions(ticket.record, stored_request(ticket), requester, preferences)
    requeue(ticket)
    ticket.has_own_job = True
    await queue.defer(session, "tickets.deliver", priority=priority, ticket_id=str(ticket.id))
