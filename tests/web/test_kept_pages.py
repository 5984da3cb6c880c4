"""What is answered before FastAPI's own routes is what they would have answered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
import pytest
from starlette.routing import Match

from app.core.database_connection import ConnectionOptions
from app.web.kept_pages import KeptPages
from tests.factories.connecting import a_worker
from tests.factories.outages import through, with_database_at
from tests.factories.servers import free_port
from tests.factories.statements import counted
from tests.factories.system import ROLES, System
from tests.factories.tickets import shared_ticket

ADDRESSES = (
    "/", "/?x=1", "/cards/incident", "/cards/change", "/cards/score", "/cards/imports", "/cards/none", "/cards/", "/cards",
    "/cards/incident/more", "/cards/incident/",
)  # fmt: skip
# What differs from answer to answer: the server's time, and the request's id.
OWN = re.compile(r'data-now="\d+"|\b[0-9a-f]{16}\b')


@contextmanager
def without_the_first_route() -> Iterator[None]:
    """Everything is answered by FastAPI's routes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptPages, "matches", lambda _self, _scope: (Match.NONE, {}))
        yield


def told(answers: Sequence[httpx.Response]) -> list[str]:
    return [OWN.sub("", f"{one.status_code} {sorted(one.headers.items())} {one.text}") for one in answers]


async def ask_all(browser: httpx.AsyncClient, address: str) -> list[httpx.Response]:
    first = await browser.get(address)
    headers = (
        {"if-none-match": first.headers.get("etag", '"x"')},
        {"if-none-match": "*"},
        {"if-none-match": '"x"'},
        {"hx-request": "true"},
    )
    return [first, *[await browser.get(address, headers=one) for one in headers], await browser.head(address)]


@pytest.fixture
async def filled(scored: System) -> System:
    await scored.connect()
    await a_worker(scored)
    await shared_ticket(scored)
    return scored


@pytest.mark.parametrize("role", [*ROLES, "signed out"])
async def test_the_first_route_answers_as_the_routes_behind_it(filled: System, role: str) -> None:
    async with filled.client() if role == "signed out" else await filled.signed_in(role) as browser:
        for address in ADDRESSES:
            await browser.get(address)
            kept = await ask_all(browser, address)
            with without_the_first_route():
                usual = await ask_all(browser, address)
            assert told(kept) == told(usual), address


async def test_an_address_that_no_route_has_is_unknown_although_the_database_is_away(system: System) -> None:
    async with (
        await system.signed_in("viewer") as browser,
        with_database_at(system, through("postgresql://x/y", free_port()), ConnectionOptions()),
    ):
        answers = {address: (await browser.get(address)).status_code for address in ADDRESSES}
    unknown = {address for address, status in answers.items() if status == 404}
    assert unknown == {"/cards", "/cards/", "/cards/incident/more"}
    assert {status for address, status in answers.items() if address not in unknown} == {307, 503}


async def test_it_is_the_first_route_that_answers_what_is_kept(filled: System, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[str] = []
    default = filled.app.router.routes[1].matches

    def noted(scope: dict[str, str]) -> object:
        passed.append(scope["path"])
        return default(scope)

    monkeypatch.setattr(filled.app.router.routes[1], "matches", noted)
    async with await filled.signed_in("viewer") as browser:
        for address in ("/", "/cards/incident", "/cards/change"):
            await browser.get(address)
            passed.clear()
            with counted(filled.resources.database) as seen:
                assert (await browser.get(address)).status_code == 200
            assert (passed, len(seen)) == ([], 1)
        assert (await browser.get("/cards/none")).status_code == 404
        assert passed == ["/cards/none"]
        assert (await browser.post("/sign-out")).status_code == 200
        passed.clear()
        assert (await browser.get("/")).status_code == 303
        assert passed == ["/"]


async def test_what_it_passes_on_has_asked_the_database_once(filled: System) -> None:
    async with await filled.signed_in("viewer") as browser:
        with counted(filled.resources.database) as seen:
            assert (await browser.get("/cards/none")).status_code == 404
        assert len(seen) == 1
