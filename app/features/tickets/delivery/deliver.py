"""Deliver a queued ticket to ServiceNow: how its record is found, made and linked. The order is in outbound.py."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from uuid import UUID

from sqlalchemy import select

from app.core import clock
from app.core.database import Session
from app.core.errors import RetryLater
from app.core.logging import bind_fields, current_correlation_id
from app.core.messages import Message, T
from app.features.connection.gateway import ServiceNowClient
from app.features.connection.models import Connection, ConnectionStatus, InstanceThrottle
from app.features.connection.throttle import throttle_of
from app.features.tickets.delivery import circuit_breaker
from app.features.tickets.delivery.adapter import Call, OutboundAdapter
from app.features.tickets.delivery.due_date import keep_due_date_ahead
from app.features.tickets.delivery.lost_jobs import lost_its_job
from app.features.tickets.delivery.outbound import Attempt
from app.features.tickets.delivery.outbox_row import hold
from app.features.tickets.delivery.own_sys_id import Verdict, forget, learn, sys_id_to_send, verdict_of
from app.features.tickets.delivery.visibility import assert_visible, in_doubt_message, load_sight
from app.features.tickets.events import EventType, record_event
from app.features.tickets.models import Ticket
from app.features.tickets.polling.apply_remote import link_record
from app.features.tickets.polling.state_names import StateNames
from app.features.tickets.types import TABLES, TicketKind
from app.integrations.http.errors import QueryIgnored
from app.integrations.servicenow.schemas import RemoteTicket, Table
from app.resources import Resources

STILL_UNCERTAIN = T(
    "ServiceNow’s answer was lost, and the record is not there yet. ServiceNow may still be working on it, so we look "
    "again before we send it a second time."
)
OTHER_CORRELATION_ID = T(
    "ServiceNow holds a record under the sys_id that we chose for this ticket, but it carries another correlation id.",
    code="delivery.other_correlation_id",
)


async def deliver(resources: Resources, ticket_id: UUID) -> None:
    """One attempt. Raises RetryLater when there has to be another; a ticket that needs no delivery is left alone."""
    await Attempt(resources, TicketAdapter(ticket_id)).deliver()


async def tickets_without_job(session: Session, worked_on: Collection[str], limit: int = 500) -> list[Ticket]:
    """Queued tickets that are due and have no job, though their connection is there; locked.

    `worked_on` are the ids that have one. Those that wait for the lanes come last: they may be many, and only wake them.
    """
    query = (
        select(Ticket.id)
        .join(Connection, Connection.id == Ticket.connection_id)
        .where(lost_its_job(Ticket), Connection.status == ConnectionStatus.CONNECTED)
        .order_by(Ticket.has_own_job.desc(), Ticket.next_try_at.is_not(None), Ticket.created_at)
    )
    # Filtered here and not in SQL: the queue's tables are known to app/core/jobs.py alone.
    found = [one for one in (await session.execute(query)).scalars() if str(one) not in worked_on][:limit]
    # Those that are locked are being worked on.
    rows = select(Ticket).where(Ticket.id.in_(found), lost_its_job(Ticket)).order_by(Ticket.id)
    return list((await session.execute(rows.with_for_update(skip_locked=True))).scalars())


class TicketAdapter(OutboundAdapter[Ticket, list[RemoteTicket]]):
    """A ticket and the records with its correlation ID: one, or several, oldest first."""

    still_uncertain = STILL_UNCERTAIN
    ticket: Ticket
    throttle: InstanceThrottle | None = None
    # Read once for the tickets that are stored together.
    names: StateNames | None = None
    verdict: Verdict | None = None
    # The sys_id that the create of this attempt carried; None before there is one.
    sent_sys_id: str | None = None
    just_sent = False
    # What has to be told of the due date that this attempt sent.
    late: Message | None = None

    def __init__(self, ticket_id: UUID) -> None:
        self.ticket_id = ticket_id
        self.log_fields = {"ticket": str(ticket_id)}

    @property
    def table(self) -> Table:
        return TABLES[TicketKind(self.ticket.kind)]

    async def load(self, session: Session) -> Ticket | None:
        ticket = await session.get(Ticket, self.ticket_id, with_for_update=True)
        if ticket is not None:
            self.use(ticket)
            # Where a person had it sent again, its lines name the share's request beside that one.
            shared_in = "" if ticket.request_id == current_correlation_id() else ticket.request_id
            bind_fields(ticket=str(ticket.id), number=ticket.number, shared_in=shared_in)
            self.verdict = self.verdict or await verdict_of(session, ticket)
        return ticket

    def use(self, ticket: Ticket) -> None:
        """This row, which the caller has locked."""
        self.ticket, self.connection_id = ticket, ticket.connection_id

    async def postpone(self, session: Session, row: Ticket) -> RetryLater | None:
        circuit = await circuit_breaker.open_circuit(session, row)
        if circuit is None:
            return None
        if circuit.half_open:
            return circuit_breaker.wait_for_probe(row, circuit)
        hold(row, circuit.sentence)
        self.note_held(session, row)
        return None

    async def find(self, client: ServiceNowClient) -> list[RemoteTicket] | None:
        own = await self._find_by_own_sys_id(client) if self._is_own_sys_id_kept else None
        if own:
            return own
        # A create is not idempotent and `correlation_id` is not unique there, so it is looked for before each repeat:
        # docs/facts/servicenow.md#6-idempotency
        found = await client.find_by_correlation(self.table, self.ticket.correlation_id, list(self.ticket.record))
        return found or None

    @property
    def _is_own_sys_id_kept(self) -> bool:
        return self.verdict is Verdict.KEPT and bool(self.ticket.own_sys_id)

    async def _find_by_own_sys_id(self, client: ServiceNowClient) -> list[RemoteTicket] | None:
        ticket = self.ticket
        found = await client.find_by_sys_ids(self.table, [ticket.own_sys_id], list(ticket.record))
        # An instance may drop the correlation id, or hide it: docs/facts/servicenow.md#2-6-error-envelope
        if any(record.correlation_id not in ("", ticket.correlation_id) for record in found):
            raise QueryIgnored(OTHER_CORRELATION_ID)
        return found or None

    def recheck(self) -> Call[list[RemoteTicket] | None] | None:
        # Refused as a duplicate, in whatever words: then the record is there. Also before anything is known of the table,
        # because a record under our sys_id proves that it arrived; that there is none proves nothing then.
        return self._find_by_own_sys_id if self.sent_sys_id else None

    async def visibility_check(self, session: Session, row: Ticket) -> Call[None]:
        by_sys_id = self._is_own_sys_id_kept and not row.sent_plain
        return partial(assert_visible, table=self.table, sight=await load_sight(session, row, by_sys_id=by_sys_id))

    def before_send(self, row: Ticket) -> None:
        self.late = keep_due_date_ahead(row, clock.now())
        self.sent_sys_id = sys_id_to_send(row, self.verdict or Verdict.UNKNOWN)
        row.sent_plain = row.sent_plain or not self.sent_sys_id

    async def send(self, client: ServiceNowClient) -> list[RemoteTicket]:
        # POST /api/now/v2/table/{table}: docs/facts/servicenow.md#2-1-url-and-methods
        return [await client.create(self.table, self.ticket.record, self.sent_sys_id or "")]

    async def refused(self, session: Session, row: Ticket) -> None:
        if self.sent_sys_id:
            await forget(session, row, self.verdict or Verdict.UNKNOWN)

    async def lock_before_row(self, session: Session, *, just_sent: bool) -> None:
        self.just_sent = just_sent
        # The stamp of a record that was looked up says nothing of the instance's clock, so nothing is kept of it there.
        self.throttle = await throttle_of(session, self.connection_id) if just_sent else None

    async def delivered(self, session: Session, row: Ticket, found: list[RemoteTicket]) -> None:
        if self.late is not None:
            record_event(session, row, EventType.CHANGED, self.late)
        await link_record(session, row, found, self.throttle, self.names)
        bind_fields(number=row.number)
        sent = self.sent_sys_id if self.just_sent else None
        await learn(session, row, self.verdict or Verdict.UNKNOWN, found, sent)

    def in_doubt(self, reason: Message, before: Message | None) -> Message:
        return in_doubt_message(reason, before)

    def note_problem(self, session: Session, row: Ticket, problem: Message) -> None:
        record_event(session, row, EventType.TRIED, problem)

    def note_held(self, session: Session, row: Ticket) -> None:
        record_event(session, row, EventType.HELD, T("Held until somebody acts."))
