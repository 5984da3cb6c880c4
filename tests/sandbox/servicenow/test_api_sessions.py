"""API sessions by cookie."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from sandbox.servicenow.api_sessions import WAITERS
from tests.factories.servicenow import SandboxServiceNow


async def burst(servicenow: SandboxServiceNow, cookie: str, count: int, token: str) -> list[int]:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    if cookie:
        headers["Cookie"] = f"JSESSIONID={cookie}"
    async with httpx.AsyncClient(headers=headers, limits=httpx.Limits(max_connections=count)) as client:
        url = f"{servicenow.url}/api/now/v2/table/incident"
        answers = await asyncio.gather(*(client.post(url, json={"correlation_id": "38"}) for _ in range(count)))
    return [answer.status_code for answer in answers]


@pytest.mark.fact("servicenow sandbox-38", "servicenow trap-2")
async def test_a_shared_session_drops_calls_past_ten_waiters_with_202(servicenow: SandboxServiceNow) -> None:
    token = servicenow.tokens()["access_token"]
    cookie = servicenow.instance.sessions.start("")
    servicenow.control("switches", latency_ms=40)
    before = len(servicenow.records())
    # The first call is slow, so that all others are waiting while it is answered, even on a busy machine.
    servicenow.control("faults", name="slow", place="before", seconds=2, times=1)
    started = time.monotonic()
    statuses = await burst(servicenow, cookie, 30, token)
    assert sorted(set(statuses)) == [201, 202]
    done = statuses.count(201)
    assert done == 1 + WAITERS
    assert len(servicenow.records()) == before + done, "a call answered 202 was not done"
    assert time.monotonic() - started >= done * 0.04, "one at a time"
    servicenow.control("switches", session_sync=False)
    assert set(await burst(servicenow, cookie, 30, token)) == {201}


@pytest.mark.fact("servicenow sandbox-38")
async def test_without_cookies_every_call_has_a_session_of_its_own(servicenow: SandboxServiceNow) -> None:
    token = servicenow.tokens()["access_token"]
    servicenow.control("switches", latency_ms=1000)
    started = time.monotonic()
    assert set(await burst(servicenow, "", 30, token)) == {201}
    assert time.monotonic() - started < 20, "side by side, not 30 times a second"


@pytest.mark.fact("servicenow sandbox-38")
def test_a_returned_cookie_keeps_its_session_and_a_foreign_one_starts_a_new_one(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    first = api.get("/incident").headers.get_list("set-cookie")
    mine = next(cookie.split(";")[0] for cookie in first if cookie.startswith("JSESSIONID"))
    again = api.get("/incident", headers={"Cookie": mine})
    assert not any(cookie.startswith("JSESSIONID") for cookie in again.headers.get_list("set-cookie"))
    foreign = api.get("/incident", headers={"Cookie": "JSESSIONID=0"})
    assert any(cookie.startswith("JSESSIONID") for cookie in foreign.headers.get_list("set-cookie"))
