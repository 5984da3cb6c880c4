"""Headers, cookies, sessions, latency and the clock: behaviour 38 of the fact sheet, and what stands before the API."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from sandbox.servicenow.api_sessions import WAITERS
from sandbox.servicenow.send import CapturedResponse, ResponseSender
from tests.factories.servicenow import Snow, make


def test_38_answers_carry_the_usual_headers_and_cookies(snow: Snow, api: httpx.Client) -> None:
    answer = api.get("/incident")
    assert answer.headers["server"] == "snow_adc"
    assert re.fullmatch(r"[0-9a-f]{12}", answer.headers["x-transaction-id"])
    assert answer.headers["x-transaction-id"] in answer.headers["server-timing"]
    assert (answer.headers["x-is-logged-in"], answer.headers["x-is-visitor"]) == ("true", "false")
    assert answer.headers["cache-control"] == "no-cache,no-store,must-revalidate,max-age=-1"
    assert answer.headers["strict-transport-security"].startswith("max-age=63072000")
    assert not [name for name in answer.headers if "ratelimit" in name], "no rate-limit headers by default"
    assert len(answer.headers.get_list("date")) == 1
    cookies = answer.headers.get_list("set-cookie")
    assert any(cookie.startswith("JSESSIONID=") and "HttpOnly" in cookie for cookie in cookies)
    assert any(cookie.startswith("glide_session_store=") for cookie in cookies)
    snow.instance.switches.session_cookies = False
    assert "set-cookie" not in api.get("/incident").headers


def test_38_large_answers_are_compressed_for_those_who_accept_it(snow: Snow, api: httpx.Client) -> None:
    assert api.get("/incident").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in api.get("/incident", headers={"Accept-Encoding": "identity"}).headers
    snow.instance.switches.compress = False
    assert "content-encoding" not in api.get("/incident").headers


async def burst(snow: Snow, cookie: str, count: int, token: str) -> list[int]:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    if cookie:
        headers["Cookie"] = f"JSESSIONID={cookie}"
    async with httpx.AsyncClient(headers=headers, limits=httpx.Limits(max_connections=count)) as client:
        url = f"{snow.url}/api/now/v2/table/incident"
        answers = await asyncio.gather(*(client.post(url, json={"correlation_id": "38"}) for _ in range(count)))
    return [answer.status_code for answer in answers]


async def test_38_a_shared_session_drops_calls_past_ten_waiters_with_202(snow: Snow) -> None:
    token = snow.tokens()["access_token"]
    cookie = snow.instance.sessions.begin("")
    snow.control("switches", latency_ms=40)
    before = len(snow.records())
    # The first is slow, so that all others are there while it is answered, however busy the machine is.
    snow.control("faults", name="slow", place="before", seconds=2, times=1)
    started = time.monotonic()
    statuses = await burst(snow, cookie, 30, token)
    assert sorted(set(statuses)) == [201, 202]
    done = statuses.count(201)
    assert done == 1 + WAITERS
    assert len(snow.records()) == before + done, "a call answered 202 was not done"
    assert time.monotonic() - started >= done * 0.04, "one at a time"
    snow.control("switches", session_sync=False)
    assert set(await burst(snow, cookie, 30, token)) == {201}


async def test_38_without_cookies_every_call_has_a_session_of_its_own(snow: Snow) -> None:
    token = snow.tokens()["access_token"]
    snow.control("switches", latency_ms=1000)
    started = time.monotonic()
    assert set(await burst(snow, "", 30, token)) == {201}
    assert time.monotonic() - started < 20, "side by side, not 30 times a second"


def test_38_a_returned_cookie_keeps_its_session_and_a_foreign_one_begins_anew(snow: Snow, api: httpx.Client) -> None:
    first = api.get("/incident").headers.get_list("set-cookie")
    mine = next(cookie.split(";")[0] for cookie in first if cookie.startswith("JSESSIONID"))
    again = api.get("/incident", headers={"Cookie": mine})
    assert not any(cookie.startswith("JSESSIONID") for cookie in again.headers.get_list("set-cookie"))
    foreign = api.get("/incident", headers={"Cookie": "JSESSIONID=0"})
    assert any(cookie.startswith("JSESSIONID") for cookie in foreign.headers.get_list("set-cookie"))


def test_a_cookie_may_outlive_its_token_where_an_old_setting_lets_it(snow: Snow, api: httpx.Client) -> None:
    cookie = {"Cookie": next(c.split(";")[0] for c in api.get("/incident").headers.get_list("set-cookie"))}
    snow.control("clock", seconds=1801)
    assert api.get("/incident", headers=cookie).status_code == 401
    snow.control("switches", cookie_outlives_token=True)
    assert api.get("/incident", headers=cookie).status_code == 200


def test_latency_is_added_to_every_answer(snow: Snow, api: httpx.Client) -> None:
    snow.control("switches", latency_ms=120)
    started = time.monotonic()
    api.get("/incident")
    snow.grant(grant_type="refresh_token")
    assert time.monotonic() - started >= 0.24


class Cycle:
    """As uvicorn has it: `send` is its method, and it writes head and body apart."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.default_headers = [(b"date", b"theirs")]

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.transport.write(b"head")
            return
        self.transport.write(message["body"])
        self.transport.close()


class Transport:
    def __init__(self) -> None:
        self.done: list[str] = []

    def write(self, data: bytes) -> None:
        self.done.append(data.decode())

    def close(self) -> None:
        self.done.append("closed")


async def test_an_answer_is_one_write() -> None:
    transport = Transport()
    cycle = Cycle(transport)
    caught = CapturedResponse()
    caught.status, caught.body = 200, b" and body"
    await ResponseSender(cycle.send).send_whole(caught)
    assert transport.done == ["head and body", "closed"]
    assert cycle.transport is transport
    assert cycle.default_headers == []


def test_an_answer_arrives_whole_in_one_read(snow: Snow) -> None:
    parts = urlsplit(snow.url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(b"GET /api/now/table/incident HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n")
        first = connection.recv(65536)
    assert first.startswith(b"HTTP/1.1 401")
    assert first.endswith(b'"status":"failure"}')


def test_the_instances_clock_can_be_off_without_ending_tokens(snow: Snow, api: httpx.Client) -> None:
    snow.control("switches", clock_off_seconds=7200)
    answer = api.get("/incident")
    assert answer.status_code == 200
    shown = parsedate_to_datetime(answer.headers["date"])
    assert timedelta(minutes=119) < shown - datetime.now(UTC) < timedelta(minutes=121)
    made = make(api)["sys_created_on"]
    assert made > datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


def test_the_journal_counts_filters_and_names_transactions(snow: Snow, api: httpx.Client) -> None:
    snow.control("journal")
    answer = api.get("/incident", params={"sysparm_limit": "1"})
    api.get("/incident/0")
    snow.fault("dropped")
    with pytest.raises(httpx.RemoteProtocolError):
        api.get("/change_request")
    counts = httpx.get(f"{snow.url}/_sandbox/counts").json()
    assert (counts["total"], counts["GET incident"], counts["GET change_request"]) == (3, 2, 1)
    assert (counts["status 404"], counts["status dropped"]) == (1, 1)
    found = httpx.get(f"{snow.url}/_sandbox/journal", params={"text": answer.headers["x-transaction-id"]}).json()
    assert [entry["query"] for entry in found] == ["sysparm_limit=1"]
    faults = httpx.get(f"{snow.url}/_sandbox/journal", params={"faults": "1"}).json()
    assert [entry["fault"] for entry in faults] == ["dropped"]
