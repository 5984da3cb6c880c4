"""Checks what may be read, created and changed in the two tables, and whether look-ups can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from uuid import uuid4

from sqlalchemy import select

from app.core.errors import AppError
from app.core.messages import Message, T
from app.features.connection.gateway import ServiceNowClient
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.checks.finding_for_error import is_about_rights, is_access_rule, remote_text_of
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.finding_catalog import fill
from app.features.provisioning.texts.table_findings import (
    HIDES_ALL,
    NO_CREATING_ROLE,
    NO_RECORD,
    RIGHT_NAMES,
    SEND_AGAIN,
    SOME_RECORDS,
    WITH_HELD,
)
from app.features.tickets.delivery.refusals import missing_fields
from app.features.tickets.models import PollCursor, Ticket
from app.features.tickets.polling.poll_plan import BELIEVED_REFUSALS
from app.features.tickets.types import KINDS, MARKERS, TABLES, Delivery, TicketKind
from app.integrations.http.errors import Forbidden, QueryIgnored
from app.integrations.servicenow.probes import (
    TableReading,
    count_unrelated,
    list_changes,
    list_roles,
    read_table,
    try_to_change,
)
from app.integrations.servicenow.schemas import FieldChoice, Table


@dataclass(frozen=True)
class CreateEvidence:
    """What tickets of a kind have shown since the consent.

    `number` is the newest that arrived, empty where none did. `refused` counts the held tickets after it whose creation
    ServiceNow refused, and `why` is the problem of the newest of them.
    """

    number: str
    refused: int
    why: Message | None


async def check_table(context: CheckContext, kind: TicketKind) -> Finding:
    """Reading is tried, changing is tried on a record that cannot exist, and creating is known from tickets or roles.

    Nothing is left behind. What only a write could show is said to be unknown.
    """
    table = TABLES[kind]
    try:
        # GET with a count: access rules remove rows after the count was made
        # (docs/facts/servicenow.md#2-5-pagination-headers).
        reading = await context.call(lambda client: read_table(client, table))
    except AppError as error:
        return right_missing_or_raise(context, kind, "read", error)
    if reading.hides_all:
        return right_missing(context, kind, "read", fill(HIDES_ALL, {"count": reading.total}))
    try:
        # PATCH of a sys_id that no record has: refused, or "No Record found" (docs/facts/servicenow.md#2-6-error-envelope).
        await context.call(lambda client: try_to_change(client, table))
    except AppError as error:
        return right_missing_or_raise(context, kind, "write", error)
    return await _check_creating(context, kind, reading)


async def _check_creating(context: CheckContext, kind: TicketKind, reading: TableReading) -> Finding:
    """Reading and changing were not refused; whether creating works is shown by a ticket, or told by the roles."""
    evidence = await _load_evidence(context, kind)
    if evidence.why is not None:
        return create_refused(context, kind, evidence, evidence.why)
    if evidence.number and not reading.is_doubtful:
        return context.finding("table:created", key=_table_key(kind), number=evidence.number)
    roles = await context.call(lambda client: list_roles(client, context.connection.user_sys_id))
    return evaluate_roles(context, kind, reading, roles)


def evaluate_roles(
    context: CheckContext, kind: TicketKind, reading: TableReading, roles: frozenset[str] | None
) -> Finding:
    """What reading and roles say of a table in which no ticket has been created yet; `roles` None: may not be read."""
    if roles is not None and not roles & KINDS[kind].writer_roles:
        return right_missing(context, kind, "create", fill(NO_CREATING_ROLE, {"table": TABLES[kind]}))
    if reading.is_doubtful:
        return context.finding("table:newest_hidden", key=_table_key(kind), count=reading.total)
    if roles is not None:
        allowing = ", ".join(sorted(roles & KINDS[kind].writer_roles))
        return context.finding("table:roles_allow", key=_table_key(kind), roles=allowing)
    seen = NO_RECORD if reading.visible == 0 else SOME_RECORDS
    return context.finding("table:untried", key=_table_key(kind), seen=seen, role=KINDS[kind].least_role)


def _table_key(kind: TicketKind) -> str:
    return f"table_{kind.value}"


async def _load_evidence(context: CheckContext, kind: TicketKind) -> CreateEvidence:
    mine = (Ticket.connection_id == context.connection.id, Ticket.kind == kind)
    # What another account did or was refused says nothing. A consent that the same account gives again proves no less than
    # its tickets did, but what was refused before it may be in order since.
    since = context.connection.connected_at
    account_since = context.connection.account_since or since
    async with context.resources.database.transaction() as session:
        arrived = select(Ticket.number, Ticket.shared_at).where(*mine, Ticket.shared_at >= account_since)
        newest = (await session.execute(arrived.order_by(Ticket.shared_at.desc()).limit(1))).first()
        # Only a create that was sent and is surely over proves something; a refused look-up, or a ticket that was held
        # unsent, does not.
        refused = (
            Ticket.delivery == Delivery.HELD, Ticket.refusals > 0, Ticket.sent_at.is_not(None),
            Ticket.uncertain_until.is_(None), Ticket.attempted_at >= (max(newest.shared_at, since) if newest else since),
        )  # fmt: skip
        rows = await session.execute(select(Ticket.problem).where(*mine, *refused).order_by(Ticket.attempted_at.desc()))
        problems = list(rows.scalars())
    why = Message.from_json(problems[0]) if problems and problems[0] else None
    return CreateEvidence(newest.number if newest else "", len(problems), why)


def create_refused(context: CheckContext, kind: TicketKind, evidence: CreateEvidence, why: Message) -> Finding:
    """Held tickets show that creating is refused: by an access rule, or by a rule about what a record must hold."""
    if is_access_rule(remote_text_of(why)):
        finding = right_missing(context, kind, "create", fill(WITH_HELD, {"why": why, "count": evidence.refused}))
        return replace(finding, advice=fill(SEND_AGAIN, {"advice": finding.advice}))
    table = TABLES[kind]
    # Where other tickets do arrive, it is about these tickets and not about the table.
    state = State.NOTE if evidence.number else State.PROBLEM
    missing = missing_fields(remote_text_of(why))
    code = "create_refused:mandatory" if missing else "create_refused"
    return context.finding(
        code, key=f"create_refused.{table}", state=state, table=table, count=evidence.refused, why=why,
        fields=", ".join(missing),
    )  # fmt: skip


def right_missing_or_raise(context: CheckContext, kind: TicketKind, action: str, error: AppError) -> Finding:
    """A refusal of this one call is a missing right; any other error is raised, and means the same in every check."""
    if is_about_rights(error):
        return right_missing(context, kind, action, error.message)
    raise error


def right_missing(context: CheckContext, kind: TicketKind, action: str, why: Message) -> Finding:
    """A right that the integration user does not have ("read", "write" or "create"): which, and how it gets it."""
    table = TABLES[kind]
    return context.finding(
        "role_missing", key=f"role_missing.{table}.{action}", what=str(RIGHT_NAMES[action]).capitalize(), table=table,
        role=KINDS[kind].least_role, why=why,
    )  # fmt: skip


async def check_choices(context: CheckContext) -> Finding:
    """Whether the lists of states can be read; without them, names come from the records themselves."""
    counts: dict[TicketKind, int] = {}
    try:
        for kind, table in TABLES.items():
            # GET sys_choice, which needs personalize_choices (docs/facts/servicenow.md#4-4-choices).
            counts[kind] = len(await context.call(partial(_states, table=table)))
    except AppError as error:
        if not is_about_rights(error):
            raise
        counts = {}
    if counts and all(counts.values()):
        return context.finding("choices", counts=list_counts(counts))
    return context.finding("choices_not_readable")


def list_counts(counts: Mapping[TicketKind, int]) -> Message:
    """The number of states of each kind, as one text."""
    values = {
        kind.value: T("%(count)s states of %(kind)s", count=n, kind=KINDS[kind].plural) for kind, n in counts.items()
    }
    return Message(", ".join(f"%({name})s" for name in values), values)


async def _states(client: ServiceNowClient, table: Table) -> list[FieldChoice]:
    return await client.choices(table, "state")


async def check_correlation(context: CheckContext) -> Finding:
    """Whether a look-up by our correlation ID can be believed: it is what keeps a ticket from being created twice."""
    try:
        for table in TABLES.values():
            # An id made a moment ago can be on no record. Rows in the answer mean that the condition was
            # dropped, which ServiceNow does without an error (docs/facts/servicenow.md#2-3-encoded-query).
            unrelated = await context.call(partial(count_unrelated, table=table, fresh_id=uuid4().hex))
            if unrelated:
                return context.finding("correlation_ignored", table=table)
        return await _find_newest(context)
    except QueryIgnored as error:
        return context.finding("correlation_hidden", meaning=error.message, why=error.message)
    except Forbidden as error:
        if not is_about_rights(error):
            raise
        return context.finding("correlation_refused", meaning=error.message, why=error.message)


async def _find_newest(context: CheckContext) -> Finding:
    """Look for the newest ticket by its correlation ID."""
    async with context.resources.database.transaction() as session:
        newest = select(Ticket).where(Ticket.connection_id == context.connection.id, Ticket.sys_id.is_not(None))
        ticket = (await session.execute(newest.order_by(Ticket.shared_at.desc()).limit(1))).scalar_one_or_none()
    if ticket is None:
        return context.finding("correlation:no_ticket")
    table, ours = TABLES[TicketKind(ticket.kind)], ticket.correlation_id
    found = await context.call(lambda client: client.find_by_correlation(table, ours))
    code = "correlation" if found else "correlation_lost"
    return context.finding(code, number=ticket.number, id=ours)


async def check_ranges(context: CheckContext) -> Finding:
    """Whether changes may be asked for by time; newer releases have an access rule for range operators."""
    try:
        for kind, table in TABLES.items():
            # sys_updated_on>=… is checked by query_range, `=` by query_match: docs/facts/servicenow.md#2-3-encoded-query.
            await context.call(partial(list_changes, table=table, marker=MARKERS[kind]))
    except Forbidden as error:
        if not is_about_rights(error):
            raise
        return context.finding("query_acl:range_refused", why=error.message)
    # Polling has seen more answers than this one, and knows whether they were true.
    async with context.resources.database.transaction() as session:
        refused = select(PollCursor.kind).where(
            PollCursor.connection_id == context.connection.id, PollCursor.changes_refused >= BELIEVED_REFUSALS
        )
        is_refused = (await session.execute(refused.limit(1))).first() is not None
    return context.finding("query_acl:changes_not_listed" if is_refused else "query_acl")
