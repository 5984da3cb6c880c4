"""Each request has one line, with its route, its outcome, who asked and its id; and no value of its address."""

from __future__ import annotations

import re

import pytest

from app.web.pages import sign_in
from tests.factories.logged import logged_lines, of_event
from tests.factories.system import System


async def test_a_page_has_one_line_that_its_answers_id_finds(system: System) -> None:
    browser = await system.signed_in("viewer")
    with logged_lines() as lines:
        answer = await browser.get("/tickets?q=secret-words")
    [line] = of_event(lines, "request.done")
    assert line["correlation_id"] == answer.headers["x-correlation-id"]
    assert (line["method"], line["route"], line["status"], line["log_level"]) == ("GET", "tickets.list", 200, "info")
    assert line["bytes"] == len(answer.content)
    assert isinstance(line["ms"], int)
    assert re.fullmatch(r"[0-9a-f-]{36}", line["person"])
    assert "secret-words" not in str(line)


async def test_an_id_in_the_address_is_not_in_the_route(system: System) -> None:
    browser = await system.signed_in("viewer")
    with logged_lines() as lines:
        await browser.get("/tickets/5c2ff4c6-2d1d-4b2a-9c68-6f3b0a6ad9a1")
    [line] = of_event(lines, "request.done")
    assert (line["status"], line["route"]) == (404, "tickets.detail")
    assert "5c2ff4c6" not in str(line)


async def test_what_no_route_has_is_named_by_its_path_and_cut(system: System) -> None:
    with logged_lines() as lines:
        await system.client().get("/wp-admin/" + "x" * 5000)
    [line] = of_event(lines, "request.done")
    assert (line["status"], line["route"], len(line["path"])) == (404, "none", 200)
    assert "person" not in line


@pytest.mark.parametrize(
    ("headers", "status"), [({"sec-fetch-site": "cross-site"}, 403), ({"content-length": "999999999"}, 413)]
)
async def test_what_the_security_middleware_refuses_has_a_line_as_well(
    system: System, headers: dict[str, str], status: int
) -> None:
    with logged_lines() as lines:
        answer = await system.client().post("/sign-out", headers=headers, content=b"")
    [line] = of_event(lines, "request.done")
    assert (answer.status_code, line["status"], line["correlation_id"]) == (
        status,
        status,
        answer.headers["x-correlation-id"],
    )


@pytest.mark.parametrize("path", ["/health/live", "/static/css/base.css"])
async def test_probes_and_files_are_quiet_while_all_is_well(system: System, path: str) -> None:
    with logged_lines() as lines:
        found = (await system.client().get(path)).status_code
        await system.client().get("/static/missing.css")
    quiet, missing = of_event(lines, "request.done")
    assert (found, quiet["log_level"]) == (200, "debug")
    assert (missing["status"], missing["log_level"]) == (404, "info")


@pytest.mark.parametrize("fragment", [False, True])
async def test_a_page_for_a_mistake_of_ours_shows_the_id_that_its_log_lines_have(
    system: System, monkeypatch: pytest.MonkeyPatch, *, fragment: bool
) -> None:
    def fail(*_arguments: object) -> None:
        raise LookupError("a mistake of ours")

    monkeypatch.setattr(sign_in, "render", fail)
    with logged_lines() as lines:
        answer = await system.client().get("/signed-out", headers={"hx-request": "true"} if fragment else {})
    assert answer.status_code == 500
    number = answer.headers["x-correlation-id"]
    assert number in answer.text
    assert "a mistake of ours" not in answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    [failed] = of_event(lines, "http.request.failed")
    [line] = of_event(lines, "request.done")
    assert (failed["correlation_id"], line["correlation_id"], line["status"]) == (number, number, 500)
