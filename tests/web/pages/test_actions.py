"""The list and the page of an action: what they show of odd texts, ids and links."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from app.core.errors import NotFound
from app.features.secure_score.actions.browse_actions import find_action
from app.features.secure_score.actions.portal_links import manage_link
from app.features.secure_score.html_text import is_web_address
from app.features.secure_score.jobs import scheduled_sync
from app.features.secure_score.vocabulary import product_of
from tests.factories.graph_payloads import keep, keep_servicenow_as_a_product, profile, score, snapshot
from tests.factories.system import System

ADDRESSES: dict[Any, bool] = {
    "https://entra.microsoft.com/#view": True,
    "http://intranet.example/x": True,
    "https://compliance.microsoft.com/": True,
    "https://security.microsoft.us/x": True,
    "not a link": False,
    "javascript:alert(1)": False,
    "": False,
    None: False,
    "ftp://files.example": False,
    "https://": False,
    "https://[broken": False,
}


ODD_IDS = [
    "11770.MDA_Google_EnableTwoFactorAuth", "MDA_Google_EnableTwoFactorAuth", "mda_google_enabletwofactorauth",
    "with blank", "with/slash", "with.dot", "a?b=c&d", "100%", "#hash", "quote'\"<b>", "名前", "a+b", "../up", "x/history",
]  # fmt: skip


def _path(key: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - only here.

    return f"/secure-score/actions/{quote(key, safe='')}"


REGRESSED = "/secure-score/actions/BlockLegacyAuthentication"


@pytest.fixture
async def scored(system: System) -> System:
    await scheduled_sync.function(system.resources)
    return system


@pytest.mark.fact("microsoft-graph edge-32")
async def test_every_text_of_an_action_is_sanitised_on_its_page(system: System) -> None:
    nasty = "<p>Text<script>alert(1)</script><a href='javascript:alert(1)'>l</a><img src=x onerror=alert(1)></p>"
    tenant_id = system.resources.config.tenant_id
    await keep(
        system.resources.database,
        snapshots=[
            snapshot(controls=[score("A", description=nasty, implementationStatus=nasty)], azureTenantId=tenant_id)
        ],
        profiles=[profile("A", remediation=nasty, remediationImpact=nasty, title=nasty, azureTenantId=tenant_id)],
        tenant_id=tenant_id,
    )
    async with await system.signed_in("manager") as browser:
        for path in ("A", "A?tab=implementation", "A?tab=history"):
            page = (await browser.get(f"/secure-score/actions/{path}")).text
            assert "<script>alert" not in page
            assert "onerror=alert(1)>" not in page.replace("&gt;", "")
            assert "href='javascript" not in page
            assert 'href="javascript' not in page


@pytest.mark.fact("microsoft-graph edge-35")
async def test_missing_texts_have_sensible_words_in_their_place(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    await keep(
        system.resources.database,
        snapshots=[snapshot(controls=[score("A", description="", implementationStatus="search is enabled disabled")],
                            azureTenantId=tenant_id)],
        profiles=[profile("A", remediation="", remediationImpact=None, azureTenantId=tenant_id)],
        tenant_id=tenant_id,
    )  # fmt: skip
    async with await system.signed_in("viewer") as browser:
        general = (await browser.get("/secure-score/actions/A")).text
        steps = (await browser.get("/secure-score/actions/A?tab=implementation")).text
    assert "Microsoft gives no description." in general
    assert "Microsoft says nothing about it." in general
    assert "Microsoft gives no steps." in steps
    assert "search is enabled disabled" in steps


@pytest.mark.fact("microsoft-graph edge-40")
async def test_titles_of_any_kind(system: System) -> None:
    titles = ["  Trailing   spaces  ", "x" * 400, "שלום <עולם>", "a\nb\tc", "\u0027quoted\u0027", ""]
    named = {f"C{number}": title for number, title in enumerate(titles)}
    tenant_id = system.resources.config.tenant_id
    await keep(
        system.resources.database,
        snapshots=[snapshot(controls=[score(key) for key in named], azureTenantId=tenant_id)],
        profiles=[profile(key, title=title, azureTenantId=tenant_id) for key, title in named.items()],
        tenant_id=tenant_id,
    )
    async with system.resources.database.transaction() as session, await system.signed_in("viewer") as browser:
        for key, title in named.items():
            action = await find_action(session, tenant_id, key)
            assert action.title == (" ".join(title.split()) or key)
            assert (await browser.get(f"/secure-score/actions/{key}")).status_code == 200


@pytest.mark.fact("microsoft-graph edge-41")
async def test_the_button_appears_for_web_addresses_only_and_names_what_it_opens(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    named = {f"C{number}": address for number, address in enumerate(ADDRESSES)}
    profiles = [profile(key, actionUrl=address, azureTenantId=tenant_id) for key, address in named.items()]
    await keep(system.resources.database, profiles=profiles, tenant_id=tenant_id)
    async with await system.signed_in("viewer") as browser:
        for key, address in named.items():
            shown = ADDRESSES[address]
            assert is_web_address(address or "") is shown
            page = (await browser.get(f"/secure-score/actions/{key}")).text
            link = manage_link(address or "", "global")
            assert (link is not None) is shown, address
            assert ("Open in Microsoft’s portal" in page) is (link is not None and link.is_portal)
            assert ("Open intranet.example" in page) is (link is not None and not link.is_portal)
            if link is not None:
                assert f'href="{link.url}"' in page


@pytest.mark.fact("microsoft-graph edge-56")
async def test_servicenow_as_a_scored_product_is_told_apart_from_the_ticket_system(system: System) -> None:
    assert product_of("MDA_SNOW") == "ServiceNow (scored app)"
    await keep_servicenow_as_a_product(system.resources.database, system.resources.config.tenant_id)
    async with await system.signed_in("sharer") as browser:
        found = (await browser.get("/secure-score/actions?product=ServiceNow+%28scored+app%29")).text
        searched = (await browser.get("/secure-score/actions?q=servicenow")).text
    for page in (found, searched):
        assert "1 action<" in page
        assert "Ensure MFA" in page
        assert "Sign mail" not in page


@pytest.mark.fact("microsoft-graph edge-26", "microsoft-graph edge-27")
async def test_odd_ids_are_rows_of_their_own_with_pages_of_their_own(system: System) -> None:
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
                continue  # A browser would resolve it; its row and its ticket still work.
            answer = await browser.get(path)
            assert answer.status_code == 200, key
            assert "About" in answer.text
    async with system.resources.database.transaction() as session:
        for key in ODD_IDS:
            assert (await find_action(session, tenant_id, key)).title == f"About {key}"
        for near in ("mda_google", "MDA_Google_EnableTwoFactor", "WITH BLANK", "with", "%", "_"):
            with pytest.raises(NotFound):
                await find_action(session, tenant_id, near)


@pytest.mark.fact("microsoft-graph 3.3")
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


async def test_an_action_says_when_microsoft_changed_it_and_when_it_regressed(scored: System) -> None:
    async with await scored.signed_in("viewer") as browser:
        glance = (await browser.get(REGRESSED)).text.partition("At a glance")[2]
        implementation = (await browser.get(f"{REGRESSED}?tab=implementation")).text
    for fact in ("Microsoft update", "First scored", "Last synced", "<dt>Regressed</dt>"):
        assert fact in glance, fact
    assert "Learn more" in implementation
    assert "https://learn.microsoft.com/search/?terms=Block%20sign-ins" in implementation


async def test_the_list_shows_the_opportunity_and_orders_by_it(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    controls = [score("Done", 10, 100), score("Begun", 3.5, 35), score("Stray", 1, ...)]
    await keep(
        system.resources.database,
        snapshots=[snapshot(controls=controls, azureTenantId=tenant_id)],
        profiles=[profile("Done", azureTenantId=tenant_id), profile("Begun", azureTenantId=tenant_id)],
        tenant_id=tenant_id,
    )
    async with await system.signed_in("viewer") as browser:
        page = (await browser.get("/secure-score/actions?sort=opportunity")).text
    assert re.findall(r'<td class="number" data-label="Opportunity">([^<]*)</td>', page) == ["6.5", "0", "–"]
    assert 'aria-sort="descending"' in page
