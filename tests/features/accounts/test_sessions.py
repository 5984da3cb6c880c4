"""A session belongs to one browser and one person, has an end, and allows what Entra ID last said of that person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.factories.house import House
from tests.factories.microsoft import MANAGER, SHARER
from tests.factories.signing_in import sign_in


async def test_a_role_that_was_taken_away_is_gone_from_all_sessions_with_the_next_sign_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.connect()
    other = await house.signed_in("sharer")
    async with house.client() as old, house.client() as new:
        assert (await sign_in(old, MANAGER)).status_code == 303
        assert (await old.get("/servicenow/audit")).status_code == 200
        monkeypatch.setattr("sandbox.entra.PEOPLE", (replace(MANAGER, wids=()), SHARER))
        assert (await sign_in(new, MANAGER)).status_code == 303
        for browser in (old, new):
            assert (await browser.post("/servicenow/remove")).status_code == 403
    assert (await other.get("/tickets/new")).status_code == 200  # Another person's session is as it was.


async def test_a_role_that_was_granted_counts_in_all_sessions_with_the_next_sign_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.client() as old, house.client() as new:
        await sign_in(old, SHARER)
        assert (await old.get("/servicenow/audit")).status_code == 403
        monkeypatch.setattr("sandbox.entra.PEOPLE", (replace(SHARER, wids=MANAGER.wids),))
        await sign_in(new, SHARER)
        assert (await old.get("/servicenow/audit")).status_code == 200
