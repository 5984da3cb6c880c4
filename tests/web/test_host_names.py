"""A page opened under another host name is found again at PUBLIC_URL, also behind proxies that change the name."""

from __future__ import annotations

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

import app.main  # noqa: F401 - names the routes.
from app.web.host_names import PROXIED_COOKIE, PublicHostMiddleware, comes_under_another_name, host_name

PUBLIC_URL = "https://security-center.example"
HTML = "text/html,application/xhtml+xml"
AWAY = f"{PUBLIC_URL}/from-another-address?to="


async def ask(
    path: str = "/tickets", *, host: str = "192.0.2.7:8000", method: str = "GET", **more: str
) -> httpx.Response:
    app = PublicHostMiddleware(PlainTextResponse("reached"), public_url=PUBLIC_URL)
    headers = {"Host": host, "Accept": HTML} | {name.replace("_", "-"): value for name, value in more.items()}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://any") as browser:
        return await browser.request(method, path, headers=headers)


@pytest.mark.parametrize(
    "host", ["localhost:8000", "192.0.2.7", "[::1]:8000", "old-name.example", "xn--bcher-kva.example"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_page_asked_for_under_another_name_is_led_to_the_public_one(host: str, method: str) -> None:
    answer = await ask("/tickets?kind=incident&q=a%20b", host=host, method=method)
    assert answer.status_code == 302  # Not remembered: PUBLIC_URL may have been the wrong one of the two.
    assert answer.headers["location"] == f"{AWAY}%2Ftickets%3Fkind%3Dincident%26q%3Da%2520b"


@pytest.mark.parametrize(
    "host",
    [
        "security-center.example",
        "SECURITY-CENTER.example.",
        "security-center.example:443",
        "security-center.example:8000",
    ],
)
async def test_the_public_name_counts_in_any_case_and_with_any_port(host: str) -> None:
    assert (await ask(host=host)).text == "reached"


@pytest.mark.parametrize(
    "more",
    [
        {"X_Forwarded_Host": "security-center.example"},
        {"X_Forwarded_Host": "security-center.example, inner.example"},
        {"Forwarded": 'for=10.0.0.1;host="security-center.example";proto=https'},
        {"Cookie": f"broken=\\; __Host-{PROXIED_COOKIE}=1"},
    ],
    ids=str,
)
async def test_behind_a_proxy_that_changes_the_name_no_one_is_led_round(more: dict[str, str]) -> None:
    assert (await ask(host="app:8000", **more)).text == "reached"


@pytest.mark.parametrize(
    "path", ["/health/live", "/health/ready", "/sign-out/front-channel", "/sign-out/elsewhere", "/from-another-address"]
)
async def test_probes_and_programs_are_answered_under_every_name(path: str) -> None:
    assert (await ask(path)).text == "reached"


@pytest.mark.parametrize("more", [{"Accept": "*/*"}, {"Hx_Request": "true"}, {"method": "POST"}], ids=str)
async def test_only_pages_that_a_person_opens_are_led_away(more: dict[str, str]) -> None:
    assert (await ask(**more)).text == "reached"


def test_names_that_are_none_lead_nowhere() -> None:
    assert [host_name(each) for each in ("", "[broken", "a" * 70 + "é.example", " x.example ")] == [
        "",
        "",
        "",
        "x.example",
    ]
    assert not comes_under_another_name(Headers({}), "security-center.example")
    assert host_name("bücher.example") == "xn--bcher-kva.example"
