"""Ticket pages: the form keeps what was typed, the list filters, roles decide, and the home page says what is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.features.connection.models import Connection
from app.features.tickets.models import PollCursor
from app.features.tickets.polling.poll_status import PollStatus
from app.features.tickets.types import TicketKind
from tests.factories.connecting import remove
from tests.factories.system import System
from tests.factories.tickets import an_action, fill_and_send, know_actions, records, share_one


async def test_the_form_is_prefilled_from_the_action(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    know_actions(monkeypatch, an_action("Odd.Id/with blank"))
    await system.connect()
    async with await system.signed_in("sharer") as browser:
        page = await browser.get("/tickets/new?action=Odd.Id%2Fwith%20blank")
    for text in ("Require multifactor authentication", "What to do:", "Turn on the policy.", "Send to ServiceNow"):
        assert text in page.text


async def test_nothing_typed_is_lost_on_an_error(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    async with await system.signed_in("sharer") as browser:
        page = await fill_and_send(
            browser, "/tickets/new?action=AdminMFAV2", kind="incident", name="", description="Mine <b>&",
            priority="1", due_date="2020-01-01",
        )  # fmt: skip
        assert page.status_code == 422
        assert "This is required." in page.text
        assert "Mine &lt;b&gt;&amp;" in page.text
        assert 'value="2020-01-01"' in page.text
        assert '<option value="incident" selected>' in page.text
        page = await fill_and_send(browser, "/tickets/new?action=AdminMFAV2", name="Mine", due_date="2020-01-01")
        assert page.status_code == 422
        assert "This day has passed." in page.text
    await system.work()
    assert records(system, "incident") == []


@pytest.mark.parametrize("typed", [{"kind": "problem"}, {"priority": "9"}, {"due_date": "soon"}, {"category": "Other"}])
async def test_what_the_form_does_not_offer_is_refused(system: System, typed: dict[str, str]) -> None:
    await system.connect()
    async with await system.signed_in("sharer") as browser:
        good = {"name": "Task", "description": "Do it.", "category": "Apps", "priority": "3"}
        page = await fill_and_send(browser, "/tickets/new", **{**good, **typed})
        assert page.status_code == 422
        assert "field-error" in page.text


async def test_an_action_that_is_unknown_is_not_found(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    know_actions(monkeypatch)
    async with await system.signed_in("sharer") as browser:
        assert (await browser.get("/tickets/new?action=nothing")).status_code == 404


async def test_an_open_ticket_is_offered_before_another_is_made(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    async with await system.signed_in("sharer") as browser:
        await fill_and_send(browser, "/tickets/new?action=AdminMFAV2")
        await system.work()
        number = records(system, "change_request")[0]["number"]
        refused = await fill_and_send(browser, "/tickets/new?action=AdminMFAV2")
        assert refused.status_code == 409
        assert number in refused.text
        assert "Share it again although a ticket is open" in refused.text
        again = await fill_and_send(browser, "/tickets/new?action=AdminMFAV2", again="true")
        assert again.status_code == 303


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
    async with await system.signed_in("stranger") as browser:
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


def test_a_list_of_both_kinds_is_as_old_as_its_older_half() -> None:
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    connection = Connection(status="active")
    fresh, older = (PollCursor(kind=kind, succeeded_at=now - age, problem=None)
                    for kind, age in (("change", timedelta()), ("incident", timedelta(hours=1))))  # fmt: skip
    both = PollStatus(connection, None, {"change": fresh, "incident": older})
    assert both.overall().as_of == older.succeeded_at
    assert PollStatus(connection, None, {"change": fresh}).overall().as_of is None


async def test_the_home_page_without_a_connection_says_what_to_do(system: System) -> None:
    async with await system.signed_in("manager") as browser:
        page = (await browser.get("/")).text
        assert "Do you use ServiceNow?" in page
        assert 'href="/servicenow/connect"' in page
    async with await system.signed_in("sharer") as browser:
        page = (await browser.get("/")).text
        assert "Do you use ServiceNow?" in page
        assert 'href="/servicenow/connect"' not in page
        assert "Security Administrator" in page


async def test_the_home_cards_offer_what_the_role_may_do(system: System) -> None:
    await system.connect()
    async with await system.signed_in("manager") as browser:
        page = (await browser.get("/")).text
    for text in (
        "ServiceNow change management", "ServiceNow incident management", "Create a ticket", "View all tickets",
        "Manage ServiceNow configuration",
    ):  # fmt: skip
        assert text in page
    assert "Do you use ServiceNow?" not in page
    async with await system.signed_in("sharer") as browser:
        assert "Manage ServiceNow configuration" not in (await browser.get("/")).text
