"""CSRF refusal and security headers, on an application that has nothing else."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from app.web.middleware import SecurityMiddleware

ORIGIN = "https://security-center.test"


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """The application: says that it was reached."""
    headers = {"Cache-Control": "private", "Referrer-Policy": "unsafe-url"} if scope["path"] == "/kept" else {}
    await PlainTextResponse("reached", headers=headers)(scope, receive, send)


async def refuse(scope: Scope, receive: Receive, send: Send, status: int) -> None:
    await Response(status_code=status)(scope, receive, send)


async def ask(method: str = "GET", path: str = "/", public_url: str = ORIGIN, **headers: str) -> httpx.Response:
    app = SecurityMiddleware(answer, public_url=f"{public_url}/", refuse=refuse)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=public_url) as browser:
        return await browser.request(method, path, headers=named)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site", "origin": ORIGIN}, 403),
        ({"sec_fetch_site": "invented"}, 403),
        ({"origin": ORIGIN}, 200),
        ({"origin": "http://security-center.test"}, 403),
        ({"origin": f"{ORIGIN}:8443"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({}, 200),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_csrf_a_write_is_taken_from_our_own_pages_and_from_programs(
    method: str, headers: dict[str, str], status: int
) -> None:
    assert (await ask(method, **headers)).status_code == status


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_read_may_come_from_anywhere(method: str) -> None:
    assert (await ask(method, sec_fetch_site="cross-site", origin="https://evil.example")).status_code == 200


@pytest.mark.parametrize("path", ["/", "/kept"])
async def test_every_response_carries_the_headers_and_a_refusal_too(path: str) -> None:
    for response in (await ask(path=path), await ask("POST", path, sec_fetch_site="cross-site")):
        policy = response.headers["content-security-policy"]
        for part in ("default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"):
            assert part in policy.split("; ")
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "same-origin"
        assert response.headers["cross-origin-opener-policy"] == "same-origin"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
        # Without includeSubDomains: hosts below ours are not ours.
        assert response.headers["strict-transport-security"] == "max-age=31536000"
        reached = response.status_code == 200
        assert response.headers["cache-control"] == ("private" if reached and path == "/kept" else "no-store")


async def test_hsts_is_sent_over_https_only() -> None:
    assert "strict-transport-security" not in (await ask(public_url="http://127.0.0.1:8000")).headers


@pytest.mark.parametrize("path", ["/", "/kept"])
async def test_each_header_is_sent_once_and_no_page_can_weaken_one(path: str) -> None:
    names = [name.lower() for name, _ in (await ask(path=path)).headers.multi_items()]
    assert len(names) == len(set(names))


async def test_only_files_of_ours_may_run() -> None:
    policy = (await ask()).headers["content-security-policy"].split("; ")
    assert {"script-src 'self'", "style-src 'self'", "base-uri 'none'"} <= set(policy)


async def test_each_response_has_a_correlation_id_of_its_own() -> None:
    first, second = await ask(), await ask()
    assert len(first.headers["x-correlation-id"]) == 16
    assert first.headers["x-correlation-id"] != second.headers["x-correlation-id"]


async def test_an_address_longer_than_any_of_ours_is_refused() -> None:
    assert (await ask(path="/?q=" + "x" * 7_000)).status_code == 200
    assert (await ask(path="/?q=" + "x" * 8_000)).status_code == 414
    assert (await ask("POST", path="/" + "x" * 8_000)).status_code == 414


async def test_more_headers_than_a_browser_sends_are_refused() -> None:
    assert (await ask(cookie="x" * 30_000)).status_code == 200
    assert (await ask(cookie="x" * 33_000)).status_code == 431
    assert (await ask(**{f"x_{number}": "" for number in range(9_000)})).status_code == 431


@pytest.mark.parametrize("origin", ["http://[", "https://[::1", "//", "http://" + "x" * 2000])
async def test_an_origin_that_is_no_address_is_another_site(origin: str) -> None:
    assert (await ask("POST", origin=origin)).status_code == 403


@pytest.mark.parametrize("length", ["\u00b2", "9" * 5000, "-1", "1e3", ""])
async def test_a_length_that_is_no_number_is_too_much(length: str) -> None:
    async def receive() -> Any:
        raise AssertionError("nothing is read")

    answered: list[Any] = []

    async def send(message: Any) -> None:
        answered.append(message)

    headers = [(b"content-length", length.encode("latin-1"))]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    await SecurityMiddleware(answer, public_url=ORIGIN, refuse=refuse)(scope, receive, send)
    assert answered[0]["status"] == 413


async def test_what_is_no_query_reaches_pages_as_one() -> None:
    seen: list[bytes] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["query_string"])
        await PlainTextResponse("seen")(scope, receive, send)

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"q=\x80 \xc3\xa9%20", "headers": []}

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    async def send(_message: Any) -> None:
        return None

    await SecurityMiddleware(look, public_url=ORIGIN, refuse=refuse)(scope, receive, send)
    assert seen == [b"q=%80%20%C3%A9%20"]
