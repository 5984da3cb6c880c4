"""The pages of Secure Score, as each role sees them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from app.features.secure_score.jobs import scheduled_sync
from app.features.secure_score.reports.no_score import why_no_score
from app.features.secure_score.sync.import_scores import import_from_graph
from sandbox.graph_faults import GraphFault
from tests.factories.system import System

QUERIES = (
    "",
    "?days=30",
    "?days=365&category=Identity",
    "?since=2026-10-01&until=2026-10-31",
    "?since=x&days=y&category=z",
    "?since=2027-01-01&until=2020-01-01",
    "?until=0001-01-01",
)


REGRESSED = "/secure-score/actions/BlockLegacyAuthentication"


PAGES = (
    "/secure-score",
    "/secure-score/actions",
    REGRESSED,
    f"{REGRESSED}?tab=implementation",
    f"{REGRESSED}?tab=history",
)


WITHOUT_A_SCORE = ("/", "/secure-score", "/secure-score/actions", "/secure-score/history", "/secure-score/trends")


@pytest.fixture
async def scored(system: System) -> System:
    await scheduled_sync.function(system.resources)
    return system


@pytest.mark.fact("microsoft-graph edge-48")
async def test_missing_days_are_gaps_in_the_plot(system: System) -> None:
    await import_from_graph(system.resources)
    async with await system.signed_in("viewer") as browser:
        page = (await browser.get("/secure-score")).text
    assert ", null, " in page


async def test_zones_are_the_organisations_own(scored: System) -> None:
    async with await scored.signed_in("manager") as browser:
        assert "okay" in (await browser.get("/secure-score")).text
        for okay, good in (("60", "50"), ("0", "50"), ("a", "")):
            form = {"okay_from": okay, "good_from": good}
            refused = await browser.post("/secure-score/zones", data=form)
            assert refused.status_code == 422
            assert f'value="{form["okay_from"]}"' in refused.text
        assert (
            await browser.post("/secure-score/zones", data={"okay_from": "10", "good_from": "20.5"})
        ).status_code == 303
        page = (await browser.get("/secure-score/trends")).text
        assert 'value="20.5"' in page
        assert "Set by Alex Wilber" in page
        assert ">good</text>" in (await browser.get("/secure-score")).text


async def test_history_and_trends_take_times_and_categories(system: System) -> None:
    system.microsoft.tenant.reset()
    await scheduled_sync.function(system.resources)
    async with await system.signed_in("viewer") as browser:
        for query in QUERIES:
            for path in ("history", "trends"):
                assert (await browser.get(f"/secure-score/{path}{query}")).status_code == 200, (path, query)
        october = (await browser.get("/secure-score/history?since=2026-10-06&until=2026-10-31&category=Identity")).text
        assert ">5 Oct 2026" not in october
        assert "Microsoft Defender for Endpoint" not in october
        assert "The plot shows the whole score" in october
        last_day_alone = (await browser.get("/secure-score/history?days=30&since=&until=2026-10-31")).text
        assert 'name="since" value="2026-10-02"' in last_day_alone
        assert 'name="until" value="2026-10-31"' in last_day_alone
        assert "The plot shows the whole score" not in last_day_alone
        beyond = (await browser.get("/secure-score/history?page=99")).text
        assert "46 changes" in beyond


async def test_pages_open_for_every_role(scored: System) -> None:
    for role in ("manager", "sharer", "viewer"):
        async with await scored.signed_in(role) as browser:
            for path in PAGES:
                assert (await browser.get(path)).status_code == 200, (role, path)


async def test_pages_stay_closed_for_others(system: System) -> None:
    async with await system.signed_in("outsider") as without_role, system.client() as signed_out:
        for path in (*PAGES, "/secure-score/imports"):
            assert (await without_role.get(path)).status_code == 403, path
            assert (await signed_out.get(path)).status_code == 303, path


async def test_without_an_import_pages_say_what_to_wait_for(system: System) -> None:
    async with await system.signed_in("viewer") as browser:
        for path in WITHOUT_A_SCORE:
            page = (await browser.get(path)).text
            assert "No score yet" in page, path
            assert "The first import begins by itself within a minute" in page, path
            assert "See the imports" not in page, path
        assert (await browser.get("/secure-score/actions/Nothing")).status_code == 404


@pytest.mark.fact("microsoft-graph edge-4")
async def test_each_page_says_why_there_is_no_score_and_what_to_do(system: System) -> None:
    system.microsoft.tenant.faults["forbidden"] = 2
    await scheduled_sync.function(system.resources)
    async with await system.signed_in("manager") as manager, await system.signed_in("viewer") as viewer:
        for path in WITHOUT_A_SCORE:
            page, read = (await manager.get(path)).text, (await viewer.get(path)).text
            assert "SecurityEvents.Read.All" in page, path
            assert "See the imports" in page, path
            assert "Ask a Security Administrator of your organisation to look at the imports." in read, path
        system.microsoft.tenant.faults["empty"] = 2
        await import_from_graph(system.resources)
        for path in WITHOUT_A_SCORE:
            assert "Microsoft Graph answered, and has no score for your organisation." in (await viewer.get(path)).text
        system.microsoft.tenant.orders = [GraphFault("not_json", what="secureScores")]
        await import_from_graph(system.resources)
        for path in WITHOUT_A_SCORE:  # The catalog alone is no score.
            assert "did not bring a score. It is tried again by itself." in (await viewer.get(path)).text, path
        assert "Title" not in (await viewer.get("/secure-score/actions")).text
        assert "146 actions" in (await viewer.get("/secure-score/actions?licence=no")).text
        await manager.post("/secure-score/sync")
        for path in WITHOUT_A_SCORE:
            assert "The import from Microsoft Graph is under way." in (await viewer.get(path)).text, path


async def test_another_tenants_files_that_are_missing_are_asked_for(system: System) -> None:
    config = replace(system.resources.config, shown_tenant_id="another")
    async with system.resources.database.transaction() as session:
        why = await why_no_score(session, config)
    assert "python -m app import" in str(why.why)
    assert not why.can_wait


async def test_only_a_manager_syncs(scored: System) -> None:
    for role in ("viewer", "sharer"):
        async with await scored.signed_in(role) as browser:
            assert (await browser.post("/secure-score/sync")).status_code == 403
            assert (await browser.get("/secure-score/imports")).status_code == 403
            assert "Sync now" not in (await browser.get("/secure-score")).text
    async with await scored.signed_in("manager") as browser:
        answer = await browser.post("/secure-score/sync")
        assert (answer.status_code, answer.headers["location"]) == (303, "/secure-score/imports")
        page = (await browser.get("/secure-score/imports")).text
        assert "Waiting" in page
        assert 'data-refresh="2"' in page
        assert (await browser.post("/secure-score/sync")).status_code == 409
        await scored.work()
        fragment = (await browser.get("/secure-score/imports", headers={"hx-request": "true"})).text
        assert "<html" not in fragment
        assert "data-refresh" not in fragment


async def test_the_overview_shows_the_latest_changes_users_and_where_to_read_on(scored: System) -> None:
    async with await scored.signed_in("viewer") as browser:
        page = (await browser.get("/secure-score")).text
        history = (await browser.get("/secure-score/history")).text
    newest = page.partition("Latest changes")[2].partition("</table>")[0]
    shown = re.findall(r'actions/([^"?]+)\?tab=history', newest)
    assert len(shown) == 6
    assert shown == re.findall(r'actions/([^"?]+)\?tab=history', history)[:6]
    assert "Users as Microsoft counts them:" in page
    assert "https://learn.microsoft.com/" in page
