"""Provisions a connection: every step checked, as the worker does it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from app.core import clock
from app.features.connection.authorization_attempts import LastAttempt
from app.features.connection.connection_view import view_of_attempt
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.diagnosis import run_diagnosis
from app.features.provisioning.finding import Finding
from app.features.provisioning.list_steps import StepLine, list_steps
from app.features.provisioning.queue_checks import queue_checks
from app.resources import Resources
from tests.factories.system import System


async def steps(system: System) -> dict[str, StepLine]:
    """Every step as the page shows it, by key."""
    async with system.resources.database.transaction() as session:
        return {line.key: line for line in await list_steps(session)}


async def provisioned(system: System, **switches: Any) -> dict[str, StepLine]:
    """Connect, set the switches, and run every check."""
    connection = await system.connect()
    system.servicenow.instance.switches.change(switches)
    async with system.resources.database.transaction() as session:
        await queue_checks(session, system.resources.queue, connection.id)
    await system.work()
    return await steps(system)


async def diagnose(system: System) -> dict[str, Finding]:
    """What a diagnosis finds, by key."""
    return {finding.key: finding async for finding in run_diagnosis(system.resources)}


def attempt(**changes: Any) -> LastAttempt:
    """An authorization that was begun a minute ago and has not come back."""
    begun = LastAttempt(
        instance_name="contoso", origin="https://contoso.service-now.com", client_id="the-client", expected_user_name="",
        begun_at=clock.now() - timedelta(minutes=1), came_back=False, problem=None,
    )  # fmt: skip
    return replace(begun, **changes)


def check_context(*, last: LastAttempt | None = None, **changes: Any) -> CheckContext:
    """A context of a connection that is not stored, for checks that need neither database nor ServiceNow."""
    connected = {"status": "connected", "user_name": "m365.integration", "user_sys_id": "a" * 32} | changes
    resources = SimpleNamespace(config=SimpleNamespace(public_url="https://security.example"))
    return CheckContext(
        cast("Resources", resources), replace(view_of_attempt(attempt()), **connected), attempt=last,
        has_connection=connected["status"] != "begun",
    )  # fmt: skip
