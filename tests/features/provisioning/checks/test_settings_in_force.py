"""What is worth knowing of the settings is one finding, with the verdict of the gravest notice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.core.messages import T
from app.features.provisioning.checks.settings_in_force import check_settings, evaluate_notices
from app.features.provisioning.finding import Finding, State
from app.resources import SettingNotice
from tests.factories.system import System

NOTE, PROBLEM = SettingNotice(T("One is odd.")), SettingNotice(T("One is open."), is_problem=True)


@pytest.mark.parametrize(
    ("notices", "key", "state", "meaning"),
    [
        ([], "settings", State.GOOD, "Nothing about the settings stands out."),
        ([NOTE], "settings_notable", State.NOTE, "One is odd."),
        ([PROBLEM], "settings_unsafe", State.PROBLEM, "One is open."),
        ([PROBLEM, NOTE, NOTE], "settings_unsafe", State.PROBLEM, "One is open. One is odd. One is odd."),
    ],
)
def test_all_are_told_and_the_gravest_decides(
    notices: list[SettingNotice], key: str, state: State, meaning: str
) -> None:
    finding = evaluate_notices(notices)
    assert (finding.key, finding.state, str(finding.meaning)) == (key, state, meaning)
    assert str(Finding.from_json(finding.to_json()).meaning) == meaning


async def test_the_notices_are_those_of_the_process(system: System) -> None:
    config = replace(system.resources.config, setting_notices=(PROBLEM,))
    assert (await check_settings(replace(system.resources, config=config))).is_problem
    assert not (await check_settings(system.resources)).is_problem
