"""The system opens: pages answer, and what needs a session sends the browser to sign in."""

from __future__ import annotations

from tests.factories.leaving import leads_to
from tests.factories.system import System


async def test_health_answers(system: System) -> None:
    async with system.client() as browser:
        answer = await browser.get("/health/live")
        assert answer.status_code == 200


async def test_a_person_signs_in_through_entra(system: System) -> None:
    async with system.client(follow_redirects=True) as browser:
        answer = await browser.get(leads_to(await browser.post("/sign-in?return_to=/health/live")))
        assert answer.status_code == 200
        assert "Alex Wilber" in answer.text


async def test_connecting_in_a_test_gives_live_tokens(system: System) -> None:
    connection = await system.connect()
    assert connection.token_version == 1
