"""Records are copied into their tickets, and what changed becomes an event."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import select

from app.core import clock
from app.core.messages import T
from app.features.connection.models import Connection, ConnectionStatus, InstanceThrottle
from app.features.tickets.models import Ticket
from app.features.tickets.polling.apply_remote import DUPLICATE_RECORDS, known_duplicates
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.protocol import format_time
from tests.factories.system import System
from tests.factories.tickets import (
    calls,
    read_ticket,
    records,
    refresh_now,
    run_due_and_waiting,
    share_one,
    shared_ticket,
    told,
)

CLOSED = {"close_code": "Solution provided", "close_notes": "Done."}


@pytest.mark.fact("other-connectors bug-24", "servicenow 6")
async def test_of_two_records_the_oldest_is_kept_and_a_person_is_told(system: System) -> None:
    await system.connect()
    system.servicenow.fault("dropped_after_commit", method="POST")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    (first,) = records(system, "incident")
    store = system.servicenow.instance.store
    duplicate = {name: value for name, value in first.items() if name != "sys_id"}
    store.put("incident", duplicate | {"number": "INC0099999", "sys_created_on": "2030-01-01 00:00:00"})
    await run_due_and_waiting(system)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.number) == ("shared", first["number"])
    page = await told(system, f"/tickets/{ticket_id}")
    assert "more than one record" in page
    assert "INC0099999" in page


@pytest.mark.fact("other-connectors bug-24")
async def test_a_second_record_that_turns_up_later_is_reported_once(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    store = system.servicenow.instance.store
    duplicate = {name: value for name, value in record.items() if name != "sys_id"}
    store.put("incident", duplicate | {"number": "INC0099999", "sys_updated_on": store.now_text()})
    await refresh_now(system)
    await refresh_now(system)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.sys_id, len(ticket.warnings)) == (record["sys_id"], 1)
    page = await told(system, f"/tickets/{ticket_id}")
    assert "more than one record" in page
    assert "INC0099999" in page


@pytest.mark.fact("other-connectors bug-25")
async def test_a_number_is_no_key(system: System) -> None:
    """The same number at another instance, whose connection was removed: only ours moves."""
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    async with system.resources.database.transaction() as session:
        ours = await session.get_one(Ticket, ticket_id)
        other = Connection(
            instance_name="old", origin="https://old.service-now.com", status=ConnectionStatus.REMOVED, client_id="x",
            connected_at=clock.now(),
        )  # fmt: skip
        session.add(other)
        await session.flush()
        values = {column.key: getattr(ours, column.key) for column in Ticket.__table__.columns}
        other_id = uuid4()
        fresh = {"id": other_id, "connection_id": other.id, "form_key": "old", "correlation_id": "f" * 32}
        session.add(Ticket(**{**values, **fresh}))
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    assert (await read_ticket(system, other_id)).state == "1"


@pytest.mark.fact("other-connectors bug-29")
async def test_a_record_of_another_class_is_not_followed(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    record |= {"sys_class_name": "sn_si_incident", "state": "6"}
    system.servicenow.instance.store.put("incident", record)
    await refresh_now(system, later=3600)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.visible, ticket.state) == (False, "1")
    assert "sn_si_incident" in await told(system, f"/tickets/{ticket_id}")


@pytest.mark.fact("other-connectors bug-36")
async def test_an_incident_state_that_contradicts_the_state_is_not_read(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    record |= {"incident_state": "7", "state": "2"}
    system.servicenow.instance.store.put("incident", record)
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, ticket_id)).state == "2"
    assert not any("incident_state" in call.query for call in calls(system))


@pytest.mark.fact("other-connectors bug-37")
async def test_a_reopened_ticket_is_open_even_with_closed_at(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "7", **CLOSED})
    await refresh_now(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    assert system.servicenow.instance.store.get("incident", record["sys_id"])["closed_at"]  # type: ignore[index]
    await refresh_now(system)
    page = await told(system, f"/tickets/{ticket_id}")
    assert "Reopened: from Closed to In Progress." in page
    assert (await read_ticket(system, ticket_id)).number in await told(system, "/tickets?state_category=open")


@pytest.mark.fact("other-connectors bug-45", "servicenow trap-15", "servicenow sandbox-28")
async def test_a_state_that_may_not_be_read_is_unknown(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.unreadable_fields = "state,priority,sys_updated_on,assigned_to"
    ticket_id, _ = await shared_ticket(system)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.state) == ("shared", "")
    page = await told(system, f"/tickets/{ticket_id}")
    assert "Not readable" in page
    assert ticket.number in await told(system, "/tickets?state_category=unknown")
    assert "not readable, so we cannot tell" not in page or "Priority" in page


@pytest.mark.fact("other-connectors bug-46", "servicenow trap-12", "servicenow sandbox-23")
async def test_times_are_utc_in_every_zone_of_the_user(system: System) -> None:
    """The integration user lives in Berlin; display values would be an hour or two ahead."""
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    ticket = await read_ticket(system, ticket_id)
    assert ticket.remote_updated_at is not None
    assert format_time(ticket.remote_updated_at) == record["sys_updated_on"]
    assert record["due_date"] == "2030-12-31 12:00:00"


async def test_a_lost_answer_teaches_no_wrong_clock(system: System) -> None:
    """A record found some time after it was made does not tell how far the instance's clock is off."""
    await system.connect()
    system.servicenow.fault("dropped_after_commit", method="POST")
    await share_one(system, TicketKind.INCIDENT)
    await system.work()
    (record,) = records(system, "incident")
    system.servicenow.instance.store.put("incident", record | {"sys_created_on": "2020-01-01 00:00:00"})
    await run_due_and_waiting(system)
    async with system.resources.database.transaction() as session:
        throttle = (await session.execute(select(InstanceThrottle))).scalar_one()
    assert throttle.clock_ahead_seconds is None


@pytest.mark.fact("other-connectors bug-24")
def test_known_duplicates_are_read_from_the_values_of_warnings_by_their_code() -> None:
    warnings = [
        T("Cut."),
        T("One: %(other)s", code=DUPLICATE_RECORDS, other="INC3"),
        T("Some: %(others)s", code=DUPLICATE_RECORDS, others="INC1, INC2"),
        T("Not a duplicate: %(other)s", other="INC9"),
    ]
    assert known_duplicates(warnings) == {"INC1", "INC2", "INC3"}
    assert known_duplicates([]) == set()
