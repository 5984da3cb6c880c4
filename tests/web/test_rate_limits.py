"""What is asked for too often waits, with a sentence, and nothing that was typed is lost."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import APIRoute
from limits import RateLimitItemPerMinute
from sqlalchemy import func, select

from app.core.clock import SetClock
from app.features.tickets.models import Ticket
from app.main import PAGES, create_app
from app.web import rate_limits
from app.web.rate_limits import (
    LIMITS,
    BoundedCounts,
    Limited,
    LimitedByAddress,
    LimitedWrites,
    RateLimits,
    TooManyRequests,
)
from tests.conventions.files import ROOT
from tests.factories.connecting import said
from tests.factories.system import System
from tests.factories.tickets import fill_and_send, form_fields

# Routes that are posted to and have no limit, each with the reason. There is none.
UNLIMITED: dict[str, str] = {}
# Besides the limit that every write has: routes whose work is dear, and the name of their own limit.
DEAR = {
    "sign_in.begin": "sign_in", "sign_in.callback": "callback", "connect.callback": "callback", "connect.begin": "connect",
    "connect.authorize": "connect", "share.send": "share", "share.send_bulk": "share_bulk", "diagnosis.start": "check",
    "provisioning.check_all": "check", "provisioning.authorize": "check", "provisioning.check_step": "check_step",
    "secure_score.sync": "sync", "audit.csv": "export", "audit.json": "export", "actions.export": "export",
    "diagnosis.bundle": "export", "tickets.add_note": "note", "tickets.save": "retry", "tickets.retry": "retry",
    "tickets.retry_held": "retry", "tickets.retry_group": "retry", "tickets.retry_note": "retry",
    "field_values.records": "look_up", "configuration.groups": "look_up", "failed_jobs.retry": "retry",
    "failed_jobs.retry_all": "retry",
}  # fmt: skip


def at_most(monkeypatch: pytest.MonkeyPatch, name: str, count: int) -> None:
    monkeypatch.setitem(LIMITS, name, RateLimitItemPerMinute(count))


def limits_of(dependant: Any) -> set[str]:
    own = {dependant.call.name} if isinstance(dependant.call, Limited | LimitedByAddress) else set()
    return own.union(*(limits_of(one) for one in dependant.dependencies))


def test_every_route_that_is_posted_to_has_a_limit(system: System) -> None:
    app = create_app(system.resources)
    found = {}
    for included in app.routes:
        shared = getattr(getattr(included, "include_context", None), "dependencies", None) or []
        every = {one.dependency.name for one in shared if isinstance(one.dependency, LimitedWrites)}
        for route in getattr(getattr(included, "original_router", None), "routes", []):
            assert isinstance(route, APIRoute)
            found[route.name] = (route.methods or set(), every | limits_of(route.dependant))
    assert len(found) == sum(len(page.router.routes) for page in PAGES)
    without = {name for name, (methods, limits) in found.items() if "POST" in methods and not limits}
    assert without == set(UNLIMITED)
    assert {name: next(iter(limits - {"write"})) for name, (_, limits) in found.items() if limits - {"write"}} == DEAR


def test_the_document_names_every_limit() -> None:
    text = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE)
    assert {name: int(amount) for name, amount in rows} == {name: item.amount for name, item in LIMITS.items()}


def test_a_count_begins_again_with_each_minute(still_clock: SetClock) -> None:
    limits = RateLimits()
    for _ in range(LIMITS["sync"].amount):
        limits.count("sync", "a")
    with pytest.raises(TooManyRequests) as refused:
        limits.count("sync", "a")
    assert refused.value.headers == {"Retry-After": "60"}
    limits.count("sync", "b")
    limits.count("check", "a")
    still_clock.move(59.5)
    with pytest.raises(TooManyRequests) as refused:
        limits.count("sync", "a")
    assert refused.value.headers == {"Retry-After": "1"}
    still_clock.move(1)
    limits.count("sync", "a")


def test_the_memory_of_counts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MOST_COUNTS", 50)
    counts = BoundedCounts()
    for number in range(500):
        assert counts.incr(str(number), 60) == 1
    assert counts.get("499") == 1
    assert counts.get("0") == 0
    assert counts.reset() == 50


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("no address", "", True),
    ],
)
async def test_an_address_is_counted_as_its_subscriber(
    system: System, monkeypatch: pytest.MonkeyPatch, first: str, second: str, same: bool
) -> None:
    at_most(monkeypatch, "sign_in", 1)
    statuses = []
    for address in (first, second):
        wire = httpx.ASGITransport(app=system.app, client=(address, 50_000))
        async with httpx.AsyncClient(base_url=system.resources.config.public_url, transport=wire) as browser:
            statuses.append((await browser.post("/sign-in")).status_code)
    assert statuses == [200, 429 if same else 200]


async def test_beginning_to_sign_in_many_times_is_refused_with_a_sentence(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_most(monkeypatch, "sign_in", 2)
    async with system.client() as browser:
        answers = [await browser.post("/sign-in") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert "Nothing was sent and nothing is lost" in said(answers[2])


@pytest.mark.parametrize("address", ["/sign-in/callback?code=x&state=y", "/servicenow/callback?code=x&state=y"])
async def test_answers_of_other_systems_are_limited(
    system: System, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    at_most(monkeypatch, "callback", 1)
    async with await system.signed_in("manager") as browser:
        await browser.get(address)
        assert (await browser.get(address)).status_code == 429


async def test_wrong_status_tokens_are_limited_and_right_ones_are_not(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_most(monkeypatch, "status_token", 2)
    async with await system.signed_in("manager") as browser:
        made = await browser.post("/servicenow/status-tokens", data={"name": "Widget"})
        token = form_fields(made.text).get("token") or made.text.partition("scs1.")[2].split("<")[0].split('"')[0]
        right = {"authorization": f"Bearer scs1.{token.removeprefix('scs1.')}"}
        wrong = [await browser.get("/api/connector/status", headers={"authorization": "Bearer x"}) for _ in range(3)]
        assert [answer.status_code for answer in wrong] == [401, 401, 429]
        assert wrong[2].headers["retry-after"]
        for _ in range(4):
            assert (await browser.get("/api/connector/status", headers=right)).status_code == 200


async def tickets(system: System) -> int:
    async with system.resources.database.transaction() as session:
        return (await session.execute(select(func.count()).select_from(Ticket))).scalar_one()


async def test_sharing_too_often_shows_the_form_with_what_was_typed(
    scored: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_most(monkeypatch, "share", 1)
    await scored.connect()
    async with await scored.signed_in("sharer") as browser:
        first = await fill_and_send(browser, "/tickets/new?action=AdminMFAV2")
        answer = await fill_and_send(browser, "/tickets/new?action=IntegratedApps", name="Second, typed")
    assert (first.status_code, answer.status_code) == (303, 429)
    assert 'value="Second, typed"' in answer.text
    assert "Nothing was sent" in said(answer)
    assert answer.headers["retry-after"]
    assert await tickets(scored) == 1


async def test_sharing_many_at_once_too_often_shows_them_again(scored: System, monkeypatch: pytest.MonkeyPatch) -> None:
    at_most(monkeypatch, "share_bulk", 1)
    await scored.connect()
    chosen = ["AdminMFAV2", "IntegratedApps"]
    async with await scored.signed_in("sharer") as browser:
        form = {"shown": chosen, "action": chosen, "kind": "incident", "priority": "2"}
        first = await browser.post("/tickets/bulk", data={**form, "form_key": str(uuid4())})
        answer = await browser.post("/tickets/bulk", data={**form, "form_key": str(uuid4())})
    assert (first.status_code, answer.status_code) == (303, 429)
    assert all(f'value="{action}"' in answer.text for action in chosen)
    assert await tickets(scored) == 2


async def test_people_do_not_use_up_one_anothers_limit(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    at_most(monkeypatch, "write", 1)
    async with await system.signed_in("viewer") as one, await system.signed_in("manager") as other:
        assert (await one.post("/home-cards/reset")).status_code == 303
        refused = await one.post("/home-cards/reset")
        assert (await other.post("/home-cards/reset")).status_code == 303
        assert (await one.get("/")).status_code == 200
    assert refused.status_code == 429
    assert "Too many at once" in said(refused)
