"""Provisions a connection: every step checked, as the worker does it."""

from __future__ import annotations

from typing import Any

from app.features.provisioning.list_steps import StepLine, list_steps
from app.features.provisioning.queue_checks import queue_checks
from tests.factories.system import System


async def steps(system: System) -> dict[str, StepLine]:
    """Every step as the page shows it, by key."""
    async with system.resources.database.transaction() as session:
        return {line.key: line for line in await list_steps(session)}


async def provisioned(system: System, **switches: Any) -> dict[str, StepLine]:
    """Connect, set the switches, and check everything."""
    connection = await system.connect()
    system.servicenow.instance.switches.change(switches)
    async with system.resources.database.transaction() as session:
        await queue_checks(session, system.resources.queue, connection.id)
    await system.work()
    return await steps(system)
