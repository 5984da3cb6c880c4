"""What a held ticket was refused for, read from ServiceNow's own words."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from app.core.messages import Message, T
from app.features.tickets.delivery.circuit_breaker import OpenCircuit
from app.features.tickets.delivery.next_step import failing_message
from app.features.tickets.delivery.refusals import cause_key, cause_of, innermost, missing_fields
from app.features.tickets.delivery.visibility import in_doubt_message
from app.features.tickets.models import Ticket

POLICY = "Operation Failed – Data Policy Exception: The following fields are mandatory: "
REFUSED = T("ServiceNow refused: %(reason)s", code="servicenow.refused", reason=f"{POLICY}Caller")


@pytest.mark.fact("servicenow 2.6")
@pytest.mark.parametrize(
    ("words", "labels"),
    [
        (f"{POLICY}Caller", ["Caller"]),
        (f"{POLICY}Caller, Assignment group, Caller", ["Caller", "Assignment group"]),
        (f"{POLICY} Caller ,\n  Category.", ["Caller", "Category"]),
        (f"{POLICY}<b>Caller</b>, \u202eCategory", ["Caller", "Category"]),
        (f"{POLICY}{'x' * 81}, Caller", ["Caller"]),
        (f"{POLICY}, ,", []),
        ("The following mandatory fields are not filled in: Justification", ["Justification"]),
        ("Operation Failed – ACL Exception Insert Failed due to security constraints", []),
        ("", []),
    ],
)
def test_the_missing_fields_are_named_as_servicenow_names_them(words: str, labels: list[str]) -> None:
    assert missing_fields(words) == labels


def test_a_label_that_was_cut_with_the_text_is_left_out() -> None:
    words = (POLICY + ", ".join(f"Field {number:03d}" for number in range(100)))[:500]
    labels = missing_fields(words)
    assert len(labels) == 20
    assert missing_fields(f"{POLICY}Caller, {'Categ'.ljust(500, 'o')}"[:500]) == ["Caller"]


def held(problem: Message | None, **values: Any) -> Ticket:
    stored = problem.to_json() if problem else None
    return Ticket(kind="incident", connection_id=UUID(int=1), problem=stored, refusal_cause=None, **values)


def test_a_ticket_held_unsent_has_the_cause_of_those_that_were_refused() -> None:
    refused = Ticket(
        kind="incident", connection_id=UUID(int=1), problem=REFUSED.to_json(),
        refusal_cause=f"servicenow.refused {POLICY}Caller",
    )  # fmt: skip
    unsent = held(OpenCircuit(REFUSED, half_open=False).sentence)
    assert cause_of(refused) == cause_of(unsent)
    assert cause_key(refused) == cause_key(unsent)
    assert missing_fields(cause_of(unsent)) == ["Caller"]


def test_the_refusal_is_found_behind_a_doubt() -> None:
    assert innermost(in_doubt_message(T("Not visible."), REFUSED)) == REFUSED
    assert innermost(in_doubt_message(REFUSED, None)) == REFUSED


def test_a_rule_that_fails_without_details_is_its_own_refusal() -> None:
    failing = failing_message(5, "")
    assert innermost(failing) == failing
    assert "delivery.failing" in cause_of(held(failing))


def test_another_cause_or_kind_is_another_group() -> None:
    one = held(REFUSED)
    other = held(T("ServiceNow refused: %(reason)s", code="servicenow.refused", reason=f"{POLICY}Category"))
    both = [
        held(T("ServiceNow refused: %(reason)s", code="servicenow.refused", reason=f"{POLICY}{labels}"))
        for labels in ("Caller, Category", "Category, Caller")
    ]
    assert cause_key(both[0]) == cause_key(both[1])
    change = held(REFUSED)
    change.kind = "change"
    assert len({cause_key(one), cause_key(other), cause_key(change), cause_key(held(None))}) == 4
