"""The steps between connected and working: each found by name when the stand-in is switched to fail it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from app.core import clock
from app.core.clock import SetClock
from app.core.messages import T
from app.features.connection.models import Connection
from app.features.connection.tokens import mark_attention
from app.features.provisioning.diagnosis import run_diagnosis
from app.features.provisioning.jobs import recheck
from app.features.provisioning.models import ProvisioningStep
from app.features.provisioning.queue_checks import queue_check, queue_checks
from app.features.provisioning.readiness import readiness
from sandbox.servicenow.seeds import set_roles
from tests.factories.connecting import connect_by_pages, connections, decide, requests, said
from tests.factories.provisioning import provisioned, steps
from tests.factories.system import System


async def test_after_consent_every_step_is_checked_and_nothing_is_wrong(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, expected_user_name="m365.integration")
    assert {line.state for line in (await steps(system)).values()} == {"waiting"}
    assert "data-refresh" in (await manager.get("/ticketProvisioning")).text
    await system.work()

    found = await steps(system)
    # Whether a ticket can be created, and whether ServiceNow stores our id, is only seen with the first one.
    unknown = dict.fromkeys(("change", "incident", "correlation"), "unknown")
    assert {key: line.state for key, line in found.items()} == dict.fromkeys(found, "good") | unknown
    assert all(line.checked_at for line in found.values() if not line.is_outcome)
    page = await manager.get("/ticketProvisioning")
    assert "data-refresh" not in page.text
    for words in (
        "The instance is awake and answers.", "was renewed just now", "The release is Zurich.",
        "is active and holds our redirect URL", "M365 Integration (m365.integration) is active",
        "the roles allow creating", "Readable: 8 states of change requests, 6 of incidents",
        "Both clocks agree", "Both cards are shown.",
    ):  # fmt: skip
        assert words in said(page)


async def test_checking_leaves_nothing_behind_at_servicenow(system: System) -> None:
    store = system.servicenow.instance.store
    before = {table: list(store.rows(table)) for table in ("incident", "change_request")}
    await provisioned(system)
    assert {table: list(store.rows(table)) for table in before} == before


@pytest.mark.parametrize(
    ("switches", "step", "key", "state", "words"),
    [
        ({"api_asleep": True}, "reach", "asleep", "problem", "hibernates"),
        ({"api_asleep": True, "asleep_with_503": True}, "reach", "asleep", "problem", "hibernates"),
        ({"api_sso": "page"}, "reach", "sso_before_api", "problem", "sign-on page"),
        ({"api_sso": "redirect"}, "reach", "sso_before_api", "problem", "sign-on page"),
        ({"ip_blocked": True}, "reach", "ip_filter", "problem", "IP address rule"),
        ({"refresh_tokens_expired": True}, "token", "consent_refused", "problem", "no longer renews"),
        ({"wrong_secret": True}, "token", "consent_refused", "problem", "no longer renews"),
        (
            {"wrong_secret": True, "rfc_token_errors": True},
            "token",
            "consent_refused",
            "problem",
            "client secret is wrong",
        ),
        (
            {"grants_off": "refresh_token", "rfc_token_errors": True},
            "token",
            "consent_refused",
            "problem",
            "switched off",
        ),
        ({"properties_readable": False}, "release", "release", "unknown", "may not read which release"),
        ({"properties_missing": True}, "release", "release", "unknown", "may not read which release"),
        ({"oauth_entity_readable": False}, "client", "client_not_visible", "unknown", "may not see the record"),
        ({"cross_scope_refusal": True}, "client", "client_cross_scope", "note", "cross-scope"),
        ({"redirect_mismatch": True}, "client", "client", "good", "holds our redirect URL"),
        ({"roles_readable": False}, "account", "user", "good", "roles may not be read"),
        ({"acl_refuses": "incident.read"}, "incident", "role_missing.incident.read", "problem", "sees none of them"),
        ({"acl_refuses": "incident.write"}, "incident", "role_missing.incident.write", "problem", "Changing records"),
        ({"acl_refuses": "change_request.write"}, "change", "role_missing.change_request.write", "problem", "Changing"),
        ({"roles_readable": False}, "change", "table_change", "unknown", "cannot be known without creating"),
        ({"choices_need_role": True}, "choices", "choices", "good", "Readable"),
        ({"strict_queries": True}, "correlation", "correlation", "unknown", "first ticket"),
        ({"clock_off_seconds": 600}, "clock", "clock", "note", "s off ours"),
        ({"rate_limit_per_hour": 1}, "release", "rate_limit", "problem", "rate limit"),
    ],
)
async def test_each_fault_is_found_by_name(
    system: System, switches: dict[str, Any], step: str, key: str, state: str, words: str
) -> None:
    found = (await provisioned(system, **switches))[step]
    assert found.finding is not None
    assert (found.finding.key, found.state) == (key, state), str(found.finding.meaning)
    assert words in str(found.finding.meaning)


@pytest.mark.parametrize(
    ("change", "key", "state"),
    [
        ({"active": "false"}, "user_inactive", "problem"),
        ({"locked_out": "true"}, "user_inactive", "problem"),
        ({"web_service_access_only": "true"}, "user_web_service_only", "note"),
        ({"roles": "itil,snc_read_only"}, "user_read_only", "problem"),
    ],
)
async def test_the_account_is_judged(system: System, change: dict[str, str], key: str, state: str) -> None:
    # The stand-in refuses tokens of such accounts, so another account's eyes are lent to the check.
    connection = await system.connect("fred.luddy")
    store = system.servicenow.instance.store
    robot = store.find("sys_user", user_name="m365.integration")
    assert robot is not None
    if "roles" in change:
        set_roles(store, robot, change["roles"])
    else:
        store.put("sys_user", robot | change)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(user_sys_id=robot["sys_id"]))
        await queue_check(session, system.resources.queue, connection.id, "account")
    await system.work()
    line = (await steps(system))["account"]
    assert line.finding is not None
    assert (line.finding.key, line.state) == (key, state)


async def test_a_missing_role_hides_its_own_card_only(system: System) -> None:
    store = system.servicenow.instance.store
    robot = store.find("sys_user", user_name="m365.integration")
    assert robot is not None
    set_roles(store, robot, "sn_incident_write,personalize_choices")
    found = await provisioned(system)
    change = found["change"].finding
    assert change is not None
    assert change.key == "role_missing.change_request.read"
    assert "sn_change_write and snc_platform_rest_api_access" in str(change.message)
    assert "m365.integration" in str(change.screen)
    async with system.resources.database.transaction() as session:
        ready = await readiness(session)
    assert ready.kinds == {"incident"}
    assert not ready.is_ready
    assert "Change request: Reading records in change_request is not allowed" in str(ready.missing[0])
    assert found["cards"].state == "note"


async def test_a_step_that_blocks_skips_the_rest_and_takes_it_up_when_mended(system: System) -> None:
    found = await provisioned(system, api_asleep=True)
    assert found["reach"].state == "problem"
    assert {found[key].state for key in ("token", "release", "incident", "clock")} == {"skipped"}
    async with system.resources.database.transaction() as session:
        assert (await readiness(session)).kinds == frozenset()
    manager = await system.signed_in("manager")
    page = said(await manager.get("/ticketProvisioning"))
    assert "a step before it has to work first" in page
    assert "Hidden until the problems above are solved" in page

    system.servicenow.instance.switches.api_asleep = False
    assert (await manager.post("/ticketProvisioning/check/reach")).headers["location"] == "/ticketProvisioning#reach"
    await system.work()
    assert {line.state for line in (await steps(system)).values()} == {"good", "unknown"}


async def test_authorize_starts_over_from_the_step_that_needs_it(system: System) -> None:
    await provisioned(system, acl_refuses="incident.read")
    manager = await system.signed_in("manager")
    assert 'action="/ticketProvisioning/authorize"' in (await manager.get("/ticketProvisioning")).text
    system.servicenow.instance.switches.acl_refuses = ""
    system.servicenow.instance.journal.clear()
    await manager.post("/ticketProvisioning/authorize")
    found = await steps(system)
    assert next(key for key, line in found.items() if line.state == "waiting") == "incident"
    await system.work()
    assert (await steps(system))["incident"].state == "unknown"
    assert requests(system, "/oauth_token.do") == []


async def test_authorize_leads_to_servicenow_when_only_a_consent_helps(system: System) -> None:
    await provisioned(system, refresh_tokens_expired=True)
    manager = await system.signed_in("manager")
    page = await manager.get("/ticketProvisioning")
    assert 'action="/servicenow/authorize"' in page.text
    assert "press Authorize" in said(page)
    system.servicenow.instance.switches.refresh_tokens_expired = False
    start = await manager.post("/servicenow/authorize")
    assert (await manager.get(decide(system, start.headers["location"]))).status_code == 303
    await system.work()
    assert (await steps(system))["token"].state == "good"


async def test_a_step_checked_while_the_connection_waits_for_a_consent_says_to_authorize(system: System) -> None:
    await provisioned(system)
    [connection] = await connections(system)
    await mark_attention(system.resources, connection.id, T("The robot is locked."))
    manager = await system.signed_in("manager")
    await manager.post("/ticketProvisioning/check/release")
    await system.work()
    line = (await steps(system))["release"]
    assert line.finding is not None
    assert (line.state, line.finding.key) == ("problem", "authorize")
    page = said(await manager.get("/ticketProvisioning"))
    assert "The robot is locked." in page
    assert "Press Authorize on this page." in page


async def test_a_short_consent_is_said_and_its_end_is_known(system: System) -> None:
    store = system.servicenow.instance.store
    record = store.find("oauth_entity", client_id=system.servicenow.settings.client_id)
    assert record is not None
    store.put("oauth_entity", record | {"refresh_token_lifespan": "864000"})
    found = await provisioned(system)
    assert found["client"].finding is not None
    assert found["client"].finding.key == "client_lifespans"
    assert "a consent lasts 10 days" in str(found["client"].finding.meaning)
    [connection] = await connections(system)
    assert connection.refresh_expires_at is not None
    assert (connection.refresh_expires_at - connection.connected_at).days == 10
    assert "The consent ends in 9 days" in said(await (await system.signed_in("viewer")).get("/ticketProvisioning"))


async def test_a_rotated_refresh_token_lives_from_its_rotation_and_not_from_the_consent(system: System) -> None:
    connection = await system.connect()
    system.servicenow.control("client", refresh_token_lifespan=864_000)
    system.servicenow.instance.switches.refresh_rotates_token = True
    async with system.resources.database.transaction() as session:
        long_ago = clock.now() - timedelta(days=120)
        await session.execute(update(Connection).values(connected_at=long_ago))
        await queue_checks(session, system.resources.queue, connection.id)  # Renews: the refresh token is new.
    await system.work()
    for _ in range(2):
        findings = [finding async for finding in run_diagnosis(system.resources)]
        assert "consent_expired" not in {finding.key for finding in findings}
        [connection] = await connections(system)
        assert connection.refresh_expires_at is not None
        assert timedelta(days=9) < connection.refresh_expires_at - clock.now() < timedelta(days=10)


async def test_a_double_click_checks_once(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    for _ in range(3):
        await manager.post("/ticketProvisioning/check")
    async with system.resources.database.transaction() as session:
        waiting = await session.execute(text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'"))
        assert waiting.scalar_one() == 1


async def test_a_step_whose_worker_died_may_be_checked_again(system: System, still_clock: SetClock) -> None:
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        session.add(ProvisioningStep(
            connection_id=connection.id, step="reach", state="running", changed_at=still_clock.now(),
        ))  # fmt: skip
    assert (await steps(system))["reach"].state == "running"
    still_clock.move(181)
    assert (await steps(system))["reach"].state == "todo"


async def test_a_step_whose_worker_died_is_taken_up_again_by_the_clock(system: System, still_clock: SetClock) -> None:
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        await queue_checks(session, system.resources.queue, connection.id)
        dying = update(ProvisioningStep).where(ProvisioningStep.step == "account")
        await session.execute(dying.values(state="running", changed_at=still_clock.now()))
    still_clock.move(30)  # Another worker takes over the dead one's job.
    await system.work()
    assert (await steps(system))["account"].state == "running"
    still_clock.move(601)
    await recheck.function(system.resources)
    await system.work()
    assert (await steps(system))["account"].state == "good"


@pytest.mark.parametrize("role", ["sharer", "viewer", "stranger"])
async def test_only_managers_start_checks(system: System, role: str) -> None:
    await system.connect()
    browser = await system.signed_in(role)
    for address in ("authorize", "check", "check/reach"):
        assert (await browser.post(f"/ticketProvisioning/{address}")).status_code == 403
    expected = 403 if role == "stranger" else 200
    assert (await browser.get("/ticketProvisioning/steps")).status_code == expected


async def test_an_unknown_step_is_not_found(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    assert (await manager.post("/ticketProvisioning/check/nonsense")).status_code == 404


async def test_without_a_connection_nothing_is_ready_and_nothing_breaks(system: System) -> None:
    async with system.resources.database.transaction() as session:
        ready = await readiness(session)
    assert (ready.kinds, [str(line) for line in ready.missing]) == (frozenset(), ["ServiceNow is not connected."])
    manager = await system.signed_in("manager")
    assert (await manager.get("/ticketProvisioning")).status_code == 200
    assert (await manager.post("/ticketProvisioning/authorize")).headers["location"] == "/servicenow/connect"
    assert (await manager.post("/ticketProvisioning/check")).status_code == 303
