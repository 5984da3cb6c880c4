"""Every route refuses who may not use it: visitors without a session, people without a role, viewers who write, other sites."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.main import PAGES
from app.web.kept_pages import KeptPages
from app.web.pages.moved import MOVED
from app.web.rate_limits import LimitedWrites
from tests.conventions.files import ROOT, named
from tests.factories.system import PUBLIC_URL, System

# Whom these are for is not a matter of roles; each says why.
PUBLIC = {
    "GET /from-another-address": "browsers that opened us under another host name; a redirect that shows nothing",
    "GET /health/live": "load balancers",
    "GET /health/ready": "load balancers",
    "GET /metrics": "Prometheus; the token of METRICS_TOKEN is what counts, and without one there is nothing",
    "GET /sign-in": "the way in",
    "POST /sign-in": "the way in",
    "GET /sign-in/callback": "Entra ID sends the browser here; the one-use state is what counts",
    "GET /signed-out": "the way out",
    "GET /sign-out/front-channel": "Entra ID calls it from a hidden frame, without cookies; the session's name is what counts",
    "GET /sign-out/elsewhere": "the same; app registrations still name this earlier address",
    "GET /api/connector/status": "programs; a signed token that can be revoked is what counts",
    "POST /sign-out": "ends a session if there is one",
} | {f"{method} {path}": "an earlier address: a redirect that shows nothing" for method, path in MOVED}
# A viewer may do these: they change only what the same person sees.
OWN_PAGE = {f"POST /home-cards/{verb}" for verb in ("add", "move", "order", "remove", "reset")} | {
    "POST /account/sessions/end-all", "POST /account/sessions/{session_id}/end",
}  # fmt: skip
SOME_ID = "0b7c1c8e-0000-4a6e-9c3e-5d1f0a00ffff"


@dataclass(frozen=True)
class Door:
    """One method of one route, with an address that fits it."""

    method: str
    path: str
    address: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.method not in {"GET", "HEAD"}


def _doors() -> list[Door]:
    found = []
    for page in PAGES:
        for route in page.router.routes:
            assert isinstance(route, APIRoute), f"{route} is no plain route: teach this test to walk it"
            address = re.sub(r"\{\w+(:\w+)?\}", SOME_ID, route.path)
            found += [Door(method, route.path, address) for method in sorted((route.methods or set()) - {"HEAD"})]
    return found


DOORS = _doors()
GUARDED = [door for door in DOORS if str(door) not in PUBLIC]
WRITING = [door for door in DOORS if door.writes]


async def _knock(browser: httpx.AsyncClient, door: Door, **headers: str) -> httpx.Response:
    return await browser.request(door.method, door.address, headers=headers, data={} if door.writes else None)


@pytest.fixture
async def anybody(system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with system.client() as browser:
        yield browser


def test_no_route_is_outside_the_pages(system: System) -> None:
    """Every router of the application is one that these tests walk, and the rest is static files and what is kept of pages."""
    others = [route for route in system.app.routes if getattr(route, "original_router", None) is None]
    assert isinstance(others[0], KeptPages)
    assert [getattr(route, "path", "") for route in others[1:]] == ["/static"]
    routers = [getattr(route, "original_router", None) for route in system.app.routes if route not in others]
    assert routers == [page.router for page in PAGES]


def test_public_routes_are_still_there() -> None:
    assert set(PUBLIC) <= {str(door) for door in DOORS}


async def test_no_route_opens_without_signing_in(anybody: httpx.AsyncClient) -> None:
    open_doors = []
    for door in GUARDED:
        answer = await _knock(anybody, door)
        if answer.status_code != 303 or not answer.headers["location"].startswith("/sign-in?"):
            open_doors.append(f"{door}: {answer.status_code}")
    assert not open_doors


async def test_a_fragment_sends_its_whole_page_to_sign_in(anybody: httpx.AsyncClient) -> None:
    open_doors = []
    for door in GUARDED:
        answer = await _knock(anybody, door, **{"HX-Request": "true"})
        if answer.status_code != 401 or not answer.headers["hx-redirect"].startswith("/sign-in?"):
            open_doors.append(f"{door}: {answer.status_code}")
    assert not open_doors


async def test_an_account_without_a_role_is_refused_everywhere(system: System) -> None:
    async with await system.signed_in("outsider") as browser:
        answers = {str(door): (await _knock(browser, door)).status_code for door in GUARDED}
    assert not {door: status for door, status in answers.items() if status != 403}


async def test_a_reader_may_not_write_anything(system: System) -> None:
    """Every route that changes something for others asks for the right to share or to manage."""
    doors = [door for door in GUARDED if door.writes and str(door) not in OWN_PAGE]
    assert len(doors) == len([door for door in GUARDED if door.writes]) - len(OWN_PAGE)
    async with await system.signed_in("viewer") as browser:
        answers = {str(door): (await _knock(browser, door)).status_code for door in doors}
    assert not {door: status for door, status in answers.items() if status != 403}


async def test_an_operator_may_not_manage_the_connection(system: System) -> None:
    async with await system.signed_in("sharer") as browser:
        managing = [door for door in GUARDED if door.writes and door.path.startswith("/servicenow")]
        assert managing
        answers = {str(door): (await _knock(browser, door)).status_code for door in managing}
    assert not {door: status for door, status in answers.items() if status != 403}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="cross-site"),
        pytest.param({"Sec-Fetch-Site": "same-site", "Origin": PUBLIC_URL}, id="sibling-site"),
        pytest.param({"Origin": "https://elsewhere.example"}, id="foreign-origin"),
        pytest.param({"Origin": "null"}, id="no-origin"),
    ],
)
async def test_no_other_site_can_make_a_browser_write(system: System, headers: dict[str, str]) -> None:
    async with await system.signed_in("manager") as browser:
        for door in WRITING:
            answer = await _knock(browser, door, **headers)
            assert answer.status_code == 403, door
            assert "from another site" in answer.text, door


def _calls(dependant: Dependant) -> Iterator[Callable[..., object]]:
    """What FastAPI calls for a route: its handler, and every dependency down to the last."""
    if dependant.call is not None:
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)


def runs_in_a_thread(call: object) -> bool:
    """Whether FastAPI runs it in a thread, which costs half a millisecond and takes turns with 39 others at most.

    https://fastapi.tiangolo.com/async/#path-operation-functions
    """
    called = call if inspect.isroutine(call) else getattr(call, "__call__", call)  # noqa: B004 - a Depends may be an object.
    return not (inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called))


def test_no_handler_and_no_dependency_runs_in_a_thread() -> None:
    routes = {route.name: route for page in PAGES for route in page.router.routes if isinstance(route, APIRoute)}
    assert len(routes) > 80
    threads = {
        f"{name}: {getattr(call, '__qualname__', call)}"
        for name, route in routes.items()
        for call in (*_calls(route.dependant), LimitedWrites())
        if runs_in_a_thread(call)
    }
    assert not threads


def test_the_check_of_threads_sees_plain_functions_and_objects() -> None:
    class Plain:
        def __call__(self) -> None:
            """Nothing."""

    async def generator() -> AsyncIterator[None]:
        yield

    assert [runs_in_a_thread(call) for call in (named, Plain(), generator, LimitedWrites())] == [
        True,
        True,
        False,
        False,
    ]


def test_redirects_are_made_in_one_place_which_leads_nowhere_else() -> None:
    """Chromium blocks a form's redirect to another origin silently; `redirect_to_path` refuses to make one."""
    made = re.compile(r"\bRedirectResponse\(|\.headers\[[\"']location|[\"']location[\"']\s*:", re.IGNORECASE)
    files = [file for file in sorted((ROOT / "app").rglob("*.py")) if made.search(file.read_text(encoding="utf-8"))]
    assert [file.relative_to(ROOT).as_posix() for file in files] == ["app/web/host_names.py", "app/web/routing.py"]
    # The former leads a page that was opened under another name to PUBLIC_URL: no form stands on such a page.
    assert [len(made.findall(file.read_text(encoding="utf-8"))) for file in files] == [1, 1]


def test_no_template_has_a_form_for_another_site() -> None:
    """Every form names one of our routes, or the page it stands on."""
    forms = re.compile(r"<form\b[^>]*>|\bformaction=\"[^\"]*\"")
    foreign = []
    for file in (ROOT / "templates").rglob("*.html"):
        for form in forms.findall(file.read_text(encoding="utf-8")):
            target = re.search(r"action=\"([^\"]*)\"", form)
            if target and not re.match(r"\{\{ (url_for\(|frame\.path\b|page\.address\b)", target[1]):
                foreign.append(f"{file.name}: {form}")
    assert not foreign


async def test_every_answer_carries_the_security_headers(system: System) -> None:
    async with await system.signed_in("manager") as browser:
        for door in DOORS:
            if door.writes:
                continue
            answer = await _knock(browser, door)
            # The tests' tables were laid without migrations, and /health/ready says so.
            assert answer.status_code < 500 or door.path == "/health/ready", f"{door}: {answer.text[:500]}"
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy, door
            assert "unsafe" not in policy, door
            assert "form-action 'self'" in policy.split("; "), door
            assert answer.headers["x-content-type-options"] == "nosniff", door
            assert answer.headers["x-correlation-id"], door
