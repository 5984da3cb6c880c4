"""Earlier addresses of pages lead to the present ones."""

from __future__ import annotations

import pytest

from tests.factories.system import System


@pytest.mark.parametrize(
    ("earlier", "present"),
    [
        ("/servicenow/exchanged", "/servicenow/data-exchange"),
        ("/servicenow/check", "/servicenow/diagnosis"),
        ("/servicenow/check?a=b&c=%2F", "/servicenow/diagnosis?a=b&c=%2F"),
    ],
)
async def test_an_earlier_address_leads_to_the_present_one_for_good(system: System, earlier: str, present: str) -> None:
    async with system.client() as browser:
        answer = await browser.get(earlier)
    assert (answer.status_code, answer.headers["location"]) == (308, present)
