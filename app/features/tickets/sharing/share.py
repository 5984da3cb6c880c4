"""Makes tickets and their audit entries, and wakes the job that sends them, in one transaction. Sends nothing to ServiceNow.

The number of statements does not grow with the number of tickets: everything is read before the first ticket is made, and
rows are inserted in bulk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote
from uuid import UUID, uuid4

from sqlalchemy import select, text

from app.core import clock
from app.core.database import Session
from app.core.errors import Conflict, InvalidInput
from app.core.jobs import Queue
from app.core.logging import get_logger
from app.core.messages import T
from app.features.connection.active_connection import NotConnected, active_connection
from app.features.connection.preferences import REOPEN, Preferences, load_preferences
from app.features.secure_score.actions.browse_actions import Action
from app.features.tickets.delivery.hand_over import start_lanes
from app.features.tickets.delivery.own_sys_id import new_sys_id
from app.features.tickets.events import EventType, record_event
from app.features.tickets.models import Ticket, TicketAction
from app.features.tickets.polling.state_names import load_names
from app.features.tickets.sharing.fixed_columns import check_change_type
from app.features.tickets.sharing.record import Links, compose_record
from app.features.tickets.ticket_audit import audit_share
from app.features.tickets.ticket_fields import Requester, TicketRequest, problems_of, stored_values
from app.features.tickets.types import CLOSED_CATEGORIES, Delivery, StateCategory

log = get_logger(__name__)

# Names are hashed to the 64-bit keys that advisory locks have; a collision only makes two unrelated shares wait. They are
# taken in the order of the array, and the array is sorted, so that two transactions never deadlock.
# https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
LOCK_NAMES = text("SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(CAST(:names AS text[])) name")


class AlreadyShared(Conflict):
    """An open ticket of this action exists; `ticket_ids` are those, and sharing again has to be asked for."""

    default = T("This action is shared already, and its ticket is open.")

    def __init__(self, ticket_ids: Sequence[UUID]) -> None:
        super().__init__()
        self.ticket_ids = list(ticket_ids)


class DoneBefore(AlreadyShared):
    """The tickets are done, and a setting says that done tickets are reopened in ServiceNow instead of made again."""

    default = T(
        "This action had a ticket that is done, and your organisation reopens such tickets. Open it, reopen it in"
        " ServiceNow, and it is followed here again; nothing was sent. If it cannot be reopened, ask for a new one below."
    )


@dataclass(frozen=True)
class ShareCommand:
    """One ticket to be made of these actions (none: a free task).

    `form_key` is the idempotency key: it comes with the form, and a form that is sent twice makes one ticket. `again` says
    that the person saw the open tickets of these actions and wants another. `batch_id` is common to a bulk share.
    """

    request: TicketRequest
    actions: Sequence[Action]
    form_key: str
    again: bool = False
    batch_id: UUID | None = None


@dataclass(frozen=True)
class Shared:
    """The ticket; `is_new` is False when this form had been sent before."""

    ticket_id: UUID
    is_new: bool


@dataclass(frozen=True)
class _EarlierTicket:
    """A ticket that was made of one of the actions before."""

    id: UUID
    number: str
    created_at: datetime
    category: StateCategory


@dataclass(frozen=True)
class _Sharing:
    """What all tickets of one call have in common. `earlier` maps control IDs to tickets, and grows with each new one."""

    connection_id: UUID
    requester: Requester
    preferences: Preferences
    public_url: str
    earlier: dict[str, list[_EarlierTicket]]


async def share(
    session: Session, queue: Queue, command: ShareCommand, requester: Requester, *, public_url: str
) -> Shared:
    """Make the ticket, and wake the lanes. Raises InvalidInput, NotConnected or AlreadyShared, and then nothing is made."""
    return (await share_many(session, queue, [command], requester, public_url=public_url))[0]


async def share_many(
    session: Session, queue: Queue, commands: Sequence[ShareCommand], requester: Requester, *, public_url: str
) -> list[Shared]:
    """Make many tickets in one call, returned in the order of the commands. When one cannot be made, none is."""
    for command in commands:
        check_request(command.request)
    # Locked before anything is read: what is read afterwards cannot be overtaken by another share of the same actions.
    await _lock(session, commands)
    known = await _tickets_of_forms(session, [command.form_key for command in commands])
    new = [command for command in commands if command.form_key not in known]
    if new:
        connection = await active_connection(session)
        if connection is None:
            raise NotConnected
        preferences = await load_preferences(session, connection.id)
        for command in new:
            check_change_type(command.request, preferences)
        earlier = await _earlier_tickets(session, connection.id, new)
        sharing = _Sharing(connection.id, requester, preferences, public_url, earlier)
        made = [(_make(command, sharing), command) for command in new]
        await _store(session, queue, made, requester)
        known |= {command.form_key: ticket.id for ticket, command in made}
    # A form that was sent before made nothing now, and has its audit entry already.
    made_keys = {command.form_key for command in new}
    return [Shared(known[command.form_key], is_new=command.form_key in made_keys) for command in commands]


def check_request(request: TicketRequest) -> None:
    """Raises InvalidInput with a sentence per field when no ticket can be made of it."""
    # A day has passed once it is over everywhere on earth: the person may be west of us.
    problems = problems_of(request, clock.earliest_day(clock.now()))
    if problems:
        raise InvalidInput(fields=problems)


async def _lock(session: Session, commands: Sequence[ShareCommand]) -> None:
    """Deduplication: until the transaction ends, a double click on one of these forms, or a second person, waits."""
    names = {f"form {command.form_key}" for command in commands}
    names |= {f"action {action.control_id}" for command in commands for action in command.actions}
    await session.execute(LOCK_NAMES, {"names": sorted(names)})


async def _tickets_of_forms(session: Session, form_keys: Sequence[str]) -> dict[str, UUID]:
    """Deduplication: the tickets that were made of these forms before, by form key."""
    query = select(Ticket.form_key, Ticket.id).where(Ticket.form_key.in_(form_keys))
    return {row.form_key: row.id for row in await session.execute(query)}


async def _earlier_tickets(
    session: Session, connection_id: UUID, commands: Iterable[ShareCommand]
) -> dict[str, list[_EarlierTicket]]:
    """The tickets at this connection of all these actions, by control ID."""
    names = await load_names(session)
    control_ids = {action.control_id for command in commands for action in command.actions}
    query = (
        select(
            TicketAction.control_id,
            Ticket.id,
            Ticket.number,
            Ticket.created_at,
            Ticket.kind,
            Ticket.state,
            Ticket.absence,
        )
        .join(Ticket, Ticket.id == TicketAction.ticket_id)
        .where(TicketAction.control_id.in_(control_ids), Ticket.connection_id == connection_id)
        # A ticket that was given up does not count, unless its record may have arrived nevertheless.
        .where((Ticket.delivery != Delivery.GIVEN_UP) | Ticket.uncertain_until.is_not(None))
    )
    found: dict[str, list[_EarlierTicket]] = {}
    for row in await session.execute(query) if control_ids else ():
        # No one works on a record that was deleted, and one that we may not see cannot be followed.
        is_shown = row.absence == ""
        category = names.category(connection_id, row.kind, row.state) if is_shown else StateCategory.CANCELED
        found.setdefault(row.control_id, []).append(_EarlierTicket(row.id, row.number, row.created_at, category))
    return found


def _make(command: ShareCommand, sharing: _Sharing) -> Ticket:
    """The ticket with its record, as a row that is not in the session yet. Raises AlreadyShared or DoneBefore."""
    predecessor = _predecessor(command, sharing)
    ticket_id, correlation_id, now = uuid4(), uuid4().hex, clock.now()
    links = Links(
        ticket=ticket_link(sharing.public_url, ticket_id),
        actions=[(action.title, action_link(sharing.public_url, action.control_id)) for action in command.actions],
        predecessor=predecessor.number if predecessor else "",
    )
    # Decided and stored now, so that a later import of the score does not change what was asked.
    payload = compose_record(command.request, sharing.requester, links, correlation_id, sharing.preferences)
    # Open for the commands that follow in the same call, although it is not in the database yet.
    newest = _EarlierTicket(ticket_id, "", now, StateCategory.UNKNOWN)
    for action in command.actions:
        sharing.earlier.setdefault(action.control_id, []).append(newest)
    return Ticket(
        id=ticket_id,
        connection_id=sharing.connection_id,
        form_key=command.form_key,
        batch_id=command.batch_id,
        predecessor_id=predecessor.id if predecessor else None,
        **stored_values(command.request),
        requested_by_id=sharing.requester.person_id,
        requested_by_oid=sharing.requester.oid,
        requested_by_name=sharing.requester.name,
        created_at=now,
        record=payload.fields,
        warnings=[warning.to_json() for warning in payload.warnings],
        delivery=Delivery.QUEUED,
        correlation_id=correlation_id,
        own_sys_id=new_sys_id(),
        next_try_at=now,
    )


def _predecessor(command: ShareCommand, sharing: _Sharing) -> _EarlierTicket | None:
    """The newest closed ticket of these actions, which the new one follows.

    Raises AlreadyShared for an open one, and DoneBefore where done ones are to be reopened.
    """
    found = {one.id: one for action in command.actions for one in sharing.earlier.get(action.control_id, [])}
    # By id where several were made at the same moment, so that the choice does not depend on the query's order.
    newest_first = sorted(found.values(), key=lambda one: (-one.created_at.timestamp(), one.id))
    still_open = [one.id for one in newest_first if one.category not in CLOSED_CATEGORIES]
    if still_open and not command.again:
        raise AlreadyShared(still_open)
    done = [one.id for one in newest_first if one.category is StateCategory.DONE]
    if done and sharing.preferences.after_done == REOPEN and not command.again:
        raise DoneBefore(done[:1])
    return next((one for one in newest_first if one.category in CLOSED_CATEGORIES), None)


async def _store(
    session: Session, queue: Queue, made: Sequence[tuple[Ticket, ShareCommand]], requester: Requester
) -> None:
    """Put the tickets into the outbox, with events, audit entries and jobs: a few statements, however many they are."""
    tickets = [ticket for ticket, _ in made]
    session.add_all(tickets)
    # The other rows refer to the tickets by foreign key, without a relationship by which the session would order them.
    await session.flush()
    for ticket, command in made:
        session.add_all(
            TicketAction(
                ticket_id=ticket.id,
                control_id=action.control_id,
                title=action.title,
                points=action.points,
                max_points=action.max_points,
            )
            for action in command.actions
        )
        waiting = T("Shared; waiting to be sent to ServiceNow.")
        record_event(session, ticket, EventType.SHARED, waiting, actor=requester.name)
    for ticket, command in made:
        await audit_share(session, requester, ticket, [action.control_id for action in command.actions])
        log.info("share.queued", ticket=str(ticket.id), kind=ticket.kind)
    # The last thing of the transaction: shares that come at the same moment wait for each other from here on.
    await start_lanes(session, queue)


def ticket_link(public_url: str, ticket_id: UUID) -> str:
    """Where a record leads back to."""
    return f"{public_url}/tickets/{ticket_id}"


def action_link(public_url: str, control_id: str) -> str:
    """The page of an action. Graph's control IDs hold blanks, slashes and colons."""
    return f"{public_url}/secure-score/actions/{quote(control_id, safe='')}"
