"""The list of kinds is complete: everything in which they differ is there, once."""

from __future__ import annotations

import pytest

from app.features.tickets.types import (
    KIND_NAMES,
    KINDS,
    MARKERS,
    PRIORITY_NAMES,
    TABLES,
    StateCategory,
    TicketKind,
    priority_name,
)


def test_every_kind_has_its_own_table_marker_and_role() -> None:
    assert list(KINDS) == list(TicketKind)
    for names in (TABLES, MARKERS, KIND_NAMES):
        assert list(names) == list(TicketKind)
        assert len({str(name) for name in names.values()}) == len(TicketKind)
    for kind, spec in KINDS.items():
        assert spec.kind is kind
        assert spec.least_role in spec.writer_roles


@pytest.mark.fact("servicenow 4.1", "servicenow 4.2")
def test_priorities_of_a_kind_are_servicenows() -> None:
    assert set(KINDS[TicketKind.INCIDENT].priority_columns) == set(PRIORITY_NAMES)
    assert KINDS[TicketKind.CHANGE].lowest_priority == 4
    assert KINDS[TicketKind.INCIDENT].priority_is_derived
    assert not KINDS[TicketKind.CHANGE].priority_is_derived


@pytest.mark.fact("servicenow 4.1")
def test_an_incidents_columns_lead_to_its_priority_by_servicenows_lookup() -> None:
    for priority, columns in KINDS[TicketKind.INCIDENT].priority_columns.items():
        # The baseline's lookup: 1x1 is 1, and every step of either column makes it one less urgent.
        assert int(columns["impact"]) + int(columns["urgency"]) - 1 == priority


@pytest.mark.fact("servicenow 4.2")
def test_review_is_an_open_state_of_changes() -> None:
    assert KINDS[TicketKind.CHANGE].states["0"].category is StateCategory.PROGRESS


@pytest.mark.parametrize(("value", "name"), [("1", "Critical"), ("5", "Planning"), ("9", "9"), ("", "–"), ("²", "²")])
def test_a_priority_in_words(value: str, name: str) -> None:
    assert str(priority_name(value)) == name
