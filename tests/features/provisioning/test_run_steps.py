"""The steps between connected and working: each found by name when the sandbox is switched to fail it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from app.core import clock
from app.core.messages import T
from app.features.connection.tokens import mark_attention
from app.features.provisioning.finding import State
from app.features.provisioning.jobs import recheck
from app.features.provisioning.models import ProvisioningStep
from app.features.provisioning.readiness import readiness
from app.features.provisioning.run_steps import next_waiting, states_after
from tests.factories.connecting import connect_by_pages, connections, said, trouble
from tests.factories.provisioning import provisioned, steps
from tests.factories.system import System

pytestmark = pytest.mark.thorough


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
        "the roles allow creating", "Readable: 8 states of change requests, 6 states of incidents.",
        "Both clocks agree", "All cards are shown.",
    ):  # fmt: skip
        assert words in said(page)


async def test_checking_leaves_nothing_behind_at_servicenow(system: System) -> None:
    store = system.servicenow.instance.store
    before = {table: list(store.rows(table)) for table in ("incident", "change_request")}
    await provisioned(system)
    assert {table: list(store.rows(table)) for table in before} == before


@pytest.mark.thorough
@pytest.mark.fact("servicenow 5", "servicenow 1.9")
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


async def test_a_step_that_blocks_skips_the_rest_and_takes_it_up_when_fixed(system: System) -> None:
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


@pytest.mark.thorough
@pytest.mark.parametrize(("fault", "key"), [("semaphore_full", "rate_limit"), ("dropped_before", "trouble")])
async def test_a_busy_moment_takes_no_working_card_away_and_the_clock_checks_again(
    system: System, fault: str, key: str
) -> None:
    await provisioned(system)
    manager = await system.signed_in("manager")
    for _ in range(2):
        trouble(system, fault, path="/table/incident")
        await manager.post("/ticketProvisioning/check/incident")
        await system.work()
        line = (await steps(system))["incident"]
        assert line.finding is not None
        assert (line.finding.key, line.state) == (key, "note")
        assert "ServiceNow incident management" in said(await manager.get("/"))
    await recheck.function(system.resources)
    await system.work()
    assert (await steps(system))["incident"].state == "unknown"


async def test_a_busy_moment_brings_no_card_back_that_cannot_work(system: System) -> None:
    await provisioned(system, acl_refuses="incident.read")
    manager = await system.signed_in("manager")
    trouble(system, "semaphore_full", path="/table/incident")
    await manager.post("/ticketProvisioning/check/incident")
    await system.work()
    assert (await steps(system))["incident"].state == "problem"
    assert "ServiceNow incident management" not in said(await manager.get("/"))


def rows(**states: str) -> dict[str, ProvisioningStep]:
    now = clock.now()
    return {
        key: ProvisioningStep(connection_id=UUID(int=1), step=key, state=state, changed_at=now)
        for key, state in states.items()
    }


def test_the_first_step_that_waits_is_next() -> None:
    found = next_waiting(rows(clock="waiting", token="good", release="running", incident="waiting"))
    assert found is not None
    assert found.code == "incident"
    assert next_waiting(rows(reach="good", token="problem", clock="skipped")) is None


def test_a_failure_that_blocks_skips_what_waits_and_a_success_takes_it_up_again() -> None:
    before = rows(reach="good", token="problem", release="waiting", client="skipped", clock="good")
    assert states_after("token", before, failed=True) == {"release": State.SKIPPED}
    assert states_after("token", before, failed=False) == {"client": State.WAITING}
