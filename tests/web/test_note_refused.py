"""Each refusal leaves a log line with what, where, from where and why, and an audit entry if the person is known."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, text
from starlette.requests import Request

from app.core.clock import SetClock
from app.features.accounts.permissions import Viewer
from app.integrations.microsoft.openid_checks import not_accepted
from app.web.note_refused import LONGEST_FACT, note_refused
from tests.factories.audit import entries
from tests.factories.connecting import begin
from tests.factories.logged import Line, logged_lines
from tests.factories.microsoft import SHARER
from tests.factories.signing_in import answer_of_entra, sign_in
from tests.factories.system import System


def refusals(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["event"].startswith("refused.")]


async def refused_facts(system: System) -> list[tuple[str, dict[str, Any]]]:
    rows = await entries(system.resources.database)
    return [(row.person_name, row.facts) for row in rows if row.action["message"] == "Refused"]


@pytest.mark.parametrize(
    ("role", "method", "address", "event", "cause", "route"),
    [
        ("viewer", "POST", "/servicenow/remove", "refused.role", "role.manager_needed", "servicenow.remove"),
        ("viewer", "GET", "/servicenow/audit", "refused.role", "role.manager_needed", "audit.page"),
        ("viewer", "GET", "/tickets/new", "refused.role", "role.sharer_needed", "share.form"),
        ("outsider", "GET", "/", "refused.no_role", "role.none", "home.page"),
    ],
)
async def test_a_missing_role_is_logged_and_audited(
    system: System, role: str, method: str, address: str, event: str, cause: str, route: str
) -> None:
    browser = await system.signed_in(role)
    with logged_lines() as lines:
        answer = await browser.request(method, address)
    assert answer.status_code == 403
    [line] = refusals(lines)
    assert (line["event"], line["cause"], line["method"], line["route"]) == (event, cause, method, route)
    assert (line["address"], line["correlation_id"]) == ("127.0.0.1", answer.headers["x-correlation-id"])
    assert line["person"]
    [(name, facts)] = await refused_facts(system)
    assert name
    assert facts == {"what": event.removeprefix("refused."), "cause": cause, "route": route, "method": method}


@pytest.mark.parametrize("signed_in", [False, True])
async def test_a_write_from_another_site_is_logged_with_its_origin(system: System, *, signed_in: bool) -> None:
    browser = await system.signed_in("manager") if signed_in else system.client()
    with logged_lines() as lines:
        headers = {"sec-fetch-site": "same-site", "origin": "https://evil.example"}
        assert (await browser.post("/servicenow/remove", headers=headers)).status_code == 403
    [line] = refusals(lines)
    assert (line["event"], line["path"], line["origin"]) == (
        "refused.cross_site",
        "/servicenow/remove",
        "https://evil.example",
    )
    assert ("person" in line, len(await refused_facts(system))) == (signed_in, int(signed_in))


async def test_another_address_and_too_large_a_body_are_logged(system: System) -> None:
    with logged_lines() as lines:
        headers = {"sec-fetch-site": "same-origin", "origin": "http://10.0.0.7"}
        assert (await system.client().post("/sign-out", headers=headers)).status_code == 400
        large = {"content-length": "99999999"}
        assert (await system.client().post("/sign-out", headers=large, content=b"")).status_code == 413
    assert [(line["event"], line["path"]) for line in refusals(lines)] == [
        ("refused.other_address", "/sign-out"),
        ("refused.too_large", "/sign-out"),
    ]


@pytest.mark.parametrize(
    ("header", "cause"), [({}, "none sent"), ({"authorization": "Bearer scs1.made.up"}, "not valid")]
)
async def test_a_wrong_status_token_is_logged_without_the_token(
    system: System, header: dict[str, str], cause: str
) -> None:
    with logged_lines() as lines:
        assert (await system.client().get("/api/connector/status", headers=header)).status_code == 401
    [line] = refusals(lines)
    assert (line["event"], line["cause"], line["route"]) == ("refused.status_token", cause, "connector_status.read")
    assert "made.up" not in str(lines)


async def test_a_callback_of_no_attempt_is_logged_with_its_cause(system: System) -> None:
    with logged_lines() as lines:
        assert (await system.client().get("/sign-in/callback?code=x&state=y")).status_code == 400
    [line] = refusals(lines)
    assert (line["event"], line["cause"]) == ("refused.sign_in", "SignInOver: sign_in.of_another_browser")


async def test_a_callback_used_twice_and_one_that_was_denied_have_their_causes(system: System) -> None:
    async with system.client() as browser:
        address = await answer_of_entra(browser, SHARER)
        await browser.get(address)
        with logged_lines() as lines:
            await browser.get(address)
            await system.client().get("/sign-in/callback?error=access_denied&state=y")
    used, denied = refusals(lines)
    assert used["cause"] == "SignInUsed: sign_in.used"
    assert (denied["cause"].split(":")[0], denied["error"]) == ("SignInRefused", "access_denied")


async def test_the_check_of_the_id_token_that_failed_is_named(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    async def redeem(*_: object, **__: object) -> None:
        raise not_accepted("nonce")

    monkeypatch.setattr("app.integrations.microsoft.entra.EntraClient.redeem", redeem)
    async with system.client() as browser:
        with logged_lines() as lines:
            answer = await sign_in(browser, SHARER)
    assert (answer.status_code, "nonce" in answer.text) == (409, False)
    [line] = refusals(lines)
    assert (line["event"], line["cause"]) == ("refused.sign_in", "Unauthorized: nonce")


async def test_a_refused_instance_address_and_callback_are_logged_and_audited(system: System) -> None:
    manager = await system.signed_in("manager")
    with logged_lines() as lines:
        await begin(system, manager, instance="https://127.0.0.1:1")
        await manager.get("/servicenow/callback?code=x&state=y")
    by_event = {line["event"]: line for line in refusals(lines)}
    assert by_event["refused.address"]["typed"] == "https://127.0.0.1:1"
    assert by_event["refused.servicenow_callback"]["cause"].startswith("AuthorizationOver")
    assert [facts["what"] for _, facts in await refused_facts(system)] == ["address", "servicenow_callback"]


async def test_a_sign_out_at_microsoft_is_audited(system: System) -> None:
    await system.signed_in("sharer")
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE web_session SET sid = 'session-1'"))
    with logged_lines() as lines:
        for query in ({"sid": "another"}, {"sid": "session-1", "iss": "https://evil.example"}, {"sid": "session-1"}):
            await system.client().get("/sign-out/front-channel", params=query)
    [entry] = await entries(system.resources.database)
    assert (entry.action["message"], entry.person_name, entry.address) == (
        "Signed out at Microsoft",
        SHARER.name,
        "127.0.0.1",
    )
    assert [line["event"] for line in refusals(lines)] == ["refused.front_channel"]


@pytest.mark.parametrize("sid", ["%00", "%ED%A0%80", "x" * 3000, "unknown"])
async def test_a_sign_out_of_no_session_is_answered_alike_and_writes_nothing(system: System, sid: str) -> None:
    statements: list[str] = []
    engine = system.resources.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    async with system.client() as client:
        assert (await client.get(f"/sign-out/front-channel?sid={sid}")).status_code == 200
    assert all(statement.startswith("SELECT") for statement in statements)


async def test_what_is_refused_does_not_put_off_the_end_of_a_session(system: System, still_clock: SetClock) -> None:
    async with await system.signed_in("viewer") as browser:
        for _ in range(2):
            still_clock.move(35 * 60)
            await browser.post("/sign-out", headers={"sec-fetch-site": "same-site"})
        assert (await browser.get("/tickets")).status_code == 303


async def test_what_is_logged_of_a_request_is_cut(system: System) -> None:
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": "/" + "p" * 900, "headers": [], "query_string": b"",
        "client": ("192.0.2.1", 1), "app": system.app, "state": {"viewer": None},
    }  # fmt: skip
    with logged_lines() as lines:
        await note_refused(Request(scope), "rate_limit", "c" * 900, origin="o" * 900)
    [line] = refusals(lines)
    assert {len(line[name]) for name in ("cause", "path", "origin")} == {LONGEST_FACT}
    assert line["address"] == "192.0.2.1"


def test_a_viewer_is_an_actor_of_the_audit_log() -> None:
    assert {"person_id", "display_name", "email", "address"} <= set(Viewer.__dataclass_fields__)
