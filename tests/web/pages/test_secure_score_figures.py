"""What the pages say about figures that are old, missing, rescaled or not what they look like."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from app.core import clock
from app.core.clock import SetClock
from app.features.secure_score.jobs import scheduled_sync
from tests.factories.graph_payloads import keep, keep_days, profile, score, snapshot
from tests.factories.provisioning import diagnose
from tests.factories.system import System


def words(page: str) -> str:
    """The text of a page, without tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


async def keep_days_of_score(
    system: System, days: list[dict[str, Any]], profiles: list[dict[str, Any]] | None = None
) -> None:
    tenant_id = system.resources.config.tenant_id
    for item in [*days, *(profiles or [])]:
        item["azureTenantId"] = tenant_id
    await keep(system.resources.database, snapshots=days, profiles=profiles, tenant_id=tenant_id)


@pytest.mark.fact("microsoft-graph 1.8")
async def test_an_old_score_is_said_wherever_its_freshness_is_judged(system: System, still_clock: SetClock) -> None:
    system.microsoft.tenant.reset()
    keep_days(system.microsoft.tenant, 3)
    await scheduled_sync.function(system.resources)
    newest = system.microsoft.tenant.newest
    still_clock.move((newest + timedelta(days=27) - clock.now().date()).days * 86400)
    # The imports go on to succeed, and bring nothing new.
    await scheduled_sync.function(system.resources)
    said = "Microsoft’s newest score is 27 days old. It normally makes one a day."
    async with await system.signed_in("manager") as browser:
        for path in ("/", "/secure-score", "/secure-score/imports"):
            assert said in (await browser.get(path)).text, path
    finding = (await diagnose(system))["score_stale"]
    assert "newest score is 27 days old" in str(finding.meaning)


async def test_a_fall_of_the_percentage_by_a_higher_maximum_is_explained_where_the_number_stands(
    system: System,
) -> None:
    today = clock.now().date()
    days = [
        snapshot(today - timedelta(days=ago), [score("A", 100, 50)], maxScore=300 if ago < 10 else 200)
        for ago in range(45)
    ]
    await keep_days_of_score(system, days)
    raised = today - timedelta(days=9)
    spelled = f"{raised.day} {raised:%b %Y}"
    said = f"50% → 33.3%: 100 possible points were added on {spelled}."
    async with await system.signed_in("viewer") as browser:
        assert said in (await browser.get("/")).text
        overview = (await browser.get("/secure-score")).text
    assert said in overview
    assert f"{spelled} The maximum went from 200 to 300 points." in words(overview)


@pytest.mark.fact("microsoft-graph 1.2")
async def test_a_score_without_a_readable_total_is_said_to_be_that(system: System) -> None:
    today = clock.now().date()
    await keep_days_of_score(system, [snapshot(today - timedelta(days=1), currentScore="289,0")], [profile()])
    async with await system.signed_in("viewer") as browser:
        assert "came without a readable total, so it cannot be shown" in (await browser.get("/secure-score")).text
        await keep_days_of_score(system, [snapshot(today - timedelta(days=2))])
        overview = (await browser.get("/secure-score")).text
    assert "came without a readable total, so this is the one of" in overview


@pytest.mark.fact("microsoft-graph 1.3")
async def test_users_affected_are_those_who_are_left(system: System) -> None:
    controls = [
        score("Done", 8, 100, count="50", total="50", implementationStatus="You have 0 of 50 users that don’t."),
        score("Device", 0, 0, implementationStatus="3/128 exposed devices", controlCategory="Device"),
        score("Old", 0, 0, count="50", total="50"),
    ]
    await keep_days_of_score(system, [snapshot(clock.now().date(), controls)])
    async with await system.signed_in("viewer") as browser:
        done, device, old = [
            words((await browser.get(f"/secure-score/actions/{key}")).text) for key in ("Done", "Device", "Old")
        ]
    assert "Still affected 0 of 50 Done already 50 of 50" in done
    assert "3/128 exposed devices" in device
    assert "Microsoft gives no count" not in device
    assert "Still affected" not in old
    assert "This count does not fit the percentage achieved" in old


@pytest.mark.thorough
async def test_what_is_left_out_is_said_beside_the_figure(system: System) -> None:
    controls = [
        score("A", 5, 100, controlCategory="Data"),
        score("B", 5, 100, controlCategory="Data"),
        score("C", 0, 0, controlCategory="Data"),
    ]
    day = snapshot(clock.now().date(), controls, currentScore=110, maxScore=200)
    profiles = [profile(key, maxScore=5, controlCategory="Data") for key in "AB"]
    profiles[0]["actionType"] = "ProviderGenerated"
    await keep_days_of_score(system, [day], profiles)
    async with await system.signed_in("viewer") as browser:
        overview = words((await browser.get("/secure-score?include=licence")).text)
        action = words((await browser.get("/secure-score/actions/A")).text)
    assert "Data 100% of 2 of 3 actions Current licence score 100%" in overview
    assert "190 of the 200 possible points belong to no action whose maximum is known" in overview
    assert "5 of these points come from 1 action that Microsoft marks as set by its own defaults." in overview
    assert "Kind of work Set by Microsoft’s defaults" in action


@pytest.mark.thorough
async def test_points_that_cannot_be_read_are_not_told_as_an_unknown_maximum(system: System) -> None:
    controls = [score("A", "4,5", 45, controlCategory="Data"), score("B", 1, 10, controlCategory="Apps")]
    day = snapshot(clock.now().date(), controls, currentScore=1, maxScore=20)
    profiles = [profile("A", controlCategory="Data"), profile("B", controlCategory="Apps", maxScore=10)]
    await keep_days_of_score(system, [day], profiles)
    async with await system.signed_in("viewer") as browser:
        overview = words((await browser.get("/secure-score")).text)
    assert "1 action is left out, because its points or its maximum are not known." in overview
    assert "Data – 1 action whose points or maximum are not known is not in it (points: 0)" in overview
    assert "Planned score · 1 point " in overview


@pytest.mark.thorough
async def test_a_link_in_an_old_ticket_leads_to_the_actions_new_id(system: System) -> None:
    today = clock.now().date()
    for ago, key in ((1, "MDA_Okta_Mfa"), (0, "11770.MDA_Okta_Mfa")):
        await keep_days_of_score(system, [snapshot(today - timedelta(days=ago), [score(key, 2, 40)])])
    async with await system.signed_in("viewer") as browser:
        answer = await browser.get("/secure-score/actions/MDA_Okta_Mfa?tab=history", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            "/secure-score/actions/11770.MDA_Okta_Mfa?tab=history",
        )
        assert (await browser.get("/secure-score/actions/nowhere")).status_code == 404
    # So do forms that were opened before the import: nothing typed is lost, and no action is left out silently.
    async with await system.signed_in("manager") as browser:
        answer = await browser.post("/secure-score/actions/notes?action=MDA_Okta_Mfa", data={"note": "Ask Kim"})
        assert answer.headers["location"] == "/secure-score/actions/11770.MDA_Okta_Mfa#notes"
        assert "Ask Kim" in (await browser.get("/secure-score/actions/11770.MDA_Okta_Mfa")).text
        form = await browser.get("/tickets/new?action=MDA_Okta_Mfa")
        assert (form.status_code, "11770.MDA_Okta_Mfa" in form.text) == (200, True)


@pytest.mark.thorough
async def test_a_declaration_that_microsoft_is_not_told_says_so(system: System) -> None:
    await keep_days_of_score(system, [snapshot(clock.now().date(), [score("A", 0, 0)])], [profile("A", maxScore=5)])
    async with await system.signed_in("manager") as browser:
        await browser.post("/secure-score/actions/status?action=A", data={"status": "third_party"})
        page = (await browser.get("/secure-score/actions/A")).text
    assert "Microsoft is not told, because writing back is switched off" in page


@pytest.mark.thorough
async def test_learn_more_lists_microsofts_own_links_before_a_search(system: System) -> None:
    text = "<p>See <a href='https://learn.microsoft.com/entra/mfa'>How MFA works</a> or <a href=https://aka.ms/mfa>here</a>.</p>"
    await keep_days_of_score(
        system, [snapshot(clock.now().date(), [score("A", 1, 100)])], [profile("A", maxScore=1, remediation=text)]
    )
    async with await system.signed_in("viewer") as browser:
        page = (await browser.get("/secure-score/actions/A?tab=implementation")).text
    more = page.partition("Learn more")[2]
    assert more.index("How MFA works") < more.index("aka.ms/mfa") < more.index("Search Microsoft Learn")
    assert "of 1 point<" in page
