"""A card of tickets says how old its data is, and why it is older than usual."""

from __future__ import annotations

import pytest

from tests.factories.system import System
from tests.factories.tickets import refresh_now, shared_ticket


@pytest.mark.fact("microsoft-graph edge-52")
async def test_the_card_says_how_old_its_data_is_and_why(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    await refresh_now(system)
    async with await system.signed_in("viewer") as browser:
        assert "As of" in (await browser.get("/cards/incident")).text
        system.servicenow.fault("hibernating", times=50)
        await refresh_now(system)
        card = (await browser.get("/cards/incident")).text
    assert "As of" in card
    assert "stale" in card
    assert "asleep" in card or "hibernat" in card
