"""Turns what a person asked into a ticket with its delivery job, in one transaction. Sends nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote
from uuid import UUID, uuid4

from sqlalchemy import select, text

from app.core import clock
from app.core.database import Session
from app.core.errors import Conflict, InvalidInput
from app.core.jobs import Queue
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected, active_connection
from app.features.connection.preferences import REOPEN, load_preferences
from app.features.secure_score.actions.action import Action
from app.features.tickets.events import EventType, record_event
from app.features.tickets.models import Ticket, TicketAction
from app.features.tickets.polling.state_names import Names, load_names
from app.features.tickets.sharing.custom_columns import with_own_columns
from app.features.tickets.sharing.record import Links, Requester, TicketRequest, clean, compose_record
from app.features.tickets.types import (
    BULK_PRIORITY,
    CLOSED_GROUPS,
    LOWEST_CHANGE_PRIORITY,
    PRIORITY_NAMES,
    Delivery,
    StateCategory,
    TicketKind,
)

LATEST_DUE_YEARS = 10
# In the order of the array, so that two transactions never wait for each other.
TAKE_TURNS = text("SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(CAST(:names AS text[])) name")


class AlreadyShared(Conflict):
    """An open ticket of this action exists; `ticket_ids` are those, and sharing again has to be asked for."""

    default = T("This action is shared already, and its ticket is open.")

    def __init__(self, ticket_ids: Sequence[UUID]) -> None:
        super().__init__()
        self.ticket_ids = list(ticket_ids)


class DoneBefore(AlreadyShared):
    """These tickets are done, and the administrator wants such ones reopened in ServiceNow rather than followed by another."""

    default = T(
        "This action had a ticket that is done, and your organisation reopens such tickets. Open it, reopen it in"
        " ServiceNow, and it is followed here again; nothing was sent. If it cannot be reopened, ask for a new one below."
    )


@dataclass(frozen=True)
class ShareCommand:
    """One ticket to be made: what was asked, of which actions (none: a free task), from which form.

    `form_key` is minted with the form, so that the same form sent twice makes one ticket. `again` says that the person
    saw the open tickets of these actions and wants another.
    """

    asked: TicketRequest
    actions: Sequence[Action]
    form_key: str
    again: bool = False
    batch_id: UUID | None = None


@dataclass(frozen=True)
class Shared:
    """The ticket; `is_new` is False when this form had been sent before."""

    ticket_id: UUID
    is_new: bool


async def share(session: Session, queue: Queue, wish: ShareCommand, sender: Requester, *, public_url: str) -> Shared:
    """Make the ticket and its job. Raises InvalidInput, NotConnected or AlreadyShared, and then nothing is made."""
    return (await share_many(session, queue, [wish], sender, public_url=public_url))[0]


async def share_many(
    session: Session, queue: Queue, wishes: Sequence[ShareCommand], sender: Requester, *, public_url: str
) -> list[Shared]:
    """The same for many at once: all of them or, when one cannot be made, none."""
    for wish in wishes:
        check(wish.asked, clock.earliest_day(clock.now()))
    await _one_at_a_time(
        session,
        [f"form {wish.form_key}" for wish in wishes]
        + [f"action {action.control_id}" for wish in wishes for action in wish.actions],
    )
    query = select(Ticket.form_key, Ticket.id).where(Ticket.form_key.in_([wish.form_key for wish in wishes]))
    known = {row.form_key: row.id for row in await session.execute(query)}
    connection = await active_connection(session)
    if connection is None and len(known) < len(wishes):
        raise NotConnected
    names = await load_names(session)
    preferences = await load_preferences(session, connection.id if connection else None)
    reopens = preferences.after_done == REOPEN
    return [
        Shared(known[wish.form_key], is_new=False)
        if connection is None or wish.form_key in known
        else await _share(session, queue, wish, sender, connection.id, names, public_url, reopens=reopens)
        for wish in wishes
    ]


async def _share(
    session: Session,
    queue: Queue,
    wish: ShareCommand,
    sender: Requester,
    connection_id: UUID,
    names: Names,
    public_url: str,
    *,
    reopens: bool,
) -> Shared:
    earlier = await _earlier_ticket(session, connection_id, names, wish, reopens=reopens)
    ticket = _make(wish, sender, connection_id, earlier, public_url)
    ticket.record = await with_own_columns(session, connection_id, wish.asked, sender, ticket.record)
    session.add(ticket)
    await session.flush()
    for action in wish.actions:
        session.add(
            TicketAction(
                ticket_id=ticket.id,
                control_id=action.control_id,
                title=action.title,
                points=action.points,
                max_points=action.max_points,
            )
        )
    record_event(session, ticket, EventType.SHARED, T("Shared; waiting to be sent to ServiceNow."), actor=sender.name)
    priority = BULK_PRIORITY if wish.batch_id else 0
    await queue.defer(session, "tickets.deliver", priority=priority, ticket_id=str(ticket.id))
    return Shared(ticket.id, is_new=True)


def check(asked: TicketRequest, today: date) -> None:
    """Refuse what no ticket can be made of. Raises InvalidInput with a sentence per field."""
    problems: dict[str, Message] = {}
    if not clean(asked.name):
        problems["name"] = T("This is required.")
    if not clean(asked.description):
        problems["description"] = T("This is required.")
    if asked.priority not in PRIORITY_NAMES:
        problems["priority"] = T("Choose one of the list.")
    elif asked.kind is TicketKind.CHANGE and asked.priority > LOWEST_CHANGE_PRIORITY:
        problems["priority"] = T("A change request has no priority Planning. Choose Low, or make it an incident.")
    if asked.due_date < today:
        problems["due_date"] = T("This day has passed. Choose today or a later day.")
    elif asked.due_date.year > today.year + LATEST_DUE_YEARS:
        problems["due_date"] = T("This day is more than %(years)s years away.", years=LATEST_DUE_YEARS)
    if problems:
        raise InvalidInput(fields=problems)


async def _one_at_a_time(session: Session, names: Sequence[str]) -> None:
    """Hold these names until the transaction ends: double clicks, and two people sharing the same action, take turns."""
    await session.execute(TAKE_TURNS, {"names": sorted(set(names))})


async def _earlier_ticket(
    session: Session, connection_id: UUID, names: Names, wish: ShareCommand, *, reopens: bool
) -> Ticket | None:
    """The newest closed ticket of these actions, which the new one follows.

    Raises AlreadyShared for an open one, and DoneBefore where done ones are to be reopened.
    """
    if not wish.actions:
        return None
    control_ids = [action.control_id for action in wish.actions]
    of_these = select(TicketAction.ticket_id).where(TicketAction.control_id.in_(control_ids))
    query = (
        select(Ticket)
        .where(Ticket.id.in_(of_these), Ticket.connection_id == connection_id)
        # One that was given up does not count, unless it may have arrived all the same.
        .where((Ticket.delivery != Delivery.GIVEN_UP) | Ticket.uncertain_until.is_not(None))
        .order_by(Ticket.created_at.desc(), Ticket.id)
    )
    found = list((await session.execute(query)).scalars())
    groups = {ticket.id: names.group(ticket.connection_id, ticket.kind, ticket.state) for ticket in found}
    still_open = [ticket for ticket in found if groups[ticket.id] not in CLOSED_GROUPS]
    if still_open and not wish.again:
        raise AlreadyShared([ticket.id for ticket in still_open])
    done = [ticket.id for ticket in found if groups[ticket.id] is StateCategory.DONE]
    if done and reopens and not wish.again:
        raise DoneBefore(done[:1])
    return next((ticket for ticket in found if ticket not in still_open), None)


def ticket_link(public_url: str, ticket_id: UUID) -> str:
    """Where a record leads back to."""
    return f"{public_url}/tickets/{ticket_id}"


def action_link(public_url: str, control_id: str) -> str:
    """The page of an action; ids may hold anything."""
    return f"{public_url}/secure-score/actions/{quote(control_id, safe='')}"


def _make(
    wish: ShareCommand, sender: Requester, connection_id: UUID, follows: Ticket | None, public_url: str
) -> Ticket:
    ticket_id, correlation_id, asked = uuid4(), uuid4().hex, wish.asked
    links = Links(
        ticket=ticket_link(public_url, ticket_id),
        actions=[(action.title, action_link(public_url, action.control_id)) for action in wish.actions],
        predecessor=follows.number if follows else "",
    )
    composed = compose_record(asked, sender, links, correlation_id)
    now = clock.now()
    return Ticket(
        id=ticket_id,
        connection_id=connection_id,
        kind=asked.kind,
        form_key=wish.form_key,
        batch_id=wish.batch_id,
        predecessor_id=follows.id if follows else None,
        source=asked.source,
        category=asked.category,
        name=clean(asked.name).replace("\n", " "),
        description=clean(asked.description),
        priority=asked.priority,
        due_date=asked.due_date,
        requested_by_id=sender.person_id,
        requested_by_oid=sender.oid,
        requested_by_name=sender.name,
        created_at=now,
        record=composed.fields,
        warnings=[warning.to_json() for warning in composed.warnings],
        delivery=Delivery.QUEUED,
        correlation_id=correlation_id,
        next_try_at=now,
        attempts=0,
        refusals=0,
        force_retry=False,
        visible=True,
        number="",
        state="",
        state_label="",
        remote_priority="",
        assigned_to="",
        differences=[],
        journal=[],
    )
