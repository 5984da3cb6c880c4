"""What a person does with a held ticket: retry it, edit and retry it, or give it up."""

from __future__ import annotations

from sqlalchemy import select, update

from app.features.accounts.models import Person
from app.features.tickets.models import Ticket
from app.features.tickets.types import TicketKind
from tests.factories.delivering import give_up, run_sweep, set_status
from tests.factories.system import System
from tests.factories.tickets import calls, fill_and_send, read_ticket, records, run_due_and_waiting, share_one, told


async def test_retry_after_the_cause_is_gone_shares_the_ticket(system: System) -> None:
    await system.connect("no.roles")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 2)
    user = system.servicenow.instance.store.find("sys_user", user_name="no.roles")
    assert user is not None
    user["_roles"] = "itil"
    async with await system.signed_in("sharer", follow_redirects=True) as browser:
        page = await browser.get(f"/tickets/{ticket_id}")
        assert "ACL Exception Insert Failed" in page.text
        assert "Retry" in page.text
        await browser.post(f"/tickets/{ticket_id}/retry")
        await system.work()
        assert (await read_ticket(system, ticket_id)).delivery == "shared"
        twice = await browser.post(f"/tickets/{ticket_id}/retry")
        assert twice.status_code == 409
    assert len(records(system, "incident")) == 1


async def test_a_ticket_given_up_is_kept_and_nothing_more_of_it_is_sent(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "incident.create"
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 2)
    before = len(calls(system, "POST"))
    assert "Given up. It stays here, and nothing more is sent." in await give_up(system, ticket_id)
    system.servicenow.instance.switches.acl_refuses = ""
    await run_sweep(system)
    await run_due_and_waiting(system)
    assert len(calls(system, "POST")) == before
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.uncertain_until) == ("given_up", None)
    assert "it did not arrive" in await told(system, f"/tickets/{ticket_id}")


async def test_a_ticket_for_an_instance_that_is_gone_can_be_given_up_and_no_other_that_is_queued(
    system: System,
) -> None:
    await system.connect()
    await set_status(system, "needs_attention")
    waiting = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    async with await system.signed_in("sharer") as browser:
        assert "give-up" not in (await browser.get(f"/tickets/{waiting}")).text
        assert (await browser.post(f"/tickets/{waiting}/give-up")).status_code == 409
    await set_status(system, "removed")
    assert "which is not connected any more" in await told(system, f"/tickets/{waiting}")
    assert "Given up." in await give_up(system, waiting)
    await set_status(system, "connected")
    await run_sweep(system)
    assert records(system, "incident") == []
    assert (await read_ticket(system, waiting)).delivery == "given_up"


async def test_edit_and_retry_sends_the_changed_ticket(system: System) -> None:
    await system.connect("no.roles")
    ticket_id = await share_one(system, TicketKind.INCIDENT, name="Wrong")
    await run_due_and_waiting(system, 3)
    system.servicenow.control("users", user_name="no.roles", roles="itil")
    async with await system.signed_in("sharer", follow_redirects=True) as browser:
        async with system.resources.database.transaction() as session:
            await session.execute(update(Ticket).values(requested_by_id=select(Person.id).scalar_subquery()))
        refused = await fill_and_send(browser, f"/tickets/{ticket_id}/edit", name="", due_date="2020-01-01")
        assert refused.status_code == 422
        other = await fill_and_send(browser, f"/tickets/{ticket_id}/edit", kind="change")
        assert other.status_code == 422
        assert "the type stays as it is" in other.text
        page = await fill_and_send(browser, f"/tickets/{ticket_id}/edit", name="Right", priority="1")
        assert "Changed, and asked to try again." in page.text
    await system.work()
    (record,) = records(system, "incident")
    assert (record["short_description"], record["priority"]) == ("Right", "1")
    assert "Requested by: Megan Bowen <" in record["description"]
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.requested_by_name) == ("shared", "Megan Bowen")
    async with await system.signed_in("sharer") as browser:
        assert (await browser.get(f"/tickets/{ticket_id}/edit")).status_code == 409


async def test_an_edited_ticket_whose_first_version_arrived_is_found_and_compared(system: System) -> None:
    await system.connect()
    system.servicenow.fault("refused_after_commit", method="POST", path="/table/")
    system.servicenow.fault("acl_hiccup", method="GET", path="/table/")
    ticket_id = await share_one(system, TicketKind.INCIDENT, name="First version")
    await run_due_and_waiting(system, 2)
    assert (await read_ticket(system, ticket_id)).delivery == "held"
    async with await system.signed_in("sharer") as browser:
        await fill_and_send(browser, f"/tickets/{ticket_id}/edit", name="Second version")
    await run_due_and_waiting(system)
    (record,) = records(system, "incident")
    assert record["short_description"] == "First version"
    page = await told(system, f"/tickets/{ticket_id}")
    assert "Name: ServiceNow stored another text." in page


async def test_retrying_all_leaves_tickets_of_a_removed_instance_held(system: System) -> None:
    await system.connect("no.roles")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 2)
    await set_status(system, "removed")
    async with await system.signed_in("sharer") as browser:
        await browser.post("/tickets/retry-held")
    assert (await read_ticket(system, ticket_id)).delivery == "held"
