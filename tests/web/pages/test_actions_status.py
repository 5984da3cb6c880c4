"""The status of an action as its page and the list show it."""

from __future__ import annotations

import pytest

from app.features.secure_score.reports.overview import reviews, targets
from tests.factories.graph_payloads import keep, profile, score, snapshot
from tests.factories.secure_score import lines_of, state_update
from tests.factories.system import System


@pytest.mark.fact("microsoft-graph edge-43")
async def test_declared_points_are_marked_and_accepted_risks_leave_the_to_do_list(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    states = {"Declared": "ThirdParty", "Accepted": "Ignored", "Open": "Default"}
    await keep(
        system.resources.database,
        snapshots=[snapshot(
            controls=[score("Declared", 10, 100), score("Accepted", 0, 0), score("Open", 0, 0)], azureTenantId=tenant_id
        )],
        profiles=[
            profile(key, controlStateUpdates=[state_update(state, "2026-03-01T00:00:00Z")], azureTenantId=tenant_id)
            for key, state in states.items()
        ],
        tenant_id=tenant_id,
    )  # fmt: skip
    async with await system.signed_in("viewer") as browser:
        assert "Microsoft does not verify it." in (await browser.get("/secure-score/actions/Declared")).text
        to_do = (await browser.get("/secure-score/actions?status=to_address")).text
        accepted = (await browser.get("/secure-score/actions?status=risk_accepted")).text
    assert ("Title of Open" in to_do, "Title of Accepted" in to_do) == (True, False)
    assert "Title of Accepted" in accepted
    lines = list((await lines_of(system.resources.database, tenant_id)).values())
    assert {str(review.label): review.count for review in reviews(lines)}["Risk accepted"] == 1
    by_name = {target.name: target.points for target in targets(lines, 10, 100)}
    assert (by_name["licence"], by_name["achievable"]) == (30, 20)


@pytest.mark.fact("microsoft-graph edge-44")
async def test_completed_and_device_actions_have_no_status_editor(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    keys = {"Done": 10, "scid_2021": 0, "Open": 0}
    await keep(
        system.resources.database,
        snapshots=[
            snapshot(
                controls=[score(key, points, points * 10) for key, points in keys.items()], azureTenantId=tenant_id
            )
        ],
        profiles=[profile(key, azureTenantId=tenant_id) for key in (*keys, "Unscored")],
        tenant_id=tenant_id,
    )
    async with await system.signed_in("manager") as browser:
        for key, editable in {"Done": False, "scid_2021": False, "Unscored": False, "Open": True}.items():
            page = (await browser.get(f"/secure-score/actions/{key}")).text
            assert ("Edit status and action plan" in page) is editable, key
            answer = await browser.post(f"/secure-score/actions/status?action={key}", data={"status": "risk_accepted"})
            assert answer.status_code == (303 if editable else 409), key
        assert (
            await browser.post("/secure-score/actions/status?action=Open", data={"status": "completed"})
        ).status_code == 422
        assert (
            await browser.post("/secure-score/actions/status?action=None", data={"status": "planned"})
        ).status_code in (404,)
