"""The three journeys of a world: connect through the pages, share with a lost answer, follow to done and back."""

from __future__ import annotations

from uuid import UUID

import httpx
from sqlalchemy import select

from app.features.connection.models import Connection, ConnectionStatus
from app.features.tickets.models import PollCursor, Ticket
from app.features.tickets.types import TABLES, Delivery, TicketKind
from sandbox.faults import Fault
from tests.factories.connecting import connect_by_pages, connections, said
from tests.factories.provisioning import diagnose
from tests.factories.servicenow import INTEGRATION_USER
from tests.factories.system import System
from tests.factories.tickets import fill_and_send
from tests.worlds.inhabit import CLOSED, REOPENED, SharedClock, forget_checks, inhabited, let_pass, move_record
from tests.worlds.parameters import BY_NAME, LOST_ANSWER, World
from tests.worlds.verdicts import Verdict, faults_of_creation, is_stopped, records_of, said_honestly, text_of

NAMES = {TicketKind.INCIDENT: "Review the mail rules", TicketKind.CHANGE: "Require a second factor"}
# Minutes after which a ticket is looked at again: soon, then after the time in which a lost create may still arrive, then
# hours in which whatever passes has passed.
WAITS = (60, 60, 360, 360, *(3600,) * 8)
# docs/reliability.md promises that a change is seen within this many minutes.
PROMISED_MINUTES = 10
# No worker process runs, because the journeys run its jobs; and a person who is refused leaves an authorization unfinished.
# A journey moves our clock and the instance's, and leaves Microsoft's where it is.
TRUE_ANYWAY = {"no_worker", "authorization_unfinished", "authorization_failed", "microsoft_clock"}


async def live(system: System, world: World) -> list[Verdict]:
    """Run the journeys in this world, one after the other; the first that is refused ends them."""
    with inhabited(system, world) as shared:
        verdicts = [await _connect(system, world)]
        if verdicts[-1].wrong or not await _is_connected(system):
            return verdicts
        tickets, verdict = await _share(system, world, shared)
        verdicts.append(verdict)
        if verdict.refused and not tickets and not is_stopped(world):
            # What was held is held for its lost answer. Another pair, whose answers arrive, can be followed.
            tickets, verdict = await _share(system, world, shared, loses=False)
            verdicts.append(verdict)
        if tickets:
            verdicts.append(await _follow(system, world, shared, tickets))
        return verdicts


async def _connect(system: System, world: World) -> Verdict:
    async with await system.signed_in("manager") as browser:
        try:
            page = await connect_by_pages(system, browser)
        except AssertionError as problem:
            return await _judged(system, world, "connect", [str(problem)[-300:]])
    await forget_checks(system)
    await system.work()
    found = await connections(system)
    if not found:
        return await _judged(system, world, "connect", [_main(page)])
    connection = found[-1]
    if connection.status == ConnectionStatus.CONNECTED and connection.user_name == INTEGRATION_USER:
        return Verdict("connect")
    return await _judged(system, world, "connect", [connection.status, text_of(connection.attention)])


def _main(page: httpx.Response) -> str:
    """Return what a page says below its navigation."""
    return said(page).partition(" This page cannot reach the server ")[2][:1000]


async def _is_connected(system: System) -> bool:
    found = await connections(system)
    return bool(found) and found[-1].status == ConnectionStatus.CONNECTED


async def _judged(system: System, world: World, journey: str, words: list[str], *, held: bool = False) -> Verdict:
    """Judge a journey that did not end right: honest where a cause is named that the world has."""
    found = await diagnose(system)
    findings = [key for key, finding in found.items() if finding.is_problem and key not in TRUE_ANYWAY]
    words = [word for word in words if word]
    if said_honestly(world, findings, words, held=held):
        return Verdict(journey, refused=tuple(findings or [word[:300] for word in words]))
    return Verdict(journey, wrong=(f"named as cause: {findings} {words}",))


async def _share(
    system: System, world: World, shared: SharedClock, *, loses: bool = True
) -> tuple[list[UUID], Verdict]:
    journey, tickets = "share" if loses else "share again", []
    async with await system.signed_in("sharer") as browser:
        for kind, name in NAMES.items():
            if loses:
                _lose_answer(system, world, TABLES[kind])
            sent = await _send_form(browser, kind, name if loses else f"{name} again")
            if sent.status_code != 303:
                return [], await _judged(system, world, journey, [_main(sent)])
            tickets.append(UUID(sent.headers["location"].rsplit("/", 1)[1].partition("?")[0]))
    await system.work()
    found = [await _ticket(system, ticket_id) for ticket_id in tickets]
    for seconds in WAITS:
        if all(ticket.delivery != Delivery.QUEUED for ticket in found):
            break
        await let_pass(system, shared, seconds)
        found = [await _ticket(system, ticket_id) for ticket_id in tickets]
    wrong = [fault for ticket in found for fault in faults_of_creation(ticket, records_of(system, ticket))]
    if wrong:
        return [], Verdict(journey, wrong=tuple(wrong))
    arrived = [ticket.id for ticket in found if ticket.delivery == Delivery.SHARED]
    missing = [
        f"{ticket.kind} {ticket.delivery}: {text_of(ticket.problem)}" for ticket in found if ticket.id not in arrived
    ]
    if missing:
        return arrived, await _judged(system, world, journey, missing, held=True)
    return arrived, Verdict(journey)


def _lose_answer(system: System, world: World, table: str) -> None:
    name = str(world.get(LOST_ANSWER, BY_NAME[LOST_ANSWER].usual))
    system.servicenow.instance.orders.order(Fault(name, 1, "POST", f"/table/{table}"))


async def _send_form(browser: httpx.AsyncClient, kind: TicketKind, name: str) -> httpx.Response:
    typed = {"kind": kind.value, "name": name, "description": "As agreed.", "category": "Identity"}
    return await fill_and_send(browser, f"/tickets/new?kind={kind.value}", due_date="2030-12-31", **typed)


async def _follow(system: System, world: World, shared: SharedClock, tickets: list[UUID]) -> Verdict:
    for goal, states in (("done", CLOSED), ("reopened", REOPENED)):
        for ticket_id in tickets:
            ticket = await _ticket(system, ticket_id)
            table = TABLES[TicketKind(ticket.kind)]
            move_record(system, table, str(ticket.sys_id), states[table])
        late = await _seen_in_time(system, shared, tickets, states)
        if late:
            shown = [f"{ticket.kind} shows {ticket.state_label or ticket.state}" for ticket in late]
            verdict = await _judged(system, world, "follow", await _told_of_age(system), held=True)
            return Verdict("follow", verdict.refused, (f"not {goal}", *shown, *verdict.wrong) if verdict.wrong else ())
    return Verdict("follow")


async def _seen_in_time(
    system: System, shared: SharedClock, tickets: list[UUID], states: dict[str, str]
) -> list[Ticket]:
    """Let the promised time pass, or less; return the tickets that are behind then."""
    behind: list[Ticket] = []
    for _ in range(PROMISED_MINUTES):
        await let_pass(system, shared, 60)
        behind = [ticket for ticket in [await _ticket(system, one) for one in tickets] if _is_behind(ticket, states)]
        if not behind:
            break
    return behind


def _is_behind(ticket: Ticket, states: dict[str, str]) -> bool:
    return ticket.state != states[TABLES[TicketKind(ticket.kind)]]


async def _told_of_age(system: System) -> list[str]:
    """Return what cards and connection say about how current the states are."""
    async with system.resources.database.transaction() as session:
        cursors = (await session.execute(select(PollCursor))).scalars().all()
        found = (await session.execute(select(Connection))).scalars().all()
    return [text_of(cursor.problem) for cursor in cursors] + [text_of(connection.attention) for connection in found]


async def _ticket(system: System, ticket_id: UUID) -> Ticket:
    async with system.resources.database.transaction() as session:
        return await session.get_one(Ticket, ticket_id)
