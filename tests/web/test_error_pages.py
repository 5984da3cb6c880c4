"""Error pages keep the navigation for people who are signed in and have a role."""

from __future__ import annotations

import pytest

from tests.factories.system import System

NAVIGATION = 'class="nav-link" href="/secure-score"'


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/nothing-here", 404),
        ("GET", "/servicenow/nothing-here", 404),
        ("GET", "/tickets/no-uuid", 404),
        ("DELETE", "/tickets", 405),
    ],
)
async def test_a_signed_in_person_keeps_the_navigation(system: System, method: str, address: str, status: int) -> None:
    async with await system.signed_in("viewer") as browser:
        answer = await browser.request(method, address)
    assert answer.status_code == status
    assert NAVIGATION in answer.text


async def test_people_without_a_session_or_role_get_the_page_without_it(system: System) -> None:
    async with system.client() as browser:
        answer = await browser.get("/nothing-here")
    assert answer.status_code == 404
    assert NAVIGATION not in answer.text
    async with await system.signed_in("outsider") as browser:
        assert NAVIGATION not in (await browser.get("/nothing-here")).text


async def test_a_refused_method_names_those_that_the_address_has(system: System) -> None:
    """RFC 9110 15.5.6."""
    async with await system.signed_in("viewer") as browser:
        answer = await browser.put("/tickets")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
