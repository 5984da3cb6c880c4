"""The ticket list: filters, freshness, and what each role may do with tickets."""

from __future__ import annotations

import pytest

from app.features.tickets.types import TicketKind
from tests.factories.connecting import remove
from tests.factories.graph_payloads import keep_servicenow_as_a_product
from tests.factories.system import System
from tests.factories.tickets import an_action, know_actions, refresh_now, share_one, shared_ticket


async def test_a_reader_looks_and_may_not_share(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system)
    async with await system.signed_in("viewer") as browser:
        assert (await browser.get("/tickets")).status_code == 200
        assert (await browser.get(f"/tickets/{ticket_id}")).status_code == 200
        assert "Create a ticket" not in (await browser.get("/")).text
        for address in ("/tickets/new", f"/tickets/{ticket_id}/retry", f"/tickets/{ticket_id}/give-up"):
            assert (await browser.post(address, data={"name": "x"})).status_code == 403
        assert (await browser.get("/tickets/new")).status_code == 403


@pytest.mark.parametrize("address", ["/", "/tickets", "/tickets/new", "/cards/change"])
async def test_without_a_role_or_a_session_nothing_is_shown(system: System, address: str) -> None:
    async with await system.signed_in("outsider") as browser:
        assert (await browser.get(address)).status_code == 403
    async with system.client() as browser:
        assert (await browser.get(address)).status_code == 303


async def test_the_list_filters_and_finds(system: System) -> None:
    await system.connect()
    await share_one(system, TicketKind.CHANGE, name="Close the port 100%_open")
    await share_one(system, TicketKind.INCIDENT, name="Renew the certificate")
    await system.work()
    await share_one(system, TicketKind.INCIDENT, name="Still on its way")
    async with await system.signed_in("viewer") as browser:

        async def names(query: str) -> set[str]:
            text = (await browser.get(f"/tickets?{query}")).text
            known = ("Close the port", "Renew the certificate", "Still on its way")
            return {name for name in known if name in text}

        assert await names("") == {"Close the port", "Renew the certificate", "Still on its way"}
        assert await names("kind=change") == {"Close the port"}
        assert await names("delivery=queued") == {"Still on its way"}
        assert await names("state_category=new") == {"Close the port", "Renew the certificate"}
        assert await names("state_category=done") == set()
        assert await names("state_category=open") == {"Close the port", "Renew the certificate", "Still on its way"}
        assert await names("q=%25_") == {"Close the port"}
        assert await names("q=CERTIFICATE") == {"Renew the certificate"}
        assert await names("kind=nonsense&state_category=nonsense&page=99") == await names("")
        assert (await browser.get("/tickets?page=0")).status_code == 404
        assert (await browser.get("/tickets/not-an-id")).status_code == 404


async def test_the_list_says_how_old_it_is_and_why(system: System) -> None:
    await system.connect()
    await share_one(system, TicketKind.INCIDENT, name="Renew the certificate")
    await system.work()
    async with await system.signed_in("manager") as browser:
        assert "ServiceNow is not connected" not in (await browser.get("/tickets")).text
        assert (await remove(browser)).status_code == 303
        assert "states are as they were last seen" in (await browser.get("/tickets")).text


@pytest.mark.fact("microsoft-graph edge-56")
async def test_a_ticket_in_servicenow_is_no_action_about_servicenow(system: System) -> None:
    await keep_servicenow_as_a_product(system.resources.database, system.resources.config.tenant_id)
    await system.connect()
    await share_one(system, TicketKind.INCIDENT, name="Sign mail of ServiceNow")
    await system.work()
    async with await system.signed_in("viewer") as browser:
        actions = (await browser.get("/secure-score/actions?q=servicenow")).text
        tickets = (await browser.get("/tickets?q=ServiceNow+%28scored")).text
        options = (await browser.get("/secure-score/actions")).text
    assert "Ensure MFA" in actions
    assert "Sign mail" not in actions
    assert "Sign mail of ServiceNow" not in tickets
    assert "ServiceNow (scored app)" in options
    assert 'name="product" value="ServiceNow"' not in options


async def texts_of_pages(system: System, *addresses: str) -> list[str]:
    async with await system.signed_in("sharer") as browser:
        return [(await browser.get(address)).text for address in addresses]


async def test_a_deleted_record_is_marked_on_every_page_that_lists_it(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    _, record = await shared_ticket(system, action=an_action())
    system.servicenow.instance.store.remove("incident", record["sys_id"])
    await refresh_now(system, later=3600)
    home, listed, share = await texts_of_pages(system, "/", "/tickets", "/tickets/new?action=AdminMFAV2")
    for page in (home, listed, share):
        assert "Deleted in ServiceNow" in page
    assert "Deleted or hidden" in home
    assert "although a ticket is open" not in share


async def test_a_ticket_of_another_instance_is_marked_as_archived_on_every_page_that_lists_it(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    ticket_id, _ = await shared_ticket(system, action=an_action())
    async with await system.signed_in("manager", follow_redirects=True) as browser:
        await remove(browser)
    listed, share, own = await texts_of_pages(
        system, "/tickets", "/tickets/new?action=AdminMFAV2", f"/tickets/{ticket_id}"
    )
    for page in (listed, share):
        assert "Archived: contoso" in page
    assert "although a ticket is open" not in share
    assert "contoso is not connected any more" in own
