"""Entries about tickets in the audit log: who, what, and by which name the ticket is found."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.exc import NoResultFound

from app.core.messages import T
from app.features.accounts.models import AuditEntry
from app.features.tickets.models import Ticket
from app.features.tickets.ticket_audit import audit_ticket_event
from tests.factories.system import System
from tests.factories.tickets import SENDER, share_one


async def entry_about(system: System, ticket_id: UUID) -> AuditEntry:
    async with system.resources.database.transaction() as session:
        await audit_ticket_event(session, SENDER, T("Ticket sent again"), ticket_id, note="the first")
    async with system.resources.database.transaction() as session:
        query = select(AuditEntry).where(AuditEntry.action["message"].astext == "Ticket sent again")
        return (await session.execute(query)).scalar_one()


async def test_an_entry_names_person_and_ticket(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system)
    entry = await entry_about(system, ticket_id)
    assert (entry.person_name, entry.person_email, entry.address) == (SENDER.name, SENDER.email, "")
    assert entry.facts == {
        "name": "Require multifactor authentication",
        "kind": "change",
        "ticket": str(ticket_id),
        "note": "the first",
    }


async def test_a_ticket_that_arrived_is_named_by_its_number_as_well(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system)
    async with system.resources.database.transaction() as session:
        (await session.get_one(Ticket, ticket_id)).number = "CHG0030001"
    assert (await entry_about(system, ticket_id)).facts["number"] == "CHG0030001"


async def test_an_entry_about_no_ticket_is_refused(system: System) -> None:
    with pytest.raises(NoResultFound):
        await entry_about(system, uuid4())
