"""Secure Score's pages, as each role sees them."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import quote

import pytest

from app.features.secure_score.jobs import scheduled_sync
from app.features.secure_score.reports.no_score import why_no_score
from app.features.secure_score.sync.import_scores import import_from_graph
from sandbox.graph_faults import GraphFault
from tests.factories.system import System

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


async def test_pages_open_for_whoever_may_look(scored: System) -> None:
    for role in ("manager", "sharer", "viewer"):
        async with await scored.signed_in(role) as browser:
            for path in PAGES:
                assert (await browser.get(path)).status_code == 200, (role, path)


async def test_pages_stay_closed_for_others(system: System) -> None:
    async with await system.signed_in("stranger") as stranger, system.client() as nobody:
        for path in (*PAGES, "/secure-score/imports"):
            assert (await stranger.get(path)).status_code == 403, path
            assert (await nobody.get(path)).status_code == 303, path


async def test_the_empty_house_says_what_to_wait_for(system: System) -> None:
    async with await system.signed_in("viewer") as browser:
        for path in WITHOUT_A_SCORE:
            page = (await browser.get(path)).text
            assert "No score yet" in page, path
            assert "The first import begins by itself within a minute" in page, path
            assert "See the imports" not in page, path
        assert (await browser.get("/secure-score/actions/Nothing")).status_code == 404


async def test_edge_04_each_page_says_why_there_is_no_score_and_what_to_do(system: System) -> None:
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


async def test_sharing_with_servicenow_is_offered_to_sharers_only(scored: System) -> None:
    async with await scored.signed_in("sharer") as browser:
        page = (await browser.get(REGRESSED)).text
    assert "/tickets/new?action=BlockLegacyAuthentication" in page
    async with await scored.signed_in("viewer") as browser:
        page = (await browser.get(REGRESSED)).text
    assert "/tickets/new" not in page
    assert "https://teams.microsoft.com/share?href=http" in page
    assert "mailto:?subject=Block%20sign-ins" in page
    assert f'data-copy="http://security-center.test{REGRESSED}"' in page


async def test_the_list_filters_sorts_and_pages(scored: System) -> None:
    async with await scored.signed_in("viewer") as browser:
        page = (await browser.get("/secure-score/actions?category=Identity&status=to_address&sort=impact&q=sign")).text
        assert "Block sign-ins that use legacy authentication" in page
        assert "Turn on Safe Attachments" not in page
        second = (await browser.get("/secure-score/actions?page=2")).text
        assert "Page 2 of 3" in second
        assert "No action fits" in (await browser.get("/secure-score/actions?q=zzzz")).text


async def test_ids_with_anything_in_them_have_a_page(scored: System) -> None:
    async with await scored.signed_in("viewer") as browser:
        for control_id in ("scid_2021", "mdo_safeattachments"):
            answer = await browser.get(f"/secure-score/actions/{quote(control_id, safe='')}")
            assert answer.status_code == 200


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


async def test_an_action_says_when_microsoft_changed_it_and_when_it_regressed(scored: System) -> None:
    async with await scored.signed_in("viewer") as browser:
        glance = (await browser.get(REGRESSED)).text.partition("At a glance")[2]
        implementation = (await browser.get(f"{REGRESSED}?tab=implementation")).text
    for fact in ("Microsoft update", "First scored", "Last synced", "<dt>Regressed</dt>"):
        assert fact in glance, fact
    assert "Learn more" in implementation
    assert "https://learn.microsoft.com/search/?terms=Block%20sign-ins" in implementation
