"""What the share form requires, and which due dates it takes, without relying on checks in the browser."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from app.core import clock
from app.core.clock import SetClock
from tests.factories.system import System
from tests.factories.tickets import fill_and_send, records


@pytest.mark.fact("microsoft-graph edge-50")
@pytest.mark.parametrize("field", ["kind", "name", "description", "priority", "due_date", "category"])
async def test_what_is_required_is_asked_for_by_the_server(system: System, field: str) -> None:
    await system.connect()
    async with await system.signed_in("sharer") as browser:
        good = {
            "kind": "incident", "name": "Task", "description": "Do it.", "priority": "3", "category": "Apps",
            "due_date": "2030-12-31", "form_key": str(uuid4()),
        }  # fmt: skip
        refused = await browser.post("/tickets/new", data=good | {field: ""})
        assert refused.status_code == 422
        assert "field-error" in refused.text
        assert (await browser.post("/tickets/new", data=good)).status_code == 303
    await system.work()
    assert len(records(system, "incident")) == 1


async def _due(browser: httpx.AsyncClient, day: str) -> httpx.Response:
    good = {"name": "Task", "description": "Do it.", "category": "Apps", "priority": "3", "kind": "incident"}
    return await fill_and_send(browser, "/tickets/new", **good, due_date=day)


@pytest.mark.fact("microsoft-graph edge-50")
async def test_a_due_date_may_be_today_and_neither_past_nor_absurd(system: System) -> None:
    await system.connect()
    today = clock.now().date()
    async with await system.signed_in("sharer") as browser:
        for day, sentence in (
            ((today - timedelta(days=2)).isoformat(), "This day has passed."),
            (f"{today.year + 11}-01-01", "more than 10 years away"),
            ("9999-12-31", "more than 10 years away"),
            ("2026-02-30", "This is not a date."),
            ("tomorrow", "This is not a date."),
        ):
            refused = await _due(browser, day)
            assert refused.status_code == 422, day
            assert sentence in refused.text, day
        assert (await _due(browser, today.isoformat())).status_code == 303
        assert (await _due(browser, f"{today.year + 10}-12-31")).status_code == 303


@pytest.mark.fact("microsoft-graph edge-50")
async def test_what_is_still_today_in_another_time_zone_is_not_past(system: System, still_clock: SetClock) -> None:
    """At two in the morning in UTC it is still the day before in America, and the day after's morning in New Zealand."""
    still_clock.move(-(clock.now() - clock.now().replace(hour=2, minute=0, second=0)).total_seconds())
    await system.connect()
    utc = clock.now().date()
    async with await system.signed_in("sharer") as browser:
        for day in (utc - timedelta(days=1), utc, utc + timedelta(days=1)):
            assert (await _due(browser, day.isoformat())).status_code == 303, day
        assert (await _due(browser, (utc - timedelta(days=2)).isoformat())).status_code == 422
    still_clock.move(12 * 3600)
    async with await system.signed_in("sharer") as browser:
        assert (await _due(browser, (utc - timedelta(days=1)).isoformat())).status_code == 422
