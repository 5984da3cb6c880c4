"""What came of a journey: right, honestly refused, or wrong; and the checks that find a wrong one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from app.core.messages import Message
from app.features.tickets.models import Ticket
from app.features.tickets.types import TABLES, Delivery, TicketKind
from sandbox.servicenow.store import Record
from tests.factories.system import System
from tests.worlds.parameters import BY_NAME, World

# What may not be said of a ticket whose record exists.
SAYS_NOTHING_ARRIVED = re.compile(r"nothing arrived|did not arrive|was not created|has not been created", re.I)


@dataclass(frozen=True)
class Verdict:
    """How one journey ended. `wrong` holds what was wrong, `refused` what the product named as the cause."""

    journey: str
    refused: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.wrong:
            return f"{self.journey}: WRONG ({'; '.join(self.wrong)})"
        if self.refused:
            return f"{self.journey}: honestly refused ({'; '.join(self.refused)})"
        return f"{self.journey}: right"


def said_honestly(world: World, findings: Iterable[str], said: Iterable[str], *, held: bool) -> bool:
    """Return whether a cause is named that this world has, and no finding that it has not.

    `held` allows the causes that hold a ticket, besides those that stop a journey.
    """
    causes, true = [], []
    for name, value in world.items():
        parameter = BY_NAME[name]
        for patterns, counts in ((parameter.stops, True), (parameter.holds, held), (parameter.findings, False)):
            if value in patterns:
                true.append(patterns[value])
                causes += [patterns[value]] if counts else []
    texts = [*findings, *said]
    return any(_fits(causes, text) for text in texts) and all(_fits(true, finding) for finding in findings)


def _fits(patterns: Iterable[str], text: str) -> bool:
    return any(re.search(pattern, text, re.I) for pattern in patterns)


def is_stopped(world: World) -> bool:
    """Return whether the world has a value with which a journey may end."""
    return any(value in BY_NAME[name].stops for name, value in world.items())


def text_of(message: object) -> str:
    """Return a stored message as a person reads it."""
    return str(Message.from_json(message)) if isinstance(message, dict) else ""


def records_of(system: System, ticket: Ticket) -> list[Record]:
    """Return every record that was made of this ticket, whatever ServiceNow kept of it."""
    rows = system.servicenow.instance.store.rows(TABLES[TicketKind(ticket.kind)])
    return [
        row for row in rows
        if row["correlation_id"] == ticket.correlation_id or row["short_description"] == ticket.record["short_description"]
    ]  # fmt: skip


def faults_of_creation(ticket: Ticket, made: list[Record]) -> list[str]:
    """Return what is wrong about a ticket and its records, whatever the world is."""
    wrong = []
    if len(made) > 1:
        wrong.append(f"{len(made)} records of one {ticket.kind}")
    if ticket.delivery == Delivery.SHARED and ticket.sys_id not in {row["sys_id"] for row in made}:
        wrong.append(f"{ticket.kind} counts as shared and has no record")
    if ticket.delivery != Delivery.SHARED and made and SAYS_NOTHING_ARRIVED.search(text_of(ticket.problem)):
        wrong.append(f"{ticket.kind} is said not to have arrived, and has")
    if ticket.delivery == Delivery.SHARED and len(made) == 1:
        wrong += _silent_differences(ticket, made[0])
    return wrong


def _silent_differences(ticket: Ticket, record: Record) -> list[str]:
    told = [text_of(message) for message in ticket.differences]
    differing = [
        name for name, sent in ticket.record.items() if record.get(name, "").rstrip() != str(sent).rstrip()
    ]  # fmt: skip
    if record["priority"] != str(ticket.priority) and "priority" not in differing:
        differing.append("priority")
    silent = len(differing) - len(told)
    return [f"{ticket.kind}: differs in {', '.join(differing)}, told: {told}"] if silent > 0 else []
