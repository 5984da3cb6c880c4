"""Every oddity that the sandbox for Graph can show is imported, and every page opens on it."""

from __future__ import annotations

from typing import Any

import pytest

from app.features.secure_score.actions.action_rows import load_lines
from app.features.secure_score.sync.import_scores import import_from_graph
from app.features.secure_score.sync.read_file import CannotImport
from app.features.secure_score.sync.runs import RunStatus, list_runs
from sandbox.tenant.edge_cases import COMPARISONS
from tests.factories.graph_payloads import DAY, days_before, keep, keep_days, profile, score, snapshot
from tests.factories.system import System

pytestmark = pytest.mark.thorough

QUIRKS: list[dict[str, Any]] = [
    {"no_score_yet": True},
    {"extra_members": True, "numbers_as_text": True},
    {"unknown_scores": "n/a", "no_percentages": True},
    {"unknown_scores": "null", "zero_totals": True, "sum_differs": True},
    {"no_control_scores": True},
    {"max_zero": True, "absurd_counts": True},
    {"above_max": True, "odd_times": True, "double_day": True},
    {"appeared": True, "vanished": "OneAdmin,mdo_safeattachments", "deprecated": "RoleOverlap"},
    {"odd_ids": True, "hostile_texts": True, "odd_states": True},
    {"all_zero": True, "not_scored": "OneAdmin,RoleOverlap"},
    {"unreadable_total": True, "renamed": "exo_dkim,mdo_safeattachments"},
    {"stale_days": 2},
    {"padding": 300, "page_size": 70},
]


PAGES = (
    "",
    "/actions",
    "/actions?licence=yes&licence=no&group=status",
    "/history",
    "/trends",
    "/imports",
    "/actions.csv",
)


def links(page: str) -> list[str]:
    """Every action's page that the list links to."""
    return [part.split('"')[0] for part in page.split('<td><a href="')[1:]]


@pytest.mark.parametrize("quirks", QUIRKS, ids=lambda quirks: ",".join(quirks))
async def test_every_oddity_is_imported_and_shown(system: System, quirks: dict[str, Any]) -> None:
    tenant, tenant_id = system.microsoft.tenant, system.resources.config.tenant_id
    tenant.reset()
    keep_days(tenant, 4)
    await import_from_graph(system.resources)
    tenant.edge_cases.change(quirks)
    await import_from_graph(system.resources)
    async with system.resources.database.transaction() as session:
        [run, _] = await list_runs(session, tenant_id)
        lines = await load_lines(session, tenant_id)
    assert run.status == RunStatus.DONE
    assert all(line.percent is None or 0 <= line.percent <= 100 for line in lines)
    async with await system.signed_in("manager") as browser:
        for path in PAGES:
            answer = await browser.get(f"/secure-score{path}")
            assert answer.status_code == 200, path
        listing = (await browser.get("/secure-score/actions?licence=yes&licence=no&sort=action")).text
        for number, link in enumerate(links(listing)[:9]):
            tab = ("general", "implementation", "history")[number % 3]
            assert (await browser.get(f"{link}?tab={tab}")).status_code == 200, link


@pytest.mark.fact("microsoft-graph edge-18")
async def test_the_overview_opens_on_every_shape_of_comparison(system: System) -> None:
    tenant = system.microsoft.tenant
    tenant.reset()
    keep_days(tenant, 2)
    async with await system.signed_in("viewer") as browser:
        for shape in COMPARISONS:
            tenant.edge_cases.change({"comparisons": shape})
            await import_from_graph(system.resources)
            page = await browser.get("/secure-score")
            assert page.status_code == 200, shape
            assert "-1%" not in page.text, shape
            assert (await browser.get("/secure-score/trends")).status_code == 200, shape


@pytest.mark.fact("microsoft-graph edge-22")
async def test_another_tenants_answer_is_rejected_whole(system: System) -> None:
    system.microsoft.tenant.reset()
    system.microsoft.tenant.edge_cases.change({"other_tenant": True})
    with pytest.raises(CannotImport, match="This is the data of tenant"):
        await import_from_graph(system.resources)


@pytest.mark.fact("microsoft-graph edge-28")
async def test_what_vanished_stays_with_its_row(system: System) -> None:
    tenant, tenant_id = system.microsoft.tenant, system.resources.config.tenant_id
    tenant.reset()
    keep_days(tenant, 4)
    tenant.edge_cases.change({"vanished": "OneAdmin"})
    await import_from_graph(system.resources)
    async with system.resources.database.transaction() as session:
        lines = {line.control_id: line for line in await load_lines(session, tenant_id)}
    assert not lines["OneAdmin"].scored
    assert not any(line.is_regressed for key, line in lines.items() if key == "OneAdmin")
    async with await system.signed_in("viewer") as browser:
        assert "has not scored this action since" in (await browser.get("/secure-score/actions/OneAdmin")).text


@pytest.mark.fact("microsoft-graph edge-16")
async def test_the_parts_are_not_compared_with_the_total_of_another_day(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    before = snapshot(days_before(1), [score("A", 4, 40)], azureTenantId=tenant_id, currentScore=4)
    newest = snapshot(DAY, [score("A", 9, 90)], azureTenantId=tenant_id, currentScore="n/a")
    profiles = [profile("A", azureTenantId=tenant_id)]
    await keep(system.resources.database, snapshots=[before, newest], profiles=profiles, tenant_id=tenant_id)
    async with await system.signed_in("viewer") as browser:
        assert "The actions add up to" not in (await browser.get("/secure-score")).text
