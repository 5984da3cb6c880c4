"""The integration user: the right account, active, and with its roles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from app.features.connection.models import Connection
from app.features.provisioning.checks.integration_user import evaluate_account
from app.features.provisioning.finding import State
from app.features.provisioning.queue_checks import queue_check
from app.integrations.servicenow.probes import AccountRecord
from sandbox.servicenow.seeds import set_roles
from tests.factories.connecting import confirm, connect_by_pages, trouble
from tests.factories.provisioning import check_context, diagnose, steps
from tests.factories.system import System

pytestmark = pytest.mark.thorough


async def test_an_account_that_servicenow_does_not_name_cannot_be_evaluated(system: System) -> None:
    manager = await system.signed_in("manager")
    trouble(system, "ip_blocked", path="/table/sys_user", times=3)
    await connect_by_pages(system, manager)
    await confirm(manager)
    finding = (await diagnose(system))["user_unknown"]
    assert finding.state is State.UNKNOWN
    assert "Opened by" in str(finding.advice)


async def test_another_account_that_a_person_confirmed_is_still_named(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, user="fred.luddy", expected_user_name="m365.integration")
    await confirm(manager)
    finding = (await diagnose(system))["user_unexpected"]
    assert finding.state is State.NOTE
    assert "while the set-up names m365.integration" in str(finding.meaning)


@pytest.mark.parametrize("change", [{"active": "false"}, {"locked_out": "true"}])
async def test_an_account_that_may_not_work_but_whose_token_does_is_found(
    system: System, change: dict[str, str]
) -> None:
    await system.connect()
    system.servicenow.instance.switches.locked_keeps_tokens = True
    system.servicenow.control("users", user_name="m365.integration", **change)
    finding = (await diagnose(system))["user_inactive"]
    assert finding.is_problem
    assert "activate and unlock the user m365.integration" in str(finding.message)


async def test_an_account_that_may_only_read_is_found_while_its_token_lives(system: System) -> None:
    await system.connect()
    system.servicenow.control("users", user_name="m365.integration", roles="itil,snc_read_only")
    found = await diagnose(system)
    assert found["user_read_only"].is_problem
    assert "remove the role snc_read_only from the user m365.integration" in str(found["user_read_only"].message)


@pytest.mark.fact("servicenow 1.8", "servicenow trap-22")
@pytest.mark.parametrize(
    ("change", "key", "state"),
    [
        ({"active": "false"}, "user_inactive", "problem"),
        ({"locked_out": "true"}, "user_inactive", "problem"),
        ({"web_service_access_only": "true"}, "user_web_service_only", "note"),
        ({"roles": "itil,snc_read_only"}, "user_read_only", "problem"),
    ],
)
async def test_the_account_is_evaluated(system: System, change: dict[str, str], key: str, state: str) -> None:
    # The sandbox refuses tokens of such accounts, so the check gets the client of another account.
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


ACCOUNT = AccountRecord(
    "m365.integration", "M365 Integration", "", active=True, locked_out=False, web_service_only=False
)
ROLES = frozenset({"itil", "personalize_choices", "other"})


@pytest.mark.fact("servicenow 1.8", "servicenow 3.6")
@pytest.mark.parametrize(
    ("changes", "roles", "expected", "key", "words"),
    [
        ({}, ROLES, "", "user", "with these roles among others: itil, personalize_choices."),
        ({}, frozenset({"other"}), "", "user", "among others: –."),
        ({}, None, "", "user", "roles may not be read"),
        ({"active": None, "locked_out": None}, ROLES, "", "user", "is active"),
        ({"active": False}, ROLES, "", "user_inactive", "M365 Integration (m365.integration) is not active"),
        ({"locked_out": True}, ROLES, "", "user_inactive", "locked out"),
        ({}, ROLES | {"snc_read_only"}, "", "user_read_only", "forbids tickets"),
        ({}, ROLES, "M365.Integration", "user", "is active"),
        ({}, ROLES, "robot", "user_unexpected", "while the set-up names robot"),
        ({"web_service_only": True}, ROLES, "", "user_web_service_only", "cannot consent again"),
        ({"name": ""}, None, "", "user", "m365.integration is active"),
    ],
)
def test_the_most_serious_thing_comes_first(
    changes: dict[str, Any], roles: frozenset[str] | None, expected: str, key: str, words: str
) -> None:
    finding = evaluate_account(check_context(expected_user_name=expected), replace(ACCOUNT, **changes), roles)
    assert finding.key == key
    assert words in str(finding.meaning)
