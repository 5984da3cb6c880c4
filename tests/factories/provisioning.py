"""Provisions a connection: every step checked, as the worker does it."""

from __future__ import annotations

from typing import Any

from app.features.provisioning.jobs import start_checks
from app.features.provisioning.provision import StepLine, list_steps
from tests.factories.house import House


async def steps(house: House) -> dict[str, StepLine]:
    """Every step as the page shows it, by key."""
    async with house.resources.database.transaction() as session:
        return {line.key: line for line in await list_steps(session)}


async def provisioned(house: House, **switches: Any) -> dict[str, StepLine]:
    """Connect, set the switches, and check everything."""
    connection = await house.connect()
    house.snow.instance.switches.change(switches)
    async with house.resources.database.transaction() as session:
        await start_checks(house.resources, session, connection.id)
    await house.work()
    return await steps(house)
