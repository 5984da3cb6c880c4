"""The steps derive from the list of checks."""

from __future__ import annotations

from app.features.provisioning.steps import STEP_BY_KEY, STEP_KEYS, steps_after


def test_the_steps_are_those_checks_that_have_a_title_in_their_order() -> None:
    assert STEP_KEYS == (
        "reach", "token", "release", "client", "account", "change", "incident", "choices", "correlation", "clock",
    )  # fmt: skip
    assert [key for key, step in STEP_BY_KEY.items() if step.blocks] == ["reach", "token"]


def test_the_steps_after_one_are_those_that_it_can_block() -> None:
    assert [step.code for step in steps_after("choices")] == ["correlation", "clock"]
    assert steps_after("clock") == ()
