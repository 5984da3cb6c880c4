"""Checks what may be read, created and changed in the two tables, and whether look-ups can be believed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from uuid import uuid4

from sqlalchemy import select

from app.core.errors import AppError
from app.core.messages import Message, T
from app.features.connection.gateway import ServiceNowClient
from app.features.provisioning.checks.check_context import (
    ACCESS_RULES,
    API_WORDS,
    RECORD_RULES,
    CheckContext,
    finding_for_error,
    is_about_rights,
    user_screen,
)
from app.features.provisioning.finding import Finding, State
from app.features.tickets.models import Ticket
from app.features.tickets.types import KINDS, TABLES, Delivery, TicketKind
from app.integrations.http.errors import Forbidden, QueryIgnored
from app.integrations.servicenow.probes import (
    TableReading,
    compare_times,
    count_unrelated,
    list_roles,
    read_table,
    try_to_change,
)
from app.integrations.servicenow.schemas import FieldChoice, Table

# What an instance says when an access rule, and no business rule or data policy, has refused a record (facts 2.6).
ACCESS_WORDS = ("ACL Exception", API_WORDS)


@dataclass(frozen=True)
class _Proof:
    """What tickets of this kind have shown since the consent: the newest that arrived, and those refused after it.

    `refused` counts the held ones whose creation ServiceNow refused, and `why` is what it said of the newest.
    """

    number: str
    refused: int
    why: Message | None


async def check_table(look: CheckContext, kind: TicketKind) -> Finding:
    """Reading is tried, changing is tried on a record that cannot be, and creating is known from tickets or roles.

    Nothing is left behind. What only a write could show is said to be unknown.
    """
    table = TABLES[kind]
    checked = T(
        "In the table %(table)s, records are read, and one that does not exist is changed. Nothing is left behind.",
        table=table,
    )
    try:
        reading = await look.ask(lambda client: read_table(client, table))
    except AppError as error:
        return _not_allowed(look, checked, kind, "read", error)
    if reading.hides_all:
        return _missing(
            look, checked, kind, "read",
            T("Records there: %(count)s. The integration user sees none of them.", count=reading.total),
        )  # fmt: skip
    try:
        await look.ask(lambda client: try_to_change(client, table))
    except AppError as error:
        return _not_allowed(look, checked, kind, "write", error)
    return await _as_far_as_known(look, checked, kind, reading)


async def _as_far_as_known(look: CheckContext, checked: Message, kind: TicketKind, reading: TableReading) -> Finding:
    """Reading and changing were not refused; whether creating works is shown by a ticket, or told by the roles."""
    table, key = TABLES[kind], f"table_{kind.value}"
    proof = await _proof(look, kind)
    if proof.why is not None:
        return _refused(look, checked, kind, proof, proof.why)
    if proof.number and not reading.is_doubtful:
        return Finding(
            key, State.GOOD, checked,
            T("Reading and changing are allowed, and %(number)s was created.", number=proof.number),
        )  # fmt: skip
    sys_id = look.connection.user_sys_id
    try:
        roles = await look.ask(lambda client: list_roles(client, sys_id))
    except AppError as error:
        return finding_for_error(look, checked, error)
    if roles is not None and not roles & KINDS[kind].writer_roles:
        return _missing(
            look, checked, kind, "create",
            T("The integration user has none of the roles that may create records in %(table)s.", table=table),
        )  # fmt: skip
    if reading.is_doubtful:
        return Finding(
            key, State.UNKNOWN, checked,
            T("Access rules hide the newest records from the integration user. Whether it sees any of the %(count)s cannot be "
              "known by looking.", count=reading.total),
            advice=T("Look in ServiceNow whether the integration user sees the tickets that it has opened itself."),
            screen=ACCESS_RULES,
        )  # fmt: skip
    if roles is not None:
        return Finding(
            key, State.UNKNOWN, checked,
            T("Reading and changing are not refused, and the roles allow creating (%(roles)s). Only the first ticket proves it.",
              roles=", ".join(sorted(roles & KINDS[kind].writer_roles))),
        )  # fmt: skip
    seen = T("no record yet") if reading.visible == 0 else T("records are visible")
    return Finding(
        key, State.UNKNOWN, checked,
        T("Reading works (%(seen)s) and changing is not refused. Whether creating works cannot be known without creating a "
          "ticket: the first one will show it.", seen=seen),
        advice=T("Share one action as a test, or compare the roles: %(role)s or itil is needed.", role=KINDS[kind].least_role),
        screen=user_screen(look),
    )  # fmt: skip


async def _proof(look: CheckContext, kind: TicketKind) -> _Proof:
    mine = (Ticket.connection_id == look.connection.id, Ticket.kind == kind)
    since = look.connection.connected_at
    async with look.resources.database.transaction() as session:
        arrived = select(Ticket.number, Ticket.shared_at).where(*mine, Ticket.shared_at >= since)
        newest = (await session.execute(arrived.order_by(Ticket.shared_at.desc()).limit(1))).first()
        # A create that left us and is surely over; what was said of a look, or held unsent, proves nothing.
        refused = (
            Ticket.delivery == Delivery.HELD, Ticket.refusals > 0, Ticket.sent_at.is_not(None),
            Ticket.uncertain_until.is_(None), Ticket.attempted_at >= (newest.shared_at if newest else since),
        )  # fmt: skip
        rows = await session.execute(select(Ticket.problem).where(*mine, *refused).order_by(Ticket.attempted_at.desc()))
        problems = list(rows.scalars())
    why = Message.from_json(problems[0]) if problems and problems[0] else None
    return _Proof(newest.number if newest else "", len(problems), why)


def _refused(look: CheckContext, checked: Message, kind: TicketKind, proof: _Proof, why: Message) -> Finding:
    """Held tickets show that creating is refused: by an access rule, or by a rule about what a record must hold."""
    if any(words in str(why) for words in ACCESS_WORDS):
        found = _missing(look, checked, kind, "create", T("%(why)s (%(count)s held)", why=why, count=proof.refused))
        again = T(
            "%(advice)s Then send the held tickets again: the first that arrives ends this finding.",
            advice=found.advice,
        )
        return replace(found, advice=again)
    table = TABLES[kind]
    return Finding(
        # Where others do arrive, it is about these tickets and not about the table.
        f"create_refused.{table}", State.NOTE if proof.number else State.PROBLEM, checked,
        T("A rule of the instance refused to create records in %(table)s (%(count)s held). %(why)s",
          table=table, count=proof.refused, why=why),
        advice=T("Fill in what the rule asks for (Tickets, those that are held, Edit), or have the rule changed, and send "
                 "them again. The first one that arrives ends this finding."),
        screen=RECORD_RULES,
        message=T(
            "A rule refuses records that our user %(user)s creates in %(table)s through the Table API. Please let them pass, "
            "or tell us what they have to hold. ServiceNow said: %(why)s",
            user=look.user, table=table, why=why,
        ),
    )  # fmt: skip


def _not_allowed(look: CheckContext, checked: Message, kind: TicketKind, action: str, error: AppError) -> Finding:
    """A call that failed: a refusal is a missing right, unless it stands in the way of every call."""
    if is_about_rights(error):
        return _missing(look, checked, kind, action, error.message)
    return finding_for_error(look, checked, error)


def _missing(look: CheckContext, checked: Message, kind: TicketKind, action: str, why: Message) -> Finding:
    """A right that the integration user does not have: which, and how it gets it."""
    table, role = TABLES[kind], KINDS[kind].least_role
    names = {"read": T("reading"), "write": T("changing"), "create": T("creating")}
    return Finding(
        f"role_missing.{table}.{action}", State.PROBLEM, checked,
        T("%(what)s records in %(table)s is not allowed. %(why)s",
          what=str(names[action]).capitalize(), table=table, why=why),
        advice=T(
            "Give the integration user the role itil, or, as the least that suffices, %(role)s with "
            "snc_platform_rest_api_access (they come with the plugin ITSM Roles).", role=role,
        ),
        screen=user_screen(look),
        message=T(
            "The user %(user)s needs to read, create and change records in %(table)s through the Table API. Please give it "
            "the role itil, or %(role)s and snc_platform_rest_api_access. ServiceNow said: %(why)s",
            user=look.user, table=table, role=role, why=why,
        ),
    )  # fmt: skip


async def check_choices(look: CheckContext) -> Finding:
    """Whether the lists of states can be read; without them, names come from the records themselves."""
    checked = T("The lists of states of both tables.")
    counts: dict[str, int] = {}
    try:
        for table in TABLES.values():
            counts[table] = len(await look.ask(partial(_states, table=table)))
    except AppError as error:
        if not is_about_rights(error):
            return finding_for_error(look, checked, error)
        counts = {}
    if counts and all(counts.values()):
        return Finding(
            "choices", State.GOOD, checked,
            T("Readable: %(change)s states of change requests, %(incident)s of incidents.",
              change=counts["change_request"], incident=counts["incident"]),
        )  # fmt: skip
    return Finding(
        "choices_not_readable", State.NOTE, checked,
        T("The lists may not be read. States are shown by the names that records bring along, as they appear."),
        advice=T("Give the integration user the role personalize_choices to see all states beforehand."),
        screen=user_screen(look),
        message=T("Please give the user %(user)s the role personalize_choices, so that it can read lists of states.",
                  user=look.user),
    )  # fmt: skip


async def _states(client: ServiceNowClient, table: Table) -> list[FieldChoice]:
    return await client.choices(table, "state")


async def check_correlation(look: CheckContext) -> Finding:
    """Whether a look-up by our own id can be believed: it is what keeps a ticket from being made twice."""
    checked = T("An id that was made a moment ago is looked for, and then that of the newest ticket.")
    try:
        for table in TABLES.values():
            strangers = await look.ask(partial(count_unrelated, table=table, fresh_id=uuid4().hex))
            if strangers:
                return _ignored(look, checked, table)
        return await _found_again(look, checked)
    except QueryIgnored as error:
        return Finding(
            "correlation_hidden", State.PROBLEM, checked, error.message,
            advice=T("Allow the integration user to read the field correlation_id, and our tickets whatever their state. Until "
                     "then a ticket whose answer is lost waits for a person."),
            screen=ACCESS_RULES,
            message=T(
                "Please let the user %(user)s read the field correlation_id of incident and change_request, in every record "
                "that it has opened. We found: %(why)s", user=look.user, why=error.message,
            ),
        )  # fmt: skip
    except Forbidden as error:
        if not is_about_rights(error):
            return finding_for_error(look, checked, error)
        return Finding(
            "correlation_refused", State.PROBLEM, checked, error.message,
            advice=T(
                "Allow the integration user to query the field correlation_id (a query_match rule). Without that we could "
                "not see whether a ticket has arrived, so none is sent twice, but some would wait for a person."
            ),
            screen=ACCESS_RULES,
            message=T(
                "Please let the user %(user)s query the field correlation_id of incident and change_request (an access rule "
                "of the operation query_match). ServiceNow said: %(why)s", user=look.user, why=error.message,
            ),
        )  # fmt: skip
    except AppError as error:
        return finding_for_error(look, checked, error)


async def _found_again(look: CheckContext, checked: Message) -> Finding:
    async with look.resources.database.transaction() as session:
        newest = select(Ticket).where(Ticket.connection_id == look.connection.id, Ticket.sys_id.is_not(None))
        ticket = (await session.execute(newest.order_by(Ticket.shared_at.desc()).limit(1))).scalar_one_or_none()
    if ticket is None:
        return Finding(
            "correlation", State.UNKNOWN, checked,
            T("Looking up works. Whether ServiceNow stores our id is seen with the first ticket."),
        )  # fmt: skip
    table, ours = TABLES[TicketKind(ticket.kind)], ticket.correlation_id
    found = await look.ask(lambda client: client.find_by_correlation(table, ours))
    if not found:
        return Finding(
            "correlation_lost", State.NOTE, checked,
            T("%(number)s was not found again by our id: it was deleted, hidden, or its id was changed.",
              number=ticket.number),
            advice=T("Open the ticket and look at its correlation ID: it should be %(id)s.", id=ours),
            screen=T("The record %(number)s, field Correlation ID", number=ticket.number),
            message=T("The correlation ID of %(number)s should be %(id)s. Please look who changed it, and set it back.",
                      number=ticket.number, id=ours),
        )  # fmt: skip
    return Finding("correlation", State.GOOD, checked, T("%(number)s was found again by our id.", number=ticket.number))


def _ignored(look: CheckContext, checked: Message, table: str) -> Finding:
    return Finding(
        "correlation_ignored", State.PROBLEM, checked,
        T("%(table)s answers a look-up by our id with strangers’ records: it ignores the field.", table=table),
        advice=T("Allow the integration user to read the field correlation_id. Until then we could not tell our tickets "
                 "from others."),
        screen=ACCESS_RULES,
        message=T("Please let the user %(user)s read the field correlation_id of %(table)s.", user=look.user, table=table),
    )  # fmt: skip


async def check_ranges(look: CheckContext) -> Finding:
    """Whether changes may be asked for by time; newer releases have an access rule for that."""
    checked = T("Both tables are asked for what changed since a day.")
    try:
        for table in TABLES.values():
            await look.ask(partial(compare_times, table=table))
    except Forbidden as error:
        if not is_about_rights(error):
            return finding_for_error(look, checked, error)
        return Finding(
            "query_acl", State.NOTE, checked,
            T("Asking by time is refused by a query rule (query_range). States are refreshed by the tickets’ keys in its "
              "place: somewhat slower, and nothing is missed. %(why)s", why=error.message),
            advice=T("For quicker refreshes, allow the integration user range operators on sys_updated_on."),
            screen=ACCESS_RULES,
            message=T(
                "Please let the user %(user)s use range operators on sys_updated_on of incident and change_request (an access "
                "rule of the operation query_range).", user=look.user,
            ),
        )  # fmt: skip
    except AppError as error:
        return finding_for_error(look, checked, error)
    return Finding("query_acl", State.GOOD, checked, T("Asking by time is allowed."))
