"""The instance's own list of states, where the integration user may read it."""

from __future__ import annotations

import pytest

from app.features.tickets.polling.state_choices import read_choices
from app.features.tickets.polling.state_names import list_state_names
from tests.factories.system import System
from tests.factories.tickets import (
    calls,
)


@pytest.mark.fact("servicenow 4.4", "servicenow sandbox-36")
async def test_the_instances_own_states_are_listed_where_our_role_allows_it(system: System) -> None:
    await system.connect()
    system.servicenow.control("choices", table="incident", element="state", value="22", label="Awaiting evidence")
    await read_choices(system.resources)
    async with system.resources.database.transaction() as session:
        lines = {line.value: line for line in await list_state_names(session, "incident")}
    assert (lines["22"].label, lines["22"].category, lines["22"].count) == ("Awaiting evidence", "unknown", 0)
    before = len(calls(system))
    await read_choices(system.resources)
    assert len(calls(system)) == before, "once a day is enough"


@pytest.mark.fact("servicenow trap-36")
@pytest.mark.parametrize("user", ["fred.luddy", "no.roles"])
async def test_without_the_role_the_default_states_are_listed(system: System, user: str) -> None:
    await system.connect(user)
    await read_choices(system.resources)
    async with system.resources.database.transaction() as session:
        lines = [line.value for line in await list_state_names(session, "change")]
    assert lines == ["-5", "-4", "-3", "-2", "-1", "0", "3", "4"]
