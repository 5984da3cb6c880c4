"""How many SQL statements a page costs: a constant, and at most six, however much there is to show."""

from __future__ import annotations

import pytest

from tests.factories.graph_payloads import days_before, keep, profile, score, snapshot
from tests.factories.statements import counted
from tests.factories.system import System

MOST = 6


PAGES = (
    "/secure-score",
    "/secure-score/actions",
    "/secure-score/actions?ticket=no&group=product&q=title&sort=points",
    "/secure-score/actions/C1",
    "/secure-score/actions/C1?tab=implementation",
    "/secure-score/actions/C1?tab=history",
    "/secure-score/history",
    "/secure-score/trends",
    "/secure-score/trends?category=Identity",
    "/secure-score/imports",
    "/secure-score/actions.csv",
)


@pytest.mark.parametrize("role", ["manager", "viewer"])
async def test_statements_per_page_are_few_and_constant(system: System, role: str) -> None:
    tenant_id = system.resources.config.tenant_id
    costs: list[dict[str, int]] = []
    for size in (2, 60):
        controls = [score(f"C{number}", number % 10, number % 10 * 10) for number in range(size)]
        days = [snapshot(days_before(ago), controls, azureTenantId=tenant_id) for ago in range(3)]
        profiles = [profile(f"C{number}", azureTenantId=tenant_id) for number in range(size)]
        await keep(system.resources.database, snapshots=days, profiles=profiles, tenant_id=tenant_id)
        async with await system.signed_in(role) as browser:
            cost = {}
            for path in PAGES:
                with counted(system.resources.database) as seen:
                    answer = await browser.get(path)
                if answer.status_code == 200:
                    cost[path] = len(seen)
            costs.append(cost)
    assert costs[0] == costs[1]
    assert {path: count for path, count in costs[1].items() if count > MOST} == {}
    assert len(costs[1]) == len(PAGES) - (role == "viewer")


@pytest.mark.parametrize("controls", [None, 0, 60])
async def test_the_list_of_actions_costs_four_statements_at_most(system: System, controls: int | None) -> None:
    """Before the first import, with a catalog and no score, and with both."""
    tenant_id = system.resources.config.tenant_id
    await system.connect()
    if controls is not None:
        scored = [score(f"C{number}", number % 10, number % 10 * 10) for number in range(controls)]
        days = [snapshot(days_before(ago), scored, azureTenantId=tenant_id) for ago in range(3)] if controls else []
        profiles = [profile(f"C{number}", azureTenantId=tenant_id) for number in range(60)]
        await keep(system.resources.database, snapshots=days, profiles=profiles, tenant_id=tenant_id)
    async with await system.signed_in("sharer") as browser:
        for query in (
            "",
            "?licence=no",
            "?status=not_applicable",
            "?q=nothing",
            "?page=2",
            "?page=99",
            "?column=title",
        ):
            with counted(system.resources.database) as seen:
                assert (await browser.get(f"/secure-score/actions{query}")).status_code == 200
            assert len(seen) <= 4, (query, seen)


@pytest.mark.parametrize("path", ["C1", "C1?tab=implementation", "C1?tab=history", "unscored", "unscored?tab=history"])
async def test_an_action_costs_four_statements_at_most(system: System, path: str) -> None:
    tenant_id = system.resources.config.tenant_id
    days = [snapshot(days_before(ago), [score("C1", ago, ago * 10)], azureTenantId=tenant_id) for ago in range(3)]
    profiles = [profile(control_id, azureTenantId=tenant_id) for control_id in ("C1", "unscored")]
    await keep(system.resources.database, snapshots=days, profiles=profiles, tenant_id=tenant_id)
    async with await system.signed_in("manager") as browser:
        with counted(system.resources.database) as seen:
            assert (await browser.get(f"/secure-score/actions/{path}")).status_code == 200
        assert len(seen) <= 4, seen
