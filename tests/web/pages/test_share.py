"""The form for one ticket: prefilled, nothing typed is lost, and an open ticket is offered first."""

from __future__ import annotations

import pytest

from tests.factories.system import System
from tests.factories.tickets import an_action, fill_and_send, know_actions, records


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
