"""A dozen worlds, drawn again for each run; all of them are run by `make worlds`."""

from __future__ import annotations

import json
import os
import random
from dataclasses import fields

import pytest

from sandbox.faults import FAULTS
from sandbox.servicenow.switches import Switches
from tests.factories.database import fresh_database
from tests.factories.microsoft import SandboxMicrosoft
from tests.factories.servicenow import SandboxServiceNow
from tests.factories.system import open_system
from tests.worlds.covering import all_worlds, some_worlds
from tests.worlds.journeys import live
from tests.worlds.parameters import BY_NAME, LEFT_OUT, LOST_ANSWER, PARAMETERS, World, possible_worlds

# Settable, so that a run can be repeated: WORLDS_SEED=… pytest tests/worlds. In CI always the same ones, because a change
# must not fail for a world that it has nothing to do with.
SEED = int(os.environ.get("WORLDS_SEED") or (3 if os.environ.get("CI") else random.SystemRandom().randrange(100_000)))
COUNT = 12


@pytest.mark.fact("servicenow 2.3", "servicenow 2.6", "servicenow 6")
@pytest.mark.parametrize("part", [0, pytest.param(1, marks=pytest.mark.thorough)])
async def test_in_no_world_is_a_record_doubled_a_ticket_lost_or_a_wrong_cause_named(
    postgres: str, sandbox: tuple[SandboxMicrosoft, SandboxServiceNow], part: int
) -> None:
    worlds = some_worlds(SEED, COUNT)[part::2]
    assert len(worlds) == COUNT // 2
    wrong = [said for world in worlds for said in await what_is_wrong(postgres, sandbox, world)]
    assert not wrong, f"WORLDS_SEED={SEED}\n" + "\n".join(wrong)


async def what_is_wrong(postgres: str, sandbox: tuple[SandboxMicrosoft, SandboxServiceNow], world: World) -> list[str]:
    microsoft, servicenow = sandbox
    microsoft.tenant.reset()
    with fresh_database(postgres) as url:
        async with open_system(url, microsoft, servicenow) as system:
            verdicts = await live(system, world)
    again = f"make worlds WORLD='{json.dumps(world, sort_keys=True)}'"
    return [f"{verdict}\n  {again}" for verdict in verdicts if verdict.wrong]


def test_every_switch_is_a_parameter_or_is_left_out_for_a_reason() -> None:
    switches = {item.name for item in fields(Switches)}
    parameters = set(BY_NAME) - {LOST_ANSWER}
    assert parameters.isdisjoint(LEFT_OUT)
    assert parameters | set(LEFT_OUT) == switches


def test_every_value_of_a_parameter_is_one_that_its_switch_takes() -> None:
    for parameter in PARAMETERS:
        for value in (*parameter.values, *parameter.stops, *parameter.holds):
            if parameter.name == LOST_ANSWER:
                assert value in FAULTS
            else:
                Switches().change({parameter.name: value})
    for parameter in PARAMETERS[1:]:
        assert getattr(Switches(), parameter.name) == parameter.usual


def test_every_two_values_meet_and_every_value_that_holds_or_stops_has_a_world() -> None:
    worlds = all_worlds(SEED)
    assert all(possible_worlds(world) == [world] for world in worlds)
    full = [
        {parameter.name: world.get(parameter.name, parameter.usual) for parameter in PARAMETERS} for world in worlds
    ]
    met = {(one, other) for world in full for one in world.items() for other in world.items()}
    for first in PARAMETERS:
        for value in (*first.stops, *first.holds):
            assert ((first.name, value), (first.name, value)) in met
        for second in PARAMETERS:
            if first is not second:
                missing = [
                    (value, other) for value in first.values for other in second.values
                    if ((first.name, value), (second.name, other)) not in met
                    and len(possible_worlds({first.name: value, second.name: other})) == 1
                ]  # fmt: skip
                assert not missing, (first.name, second.name, missing)
