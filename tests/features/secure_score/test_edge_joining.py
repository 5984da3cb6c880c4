"""Two lists that do not cover the same controls, over many days. Numbers are the fact sheet's edge cases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.clock import SetClock
from app.core.database import Database
from app.core.errors import NotFound
from app.features.secure_score.actions.action_list import PAGE_SIZE, View, facet_options, list_actions
from app.features.secure_score.actions.action_rows import ActionLine, load_lines
from app.features.secure_score.actions.action_status import Status
from app.features.secure_score.actions.browse_actions import find_action, find_actions
from app.features.secure_score.reports.current_points import regressions
from app.features.secure_score.reports.history import Period, load_history
from app.features.secure_score.reports.overview import categories, targets
from app.features.secure_score.reports.score_summary import day_scores
from app.features.secure_score.sync.import_scores import import_from_graph
from tests.factories.graph_payloads import DAY, TENANT, days_before, keep, keep_days, profile, score, snapshot
from tests.factories.statements import counted
from tests.factories.system import System


async def lines_of(database: Database, tenant_id: str = TENANT) -> dict[str, ActionLine]:
    async with database.transaction() as session:
        return {line.control_id: line for line in await load_lines(session, tenant_id)}


async def test_edge_24_a_scored_control_without_profile_keeps_its_name_and_gets_no_maximum(database: Database) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("spo_legacy_link", 1, 50, controlCategory="Data")])])
    line = (await lines_of(database))["spo_legacy_link"]
    assert (line.title, line.points, line.max_points, line.score_impact) == ("spo_legacy_link", 1, None, None)
    assert line.category == "Data"
    assert line.percent == 50
    await keep(database, profiles=[profile("spo_legacy_link", title="Now known", maxScore=2, controlCategory="Data")])
    line = (await lines_of(database))["spo_legacy_link"]
    assert (line.title, line.max_points) == ("Now known", 2)


async def test_edge_25_a_profile_without_score_is_hidden_and_unknown(database: Database) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A")])], profiles=[profile("A"), profile("B")])
    lines = await lines_of(database)
    assert lines["B"].points is None
    assert lines["B"].status is Status.NOT_APPLICABLE
    every = list(lines.values())
    assert [line.control_id for line in list_actions(every, View(), frozenset()).lines] == ["A"]
    unlicensed = View(chosen={"licence": ("no",)})
    assert [line.control_id for line in list_actions(every, unlicensed, frozenset()).lines] == ["B"]
    licence = next(facet for facet in facet_options(every, View(), frozenset()) if facet.name == "licence")
    assert {option.value: option.count for option in licence.options} == {"yes": 1, "no": 1}


ODD_IDS = [
    "11770.MDA_Google_EnableTwoFactorAuth", "MDA_Google_EnableTwoFactorAuth", "mda_google_enabletwofactorauth",
    "with blank", "with/slash", "with.dot", "a?b=c&d", "100%", "#hash", "quote'\"<b>", "名前", "a+b", "../up", "x/history",
]  # fmt: skip


async def test_edge_26_27_odd_ids_are_rows_of_their_own_with_pages_of_their_own(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    profiles = [profile(key, azureTenantId=tenant_id, title=f"About {key}") for key in ODD_IDS]
    scores = [snapshot(controls=[score(key) for key in ODD_IDS], azureTenantId=tenant_id)]
    await keep(system.resources.database, snapshots=scores, profiles=profiles, tenant_id=tenant_id)
    async with await system.signed_in("viewer") as browser:
        listing = (await browser.get("/secure-score/actions")).text
        assert f"{len(ODD_IDS)} actions" in listing
        for key in ODD_IDS:
            path = _path(key)
            assert f'href="{path}"' in listing, key
            if key == "../up":
                continue  # A browser would resolve it; its row and its ticket work all the same.
            answer = await browser.get(path)
            assert answer.status_code == 200, key
            assert "About" in answer.text
    async with system.resources.database.transaction() as session:
        for key in ODD_IDS:
            assert (await find_action(session, tenant_id, key)).title == f"About {key}"
        for near in ("mda_google", "MDA_Google_EnableTwoFactor", "WITH BLANK", "with", "%", "_"):
            with pytest.raises(NotFound):
                await find_action(session, tenant_id, near)


def _path(key: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - only here.

    return f"/secure-score/actions/{quote(key, safe='')}"


async def test_edge_28_what_vanishes_is_archived_and_neither_it_nor_what_comes_is_a_regression(
    database: Database,
) -> None:
    first = snapshot(days_before(2), [score("Stays"), score("Goes", 5, 50)])
    second = snapshot(days_before(1), [score("Stays"), score("Comes", 1, 10)])
    await keep(database, snapshots=[second, first])
    lines = await lines_of(database)
    assert not lines["Goes"].scored
    assert lines["Goes"].last_scored_on == days_before(2)
    assert lines["Comes"].added_on == days_before(1)
    assert lines["Stays"].added_on is None
    async with database.transaction() as session:
        history = await load_history(session, TENANT, Period(days_before(9), DAY), [], 1)
        assert {(line.control_id, line.kind, line.delta) for line in history.lines} == {
            ("Goes", "removed", -5), ("Comes", "added", 1),
        }  # fmt: skip
        assert await regressions(session, TENANT) == []
        assert (await find_action(session, TENANT, "Goes")).points is None


async def test_edge_28_it_comes_back_with_its_row(database: Database) -> None:
    for day, controls in ((2, [score("A"), score("B")]), (1, [score("A")]), (0, [score("A"), score("B", 9, 90)])):
        await keep(database, snapshots=[snapshot(days_before(day), controls)])
    line = (await lines_of(database))["B"]
    assert (line.scored, line.points, line.last_scored_on) == (True, 9, DAY)


async def test_edge_29_a_retired_action_is_kept_marked_and_out_of_totals(database: Database) -> None:
    await keep(
        database,
        snapshots=[snapshot(controls=[score("Old", 1, 10), score("New", 1, 10)])],
        profiles=[profile("Old", deprecated="true"), profile("New")],
    )
    lines = list((await lines_of(database)).values())
    assert [line.deprecated for line in sorted(lines, key=lambda line: line.control_id)] == [False, True]
    assert [category.max_points for category in categories(lines)] == [10]
    assert {target.points for target in targets(lines, 2, 100)} == {2, 11}


async def test_edge_30_equal_titles_stay_apart_by_id_and_product(database: Database) -> None:
    services = {"MDA_SF_Mfa": "MDA_SF", "MDA_SNOW_Mfa": "MDA_SNOW", "MDA_Zoom_Mfa": "MDA_Zoom"}
    profiles = [profile(key, title="Enable MFA", service=service) for key, service in services.items()]
    await keep(database, snapshots=[snapshot(controls=[score(key) for key in services])], profiles=profiles)
    shown = list_actions(list((await lines_of(database)).values()), View(search="enable mfa"), frozenset()).lines
    assert sorted(line.product for line in shown) == ["Salesforce", "ServiceNow (scored app)", "Zoom"]
    async with database.transaction() as session:
        found = await find_actions(session, TENANT, ["MDA_Zoom_Mfa", "MDA_SF_Mfa", "MDA_Zoom_Mfa", "nothing"])
    assert [action.control_id for action in found] == ["MDA_Zoom_Mfa", "MDA_SF_Mfa"]


async def test_edge_31_two_tenants_never_mix(database: Database) -> None:
    other = "99999999-8888-7777-6666-555555555555"
    for tenant_id, points in ((TENANT, 1), (other, 9)):
        await keep(
            database,
            snapshots=[
                snapshot(controls=[score("A", points, points * 10)], azureTenantId=tenant_id, id=f"{tenant_id}_x")
            ],
            profiles=[profile("A", azureTenantId=tenant_id, title=tenant_id)],
            tenant_id=tenant_id,
        )
    assert (await lines_of(database))["A"].points == 1
    assert (await lines_of(database, other))["A"].points == 9
    async with database.transaction() as session:
        assert [day.points for day in await day_scores(session, TENANT, 90)] == [1]
        assert (await find_action(session, other, "A")).title == other
        with pytest.raises(NotFound):
            await find_action(session, "no tenant", "A")


async def test_edge_23_a_large_tenant_imports_in_few_statements(database: Database) -> None:
    """So many rows go in batches, never one by one; `make bench` measures how long it takes."""
    controls = [score(f"Control{number}", number % 10, number % 10 * 10) for number in range(234)]
    days = [snapshot(days_before(number), controls) for number in range(90)]
    profiles = [profile(f"Control{number}") for number in range(462)]
    with counted(database) as statements:
        report = await keep(database, snapshots=days, profiles=profiles)
    assert (report.snapshots_new, report.profiles_new) == (90, 462)
    assert len(statements) < 90 + 462
    async with database.transaction() as session:
        count = (await session.execute(text("SELECT count(*) FROM control_score"))).scalar_one()
    assert count == 90 * 234
    listing = list_actions(list((await lines_of(database)).values()), View(), frozenset())
    assert (listing.total, len(listing.lines)) == (234, PAGE_SIZE)


async def test_edge_48_days_that_microsoft_dropped_stay_here(system: System, still_clock: SetClock) -> None:
    await import_from_graph(system.resources)
    tenant = system.microsoft.tenant
    oldest = tenant.scores[-1]["createdDateTime"][:10]
    keep_days(tenant, 5)
    still_clock.move(timedelta(days=1).total_seconds())
    await import_from_graph(system.resources)
    async with system.resources.database.transaction() as session:
        days = await day_scores(session, system.resources.config.tenant_id, 400)
    assert len(days) == 90
    assert days[0].day.isoformat() == oldest
