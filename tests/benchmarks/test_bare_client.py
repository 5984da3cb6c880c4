"""The bare client keeps four calls in flight and no cookies; otherwise what it is compared with would be slower than it is."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.bare_client import BareOutcome, post_all
from tests.factories.servers import serve


class Receiver:
    """Notes what is posted, and how much at once; refuses records without a name."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.cookies: set[str] = set()
        self.tokens: set[str] = set()
        self.running = self.most = 0

    async def receive(self, request: Request) -> JSONResponse:
        self.cookies |= set(request.cookies)
        self.tokens.add(request.headers["authorization"])
        if request.method == "POST":
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0.02)
            self.running -= 1
            self.names.append((await request.json()).get("name", ""))
        answer = JSONResponse({}, 201 if request.method == "GET" or self.names[-1] else 400)
        answer.set_cookie("JSESSIONID", "one")
        return answer


async def test_each_record_is_posted_once_four_at_a_time_and_without_cookies() -> None:
    receiver = Receiver()
    records = [{"name": f"record {n}"} for n in range(10)] + [{"text": "without a name"}]
    with serve(Starlette(routes=[Route("/records", receiver.receive, methods=["GET", "POST"])])) as url:
        found = await post_all(f"{url}/records", "token", records)
    assert sorted(receiver.names) == sorted([f"record {n}" for n in range(10)] + [""])
    assert found == BareOutcome(found.seconds, 1)
    assert receiver.most == 4
    assert (receiver.cookies, receiver.tokens) == (set(), {"Bearer token"})
