"""The walk: each row of the diagnosis is produced by a switch and found by its name."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from app.core import clock
from app.core.clock import SetClock
from app.core.vault import Vault
from app.features.connection.key_rotation import forget_what_no_key_opens
from app.features.connection.models import Connection
from app.features.provisioning.diagnosis import run_diagnosis
from app.features.provisioning.finding import Finding, State
from app.integrations.http.ssrf import AddressPolicy
from app.integrations.http.transport import Transport
from tests.factories.connecting import (
    a_worker,
    begin,
    connect_by_pages,
    decide,
    expire,
    remove,
    requests,
    said,
    trouble,
)
from tests.factories.system import System


async def walked(system: System) -> dict[str, Finding]:
    return {finding.key: finding async for finding in run_diagnosis(system.resources)}


def elsewhere(system: System, guard: AddressPolicy | None = None, **options: Any) -> None:
    """The same system, looking for ServiceNow over another network."""
    system.resources = replace(system.resources, servicenow=Transport("servicenow", guard=guard, **options))
    system.app.state.resources = system.resources


async def move(system: System, **values: Any) -> None:
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(**values))


async def test_a_healthy_connection_has_no_problem(system: System) -> None:
    await system.connect()
    await a_worker(system)
    found = await walked(system)
    problems = {key for key, finding in found.items() if finding.is_problem}
    assert problems == set()
    assert {"reachable", "consent_page", "token", "consent", "release", "client", "user", "table_change",
            "table_incident", "choices", "query_acl", "correlation", "clock", "queue"} <= set(found)  # fmt: skip


@pytest.mark.parametrize(
    ("switches", "key", "words"),
    [
        ({"ip_blocked": True}, "ip_filter", "IP Address Access Control"),
        ({"api_asleep": True}, "asleep", "Wake it up"),
        ({"api_sso": "page"}, "sso_before_api", "exempt"),
        ({"api_sso": "redirect"}, "sso_before_api", "exempt"),
        ({"sso": True}, "sso", "/side_door.do"),
        ({"redirect_mismatch": True}, "redirect_mismatch", "http://security-center.test/servicenow/callback"),
        ({"client_inactive": True}, "client_unknown", "Active is ticked"),
        ({"acl_refuses": "incident.read"}, "role_missing.incident.read", "sees none of them"),
        ({"acl_refuses": "change_request.write"}, "role_missing.change_request.write", "sn_change_write"),
        ({"rate_limit_per_hour": 1}, "rate_limit", "sys_rate_limit_rules"),
        ({"range_refused": True}, "query_acl", "range operators"),
        ({"clock_off_seconds": -900}, "clock", "time service"),
        ({"cross_scope_refusal": True}, "client_cross_scope", "All application scopes"),
    ],
)
async def test_each_row_is_found_by_name(system: System, switches: dict[str, Any], key: str, words: str) -> None:
    await system.connect()
    system.servicenow.instance.switches.change(switches)
    found = await walked(system)
    assert key in found, list(found)
    finding = found[key]
    assert words in f"{finding.advice} {finding.screen} {finding.message}"


async def test_the_choices_row(system: System) -> None:
    await system.connect("fred.luddy")
    assert "personalize_choices" in str((await walked(system))["choices_not_readable"].message)


USUAL = "ServiceNow names no cause"


@pytest.mark.parametrize(
    ("switches", "words", "advice", "answer"),
    [
        ({"wrong_secret": True}, "It says the same for every cause", USUAL, "access_denied"),
        ({"wrong_secret": True, "rfc_token_errors": True}, "the client secret is wrong", "Copy the client ID", "invalid_client"),
        ({"grants_off": "refresh_token", "rfc_token_errors": True}, "switched off the kind of grant", "to be allowed", "un"),
        ({"refresh_tokens_expired": True, "rfc_token_errors": True}, "this consent is over", "consent as", "invalid_grant"),
        ({"user_read_only": True}, "It says the same for every cause", USUAL, "access_denied"),
    ],
)  # fmt: skip
async def test_refused_tokens_are_told_apart_as_far_as_servicenow_allows(
    system: System, switches: dict[str, Any], words: str, advice: str, answer: str
) -> None:
    await system.connect()
    await expire(system)
    system.servicenow.instance.switches.change(switches)
    finding = (await walked(system))["consent_refused"]
    assert words in str(finding.meaning)
    assert advice in str(finding.advice)
    assert (USUAL in str(finding.advice)) == (advice == USUAL)
    assert f" gets {answer}" in str(finding.message)
    assert "System OAuth > Manage Tokens" in str(finding.message)


async def test_an_account_that_waits_for_confirmation_is_no_refused_consent(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, user="fred.luddy", expected_user_name="m365.integration")
    found = await walked(system)
    assert "consent_refused" not in found
    assert found["user_unconfirmed"].is_problem
    assert "Fred Luddy (fred.luddy) and not as the integration user" in str(found["user_unconfirmed"].meaning)
    assert "confirm that this account is the right one" in str(found["user_unconfirmed"].advice)


async def test_a_fresh_token_that_the_api_refuses_is_not_blamed_on_the_token_service(system: System) -> None:
    await system.connect()
    trouble(system, "signed_out", path="/api/now/v2/table/sys_user", times=5, method="GET")
    for _ in range(2):  # Also the next time, when the connection waits for a person.
        found = await walked(system)
        assert "consent_refused" not in found
        assert "REST API access policy" in str(found["token_refused"].message)
        assert "gets access tokens from /oauth_token.do" in str(found["token_refused"].message)


async def test_lost_keys_of_ours_are_not_blamed_on_servicenow(system: System) -> None:
    await system.connect()
    system.resources = replace(system.resources, vault=Vault([Vault.new_key()]))
    assert await forget_what_no_key_opens(system.resources)
    found = await walked(system)
    assert "consent_refused" not in found
    assert "The key that sealed the tokens is lost" in str(found["vault_keys"].meaning)
    assert found["vault_keys"].message is None


async def test_an_expired_consent_is_known_by_its_day(system: System) -> None:
    await system.connect()
    await expire(system)
    await move(system, refresh_expires_at=clock.now() - timedelta(days=1))
    system.servicenow.instance.switches.refresh_tokens_expired = True
    found = await walked(system)
    assert "has expired" in str(found["consent_expired"].meaning)
    await move(system, refresh_expires_at=clock.now() + timedelta(days=5), status="connected", attention=None)
    assert "consent_ends_soon" in await walked(system)


async def test_dns_is_told_from_tls_from_a_closed_port(system: System) -> None:
    await system.connect()

    async def unknown(_host: str, _port: int) -> list[str]:
        raise OSError

    async def inside(_host: str, _port: int) -> list[str]:
        return ["10.0.0.7"]

    host = re.sub(r"^http:", "https:", system.servicenow.url)
    for origin, guard, key in (
        ("https://contosso.service-now.com", AddressPolicy(resolve=unknown), "dns"),
        ("https://contoso.service-now.com", AddressPolicy(resolve=inside), "private_address"),
        (host, AddressPolicy((host,)), "tls"),
        ("http://127.0.0.1:1", AddressPolicy(("http://127.0.0.1:1",)), "unreachable"),
    ):
        await move(system, origin=origin)
        elsewhere(system, guard)
        found = await walked(system)
        assert key in found, (origin, list(found))
        assert "token" not in found  # What comes after is not tried.
        await system.resources.servicenow.close()


async def test_a_proxy_that_refuses_is_told_from_the_instance(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await system.connect()
    await move(system, origin="https://contoso.service-now.com")
    monkeypatch.setenv("HTTPS_PROXY", system.servicenow.url)  # A web server, but no proxy: it refuses CONNECT.
    elsewhere(system, AddressPolicy())
    finding = (await walked(system))["proxy"]
    assert "Ask whoever runs the proxy" in str(finding.advice)
    await system.resources.servicenow.close()


async def test_our_address_is_read_from_a_refusal_that_names_it(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.ip_blocked = True
    finding = (await walked(system))["ip_filter"]
    assert re.search(r"\d+\.\d+\.\d+\.\d+", f"{finding.meaning}")
    assert re.search(r"allow the address \d+\.\d+", f"{finding.message}")


async def test_a_semaphore_is_told_from_a_rate_limit(system: System) -> None:
    await system.connect()
    trouble(system, "semaphore_full", path="/api/now")
    finding = (await walked(system))["rate_limit"]
    assert "all of its workers for integrations are taken" in str(finding.meaning)


async def test_a_queue_without_a_worker_and_a_stuck_one(system: System) -> None:
    manager = await system.signed_in("manager")
    await system.connect()
    await manager.post("/ticketProvisioning/check")
    assert "python -m app worker" in str((await walked(system))["no_worker"].advice)
    await a_worker(system)
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE procrastinate_events SET at = now() - interval '1 hour'"))
    assert "has been due for 60 minutes" in str((await walked(system))["queue_stuck"].meaning)


async def test_before_anything_is_connected_the_last_authorization_is_looked_at(system: System) -> None:
    found = await walked(system)
    assert found["not_connected"].is_problem

    manager = await system.signed_in("manager")
    system.servicenow.instance.switches.redirect_mismatch = True
    await begin(system, manager)
    found = await walked(system)
    assert {"reachable", "authorization_unfinished", "redirect_mismatch"} <= set(found)

    system.servicenow.instance.switches.redirect_mismatch = False
    await connect_by_pages(system, manager, client_secret="wrong")
    found = await walked(system)
    assert "check them in turn: the client secret" in str(found["authorization_failed"].meaning)

    start = await begin(system, manager)
    await manager.get(decide(system, start.headers["location"], decision="deny"))
    assert "Deny was pressed" in str((await walked(system))["authorization_failed"].meaning)


async def test_deny_on_a_connection_that_works_is_a_note_and_asks_for_nothing(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    start = await manager.post("/servicenow/authorize")
    await manager.get(decide(system, start.headers["location"], decision="deny"))
    found = await walked(system)
    assert "authorization_failed" not in found
    assert found["authorization_denied"].state is State.NOTE
    assert "Authorize" not in str(found["authorization_denied"])


async def test_after_a_removal_it_is_a_problem_that_nothing_is_connected(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    await remove(manager)
    found = await walked(system)
    assert found["not_connected"].is_problem
    assert "reachable" not in found


async def test_walking_changes_nothing_there(system: System) -> None:
    await system.connect()
    store = system.servicenow.instance.store
    before = {
        table: list(store.rows(table)) for table in ("incident", "change_request", "oauth_credential", "sys_user")
    }
    system.servicenow.instance.journal.clear()
    await walked(system)
    assert {table: list(store.rows(table)) for table in before} == before
    assert {entry.method for entry in requests(system, "/api/now")} == {"GET", "PATCH"}
    assert requests(system, "/oauth_token.do") == []


async def test_the_page_fills_in_and_offers_the_bundle(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.ip_blocked = True
    manager = await system.signed_in("manager")
    assert "Not checked yet" in said(await manager.get("/servicenow/diagnosis"))
    for _ in range(2):  # A double click starts one walk.
        assert (await manager.post("/servicenow/diagnosis")).status_code == 303
    page = await manager.get("/servicenow/diagnosis")
    assert "Checking …" in said(page)
    assert "data-refresh" in page.text
    await system.work()
    page = await manager.get("/servicenow/diagnosis/findings")
    assert 'data-finding="ip_filter"' in page.text
    assert "Network: IP filter" in said(page)
    assert "Asked for by Alex Wilber" in said(page)
    assert "data-refresh" not in page.text
    async with system.resources.database.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM diagnosis_run"))).scalar_one() == 1


async def test_the_page_says_that_no_worker_runs_while_a_check_waits_for_one(
    system: System, still_clock: SetClock
) -> None:
    no_worker = 'data-finding="no_worker"'
    await system.connect()
    manager = await system.signed_in("manager")
    await manager.post("/servicenow/diagnosis")
    assert no_worker in (await manager.get("/servicenow/diagnosis/findings")).text
    still_clock.move(301)
    page = await manager.get("/servicenow/diagnosis")
    assert no_worker in page.text
    assert "The check did not finish" in said(page)
    await a_worker(system)
    assert no_worker not in (await manager.get("/servicenow/diagnosis")).text


async def test_a_result_from_before_a_change_of_the_connection_says_so(system: System) -> None:
    outdated = "The connection was made, authorized again or removed since then."
    manager = await system.signed_in("manager")

    async def check() -> None:
        await manager.post("/servicenow/diagnosis")
        await system.work()
        assert outdated not in said(await manager.get("/servicenow/diagnosis"))

    await check()
    await connect_by_pages(system, manager)
    assert outdated in said(await manager.get("/servicenow/diagnosis"))
    await check()
    await remove(manager)
    assert outdated in said(await manager.get("/servicenow/diagnosis"))
    await check()


async def test_the_two_tables_are_told_apart_by_their_titles(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    await manager.post("/servicenow/diagnosis")
    await system.work()
    page = said(await manager.get("/servicenow/diagnosis"))
    assert "Table of incidents" in page
    assert "Table of change requests" in page


async def test_the_bundle_holds_what_support_needs_and_no_secret(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    await system.work()
    await manager.post("/servicenow/diagnosis")
    await system.work()
    answer = await manager.get("/servicenow/diagnosis/bundle.zip")
    assert answer.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(files) == {
        "README.txt", "findings.json", "provisioning.json", "connection.json", "calls.json", "queue.json",
        "settings.json", "versions.json",
    }  # fmt: skip
    calls = json.loads(files["calls.json"])
    assert all(call["transaction_id"] for call in calls)
    assert all(call["correlation_id"] for call in calls)
    assert json.loads(files["versions.json"])["servicenow"].startswith("glide-zurich")
    assert json.loads(files["connection.json"])["connection"]["user_name"] == "m365.integration"
    findings = json.loads(files["findings.json"])["findings"]
    assert {finding["verdict"] for finding in findings} <= {"good", "note", "unknown", "problem"}
    assert json.loads(files["connection.json"])["last_consent"]["came_back"] is True
    assert {finding["key"] for finding in findings} >= {"reachable", "token"}
    whole = "".join(files.values())
    secrets = [system.servicenow.settings.client_secret]
    secrets += [row["token"] for row in system.servicenow.instance.store.rows("oauth_credential")]
    assert not [secret for secret in secrets if secret in whole]
    log = [line["what"] for line in (await manager.get("/servicenow/audit.json")).json()]
    assert "Support bundle downloaded" in log


@pytest.mark.parametrize("role", ["sharer", "viewer", "stranger"])
async def test_only_managers_look(system: System, role: str) -> None:
    browser = await system.signed_in(role)
    for method, address in (("GET", ""), ("GET", "/findings"), ("POST", ""), ("GET", "/bundle.zip")):
        assert (await browser.request(method, f"/servicenow/diagnosis{address}")).status_code == 403
