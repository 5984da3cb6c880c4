"""Who starts checks, and which: a person, a consent, and the schedule."""

from __future__ import annotations

import pytest
from sqlalchemy import text, update

from app.core.clock import SetClock
from app.features.provisioning.jobs import recheck
from app.features.provisioning.models import ProvisioningStep
from app.features.provisioning.queue_checks import queue_checks
from tests.factories.connecting import connect_by_pages, decide, requests, said
from tests.factories.leaving import leads_to
from tests.factories.provisioning import provisioned, steps
from tests.factories.system import System

pytestmark = pytest.mark.thorough


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
    assert (await manager.get(decide(system, leads_to(start)))).status_code == 303
    await system.work()
    assert (await steps(system))["token"].state == "good"


async def test_a_double_click_checks_once(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    for _ in range(3):
        await manager.post("/ticketProvisioning/check")
    async with system.resources.database.transaction() as session:
        waiting = await session.execute(text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'"))
        assert waiting.scalar_one() == 1


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


async def test_the_clock_checks_again_what_failed_and_no_card_comes_and_goes_meanwhile(system: System) -> None:
    await provisioned(system, api_asleep=True)
    system.servicenow.instance.switches.api_asleep = False
    viewer = await system.signed_in("viewer")
    assert "The instance hibernates" in said(await viewer.get("/"))
    system.servicenow.instance.journal.clear()
    await recheck.function(system.resources)
    assert "ServiceNow change management" not in said(await viewer.get("/"))  # Nothing says yet that it is awake.
    await system.work()
    assert {line.state for line in (await steps(system)).values()} == {"good", "unknown"}
    assert "ServiceNow change management" in said(await viewer.get("/"))
    system.servicenow.instance.journal.clear()
    await recheck.function(system.resources)
    await system.work()
    assert requests(system, "/") == []  # Where nothing failed, nothing is asked.


@pytest.mark.parametrize("address", ["check", "check/reach", "authorize"])
async def test_nothing_is_checked_before_a_person_has_confirmed_the_account(system: System, address: str) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, user="fred.luddy", expected_user_name="m365.integration")
    assert 'action="/ticketProvisioning/check"' not in (await manager.get("/servicenow/settings")).text
    await manager.post(f"/ticketProvisioning/{address}")
    await system.work()
    assert "ServiceNow change management" not in said(await manager.get("/"))


@pytest.mark.parametrize("role", ["sharer", "viewer", "outsider"])
async def test_only_managers_start_checks(system: System, role: str) -> None:
    await system.connect()
    browser = await system.signed_in(role)
    for address in ("authorize", "check", "check/reach"):
        assert (await browser.post(f"/ticketProvisioning/{address}")).status_code == 403
    expected = 403 if role == "outsider" else 200
    assert (await browser.get("/ticketProvisioning/steps")).status_code == expected


async def test_an_unknown_step_is_not_found(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    assert (await manager.post("/ticketProvisioning/check/nonsense")).status_code == 404
