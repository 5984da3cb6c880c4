"""A share form that is sent twice makes one ticket."""

from __future__ import annotations

import pytest

from tests.factories.system import System
from tests.factories.tickets import an_action, fill_and_send, know_actions, records


@pytest.mark.fact("other-connectors bug-66")
async def test_a_double_click_makes_one_ticket(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    async with await system.signed_in("sharer") as browser:
        page = await browser.get("/tickets/new?action=AdminMFAV2")
        first = await fill_and_send(browser, "/tickets/new?action=AdminMFAV2")
        assert page.status_code == 200
        body = first.request.content.decode()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        again = await browser.post("/tickets/new?action=AdminMFAV2", content=body, headers=form)
    assert again.headers["location"] == first.headers["location"]
    await system.work()
    assert len(records(system, "change_request")) == 1
