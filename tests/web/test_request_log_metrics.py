"""Requests are counted by the name of their route, whatever becomes of them."""

from __future__ import annotations

import httpx
import pytest

from tests.core.test_metrics import value
from tests.factories.system import System


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        pytest.param("GET", "/health/live", "health.live", "200", id="page"),
        pytest.param("GET", "/tickets/7?q=secret", "tickets.detail", "303", id="signed out"),
        pytest.param("GET", "/no/such/page", "none", "404", id="no route"),
        pytest.param("GET", "/static/css/none.css", "static", "404", id="static file"),
        pytest.param("BREW", "/health/live", "health.live", "405", id="made-up method"),
    ],
)
async def test_a_request_is_counted_once(system: System, method: str, path: str, route: str, status: str) -> None:
    labels = {"route": route, "method": method if method == "GET" else "other", "status": status}
    before = value("requests_total", **labels)
    async with system.client() as browser:
        await browser.request(method, path)
    assert value("requests_total", **labels) == before + 1


async def test_what_the_outer_layers_refuse_is_counted(system: System) -> None:
    labels = {"route": "none", "method": "POST", "status": "403"}
    before = value("requests_total", **labels)
    async with system.client() as browser:
        answer: httpx.Response = await browser.post("/sign-out", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert value("requests_total", **labels) == before + 1
