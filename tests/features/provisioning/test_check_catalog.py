"""The one list of checks: every code leads to a text, every text belongs to a check, and the order is the diagnosis'."""

from __future__ import annotations

from collections import Counter

from app.features.provisioning.check_catalog import ERROR_CODES, Stage
from app.features.provisioning.finding_catalog import FINDINGS
from app.features.tickets.types import TicketKind
from tools.list_findings import ALL_CHECKS, BEFORE_ANY_CHECK, OUTCOME


def test_every_code_of_a_check_is_in_the_catalog_and_every_entry_belongs_somewhere() -> None:
    codes = {code for check in ALL_CHECKS for code in check.findings} | {*ERROR_CODES, *BEFORE_ANY_CHECK, *OUTCOME}
    assert codes == set(FINDINGS)


def test_codes_of_checks_are_unique() -> None:
    assert [code for code, times in Counter(check.code for check in ALL_CHECKS).items() if times > 1] == []


def test_stages_stand_in_the_order_in_which_they_are_entered() -> None:
    stages = list(Stage)
    positions = [stages.index(check.stage) for check in ALL_CHECKS]
    assert positions == sorted(positions)


def test_what_a_card_needs_is_a_step() -> None:
    assert all(check.step_title is not None for check in ALL_CHECKS if check.kinds)
    assert {kind for check in ALL_CHECKS for kind in check.kinds} == set(TicketKind)
