"""The provisioning steps: the checks with a step title, in the order of the list. Checks nothing."""

from __future__ import annotations

from app.core.messages import T
from app.features.provisioning.check_catalog import CHECKS, Check
from app.features.provisioning.checks.check_context import CheckContext

STEPS = tuple(check for check in CHECKS if check.step_title is not None)
STEP_BY_KEY = {step.code: step for step in STEPS}
STEP_KEYS = tuple(STEP_BY_KEY)
# The last line is no check: it is the outcome of the others.
CARDS = "cards"
CARDS_TITLE = T("Cards on the home page")


def steps_after(key: str) -> tuple[Check[CheckContext], ...]:
    return STEPS[STEP_KEYS.index(key) + 1 :]
