"""Secure Score's pages, as each role sees them."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from app.features.secure_score.jobs import keep_up
from tests.factories.house import House

REGRESSED = "/secure-score/actions/BlockLegacyAuthentication"
PAGES = (
    "/secure-score",
    "/secure-score/actions",
    REGRESSED,
    f"{REGRESSED}?tab=implementation",
    f"{REGRESSED}?tab=history",
)


@pytest.fixture
async def scored(house: House) -> House:
    await keep_up.function(house.resources)
    return house


async def test_pages_open_for_whoever_may_look(scored: House) -> None:
    for role in ("manager", "sharer", "viewer"):
        async with await scored.signed_in(role) as browser:
            for path in PAGES:
                assert (await browser.get(path)).status_code == 200, (role, path)


async def test_pages_stay_closed_for_others(house: House) -> None:
    async with await house.signed_in("stranger") as stranger, house.client() as nobody:
        for path in (*PAGES, "/secure-score/imports"):
            assert (await stranger.get(path)).status_code == 403, path
            assert (await nobody.get(path)).status_code == 303, path


async def test_the_empty_house_says_what_to_wait_for(house: House) -> None:
    async with await house.signed_in("viewer") as browser:
        for path in ("/secure-score", "/secure-score/actions"):
            answer = await browser.get(path)
            assert "No score yet" in answer.text
        assert (await browser.get("/secure-score/actions/Nothing")).status_code == 404


async def test_only_a_manager_syncs(scored: House) -> None:
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


async def test_sharing_with_servicenow_is_offered_to_sharers_only(scored: House) -> None:
    async with await scored.signed_in("sharer") as browser:
        page = (await browser.get(REGRESSED)).text
    assert "/tickets/new?action=BlockLegacyAuthentication" in page
    async with await scored.signed_in("viewer") as browser:
        page = (await browser.get(REGRESSED)).text
    assert "/tickets/new" not in page
    assert "https://teams.microsoft.com/share?href=http" in page
    assert "mailto:?subject=Block%20sign-ins" in page
    assert f'data-copy="http://security-center.test{REGRESSED}"' in page


async def test_the_list_filters_sorts_and_pages(scored: House) -> None:
    async with await scored.signed_in("viewer") as browser:
        page = (await browser.get("/secure-score/actions?category=Identity&status=to_address&sort=impact&q=sign")).text
        assert "Block sign-ins that use legacy authentication" in page
        assert "Turn on Safe Attachments" not in page
        second = (await browser.get("/secure-score/actions?page=2")).text
        assert "Page 2 of 3" in second
        assert "No action fits" in (await browser.get("/secure-score/actions?q=zzzz")).text


async def test_ids_with_anything_in_them_have_a_page(scored: House) -> None:
    async with await scored.signed_in("viewer") as browser:
        for control_id in ("scid_2021", "mdo_safeattachments"):
            answer = await browser.get(f"/secure-score/actions/{quote(control_id, safe='')}")
            assert answer.status_code == 200
