"""What changed when, and what it did to the score."""

from __future__ import annotations

import pytest

from app.core.database import Database
from app.features.secure_score.reports.history import Period, TenantEvent, days_in, delta_of
from app.web.templating import environment, format_number
from tests.factories.graph_payloads import DAY, TENANT, days_before, keep, snapshot


@pytest.mark.parametrize(
    ("kind", "before", "after", "delta"),
    [
        ("gained", 1, 3, 2),
        ("added", None, 4, 4),
        ("removed", 4, None, -4),
        ("removed", None, None, None),
        ("changed", None, 1, None),
    ],
)
def test_what_a_change_did_to_the_score(
    kind: str, before: float | None, after: float | None, delta: float | None
) -> None:
    assert delta_of(kind, before, after) == delta


async def test_a_day_that_names_no_services_is_no_loss_of_licences(database: Database) -> None:
    named = [["HasAADP1"], None, [], ["HasAADP1", "HasAADP2"]]
    days = [snapshot(days_before(3 - number), enabledServices=services) for number, services in enumerate(named)]
    await keep(database, snapshots=days)
    async with database.transaction() as session:
        _, events = await days_in(session, TENANT, Period(days_before(3), DAY))
        _, later = await days_in(session, TENANT, Period(days_before(2), DAY))
    assert [(event.day, event.services_gained, event.services_lost) for event in events] == [(DAY, ("HasAADP2",), ())]
    assert later == []


def test_removing_an_action_without_points_changes_nothing_and_has_no_sign() -> None:
    assert format_number(delta_of("removed", 0.0, None)) == "0"


def test_an_event_names_twelve_services_and_counts_the_others() -> None:
    def said(*services: str) -> str:
        macro = environment.get_template("secure_score/_kinds.html").module.tenant_event  # type: ignore[attr-defined]
        return str(macro(TenantEvent(DAY, DAY, services_gained=services)))

    assert "New licences: A&amp;B, C." in said("A&B", "C")
    names = [f"Service{number}" for number in range(200)]
    assert f"New licences: {', '.join(names[:12])} and 188 more." in said(*names)
    assert f"{'x' * 59}…." in said("x" * 200)
