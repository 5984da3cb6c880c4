"""Status, notes and tags: what managers do, and what others may not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.core import clock
from tests.factories.graph_payloads import DAY, keep, profile, score, snapshot
from tests.factories.system import System

pytestmark = pytest.mark.thorough

ACTION = "BlockLegacyAuthentication"


PAGE = f"/secure-score/actions/{ACTION}"


WRITES = {
    f"/secure-score/actions/status?action={ACTION}": {"status": "risk_accepted"},
    f"/secure-score/actions/notes?action={ACTION}": {"note": "Seen"},
    f"/secure-score/actions/tags?action={ACTION}": {"tags": "mail"},
    f"/secure-score/actions/notes/remove?action={ACTION}&note=6f1c1b5a-0d3e-4c55-9a53-4d1f4e6f7a10": {},
    "/secure-score/zones": {"okay_from": "30", "good_from": "60"},
    "/secure-score/sync": {},
}


@pytest.mark.fact("microsoft-graph edge-53")
async def test_readers_get_403_on_every_write(scored: System) -> None:
    for role in ("viewer", "sharer"):
        async with await scored.signed_in(role) as browser:
            for address, form in WRITES.items():
                assert (await browser.post(address, data=form)).status_code == 403, (role, address)
            page = (await browser.get(PAGE)).text
        assert "Edit status and action plan" not in page
        assert 'action="/secure-score/action' not in page
    async with await scored.signed_in("manager") as browser:
        assert "No notes" not in (await browser.get(PAGE)).text


async def test_a_plan_needs_a_day_and_nothing_typed_is_lost(scored: System) -> None:
    address = f"/secure-score/actions/status?action={ACTION}"
    async with await scored.signed_in("manager") as browser:
        refused = await browser.post(address, data={"status": "planned", "reason": "With the <spring> roll-out"})
        assert refused.status_code == 422
        assert "When is it planned for?" in refused.text
        assert "With the &lt;spring&gt; roll-out" in refused.text
        past = await browser.post(address, data={"status": "planned", "planned_for": "2020-01-01"})
        assert "This day has passed." in past.text
        day = (clock.now() + timedelta(days=20)).date()
        done = await browser.post(
            address, data={"status": "planned", "planned_for": day.isoformat(), "reason": "Roll-out"}
        )
        assert (done.status_code, done.headers["location"]) == (303, PAGE)
        page = (await browser.get(PAGE)).text
        assert "Planned for" in page
        assert "Decided by Alex Wilber" in page
        history = (await browser.get(f"{PAGE}?tab=history")).text
        assert "To address → Planned" in history
        assert "Roll-out" in history
        assert "To address → Planned" in (await browser.get("/secure-score/history")).text
        assert ACTION in (await browser.get("/secure-score/actions?status=planned")).text
        again = await browser.post(address, data={"status": "to_address"})
        assert again.status_code == 303
        assert ACTION not in (await browser.get("/secure-score/actions?status=planned")).text


async def test_a_plan_that_comes_too_late_is_shown_again(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    days = [snapshot(DAY, [score("A", 10, 100)], azureTenantId=tenant_id)]
    profiles = [profile("A", azureTenantId=tenant_id)]
    await keep(system.resources.database, snapshots=days, profiles=profiles, tenant_id=tenant_id)
    typed = {"status": "risk_accepted", "reason": "A <long> typed plan"}
    async with await system.signed_in("manager") as browser:
        answer = await browser.post("/secure-score/actions/status?action=A", data=typed)
    assert answer.status_code == 409
    assert "A &lt;long&gt; typed plan" in answer.text


async def test_the_same_decision_again_is_no_event(scored: System) -> None:
    address = f"/secure-score/actions/status?action={ACTION}"
    async with await scored.signed_in("manager") as browser:
        for _ in range(2):
            await browser.post(address, data={"status": "risk_accepted"})
        page = (await browser.get(f"{PAGE}?tab=history")).text
    assert page.count("To address → Risk accepted") == 1
    assert "Risk accepted → Risk accepted" not in page


async def test_notes_carry_author_and_time_and_only_the_author_removes_them(scored: System) -> None:
    async with await scored.signed_in("manager") as browser:
        address = f"/secure-score/actions/notes?action={ACTION}"
        assert (await browser.post(address, data={"note": "  "})).status_code == 422
        assert (await browser.post(address, data={"note": "x" * 4001})).status_code == 422
        assert (await browser.post("/secure-score/actions/notes?action=nothing", data={"note": "x"})).status_code == 404
        assert (await browser.post(address, data={"note": "First line\n<script>alert(1)</script>"})).status_code == 303
        page = (await browser.get(PAGE)).text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "Alex Wilber," in page
        remove = page.split('action="/secure-score/actions/notes/remove')[1].split('"')[0].replace("&amp;", "&")
        assert (
            '<td class="number" data-label="Notes">1</td>'
            in (await browser.get("/secure-score/actions?col=notes")).text
        )
        assert (await browser.post(f"/secure-score/actions/notes/remove{remove}")).status_code == 303
        assert (await browser.post(f"/secure-score/actions/notes/remove{remove}")).status_code == 404
        assert "First line" not in (await browser.get(PAGE)).text


async def test_tags_filter_the_list(scored: System) -> None:
    async with await scored.signed_in("manager") as browser:
        address = "/secure-score/actions/tags?action="
        assert (await browser.post(address + ACTION, data={"tags": "Quick win,  quick WIN , Mail"})).status_code == 303
        assert (await browser.post(address + "mdo_safedocuments", data={"tags": "mail"})).status_code == 303
        page = (await browser.get("/secure-score/actions?tag=Mail&col=tags")).text
        assert "2 actions" in page
        assert (await browser.post(address + ACTION, data={"tags": "x" * 41})).status_code == 422
        many = ",".join(f"t{number}" for number in range(21))
        assert (await browser.post(address + ACTION, data={"tags": many})).status_code == 422
        assert (await browser.post(address + ACTION, data={"tags": ""})).status_code == 303
        assert "1 action<" in (await browser.get("/secure-score/actions?tag=Mail")).text


async def test_selected_actions_lead_to_the_share_form(scored: System) -> None:
    async with await scored.signed_in("sharer") as browser:
        page = (await browser.get("/secure-score/actions")).text
    assert '<form method="post" action="/tickets/selection">' in page  # Hundreds do not fit into an address.
    assert f'<input type="checkbox" name="action" value="{ACTION}"' in page
    assert 'name="as" value="each"' in page
    assert 'name="as" value="one"' in page
    async with await scored.signed_in("viewer") as browser:
        page = (await browser.get("/secure-score/actions")).text
    assert "/tickets/" not in page.split("<main", 1)[1]
    assert 'name="action"' not in page
