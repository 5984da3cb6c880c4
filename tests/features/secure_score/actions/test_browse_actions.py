"""Finding actions for tickets and other pages."""

from __future__ import annotations

import pytest

from app.core.database import Database
from app.core.errors import NotFound
from app.features.secure_score.actions.action_list import View, list_actions
from app.features.secure_score.actions.action_rows import load_lines
from app.features.secure_score.actions.browse_actions import find_action, find_actions
from app.features.secure_score.reports.day_scores import day_scores
from app.features.secure_score.vocabulary import category_of
from app.features.tickets.sharing.form_defaults import describe
from tests.factories.graph_payloads import TENANT, keep, profile, score, snapshot
from tests.factories.secure_score import lines_of


@pytest.mark.fact("microsoft-graph edge-37")
@pytest.mark.parametrize(
    ("raw", "category"),
    [
        ("Device", "Devices"),
        ("Devices", "Devices"),
        ("App", "Apps"),
        ("Apps", "Apps"),
        ("Account", "Identity"),
        ("data", "Data"),
        ("Infrastructure", "Infrastructure"),
        ("Containers", None),
        ("", None),
    ],
)
async def test_categories_are_the_five_or_unknown(database: Database, raw: str, category: str | None) -> None:
    assert category_of(raw) == category
    await keep(
        database,
        snapshots=[snapshot(controls=[score("A", controlCategory=raw)])],
        profiles=[profile("A", controlCategory=raw)],
    )
    async with database.transaction() as session:
        action = await find_action(session, TENANT, "A")
        [line] = await load_lines(session, TENANT)
    assert action.category == category
    assert line.category_name == (category or raw)


@pytest.mark.parametrize(
    ("impact", "said_to_users"),
    [("<p>People are asked <b>once</b>.</p>", "People are asked once."), ("None.", None), ("", None)],
)
async def test_a_ticket_says_what_users_notice_in_microsofts_words_and_no_rating(
    database: Database, impact: str, said_to_users: str | None
) -> None:
    await keep(
        database,
        snapshots=[snapshot(controls=[score("AdminMFAV2")])],
        profiles=[profile("AdminMFAV2", userImpact="Moderate", remediationImpact=impact)],
    )
    async with database.transaction() as session:
        text = describe(await find_action(session, TENANT, "AdminMFAV2"))
    assert "Moderate" not in text
    assert ("What users will notice:" in text) == (said_to_users is not None)
    assert (said_to_users or "") in text


@pytest.mark.fact("microsoft-graph edge-30")
async def test_equal_titles_stay_apart_by_id_and_product(database: Database) -> None:
    services = {"MDA_SF_Mfa": "MDA_SF", "MDA_SNOW_Mfa": "MDA_SNOW", "MDA_Zoom_Mfa": "MDA_Zoom"}
    profiles = [profile(key, title="Enable MFA", service=service) for key, service in services.items()]
    await keep(database, snapshots=[snapshot(controls=[score(key) for key in services])], profiles=profiles)
    shown = list_actions(list((await lines_of(database)).values()), View(search="enable mfa"), frozenset()).lines
    assert sorted(line.product for line in shown) == ["Salesforce", "ServiceNow (scored app)", "Zoom"]
    async with database.transaction() as session:
        found = await find_actions(session, TENANT, ["MDA_Zoom_Mfa", "MDA_SF_Mfa", "MDA_Zoom_Mfa", "nothing"])
    assert [action.control_id for action in found] == ["MDA_Zoom_Mfa", "MDA_SF_Mfa"]


@pytest.mark.fact("microsoft-graph edge-31")
async def test_two_tenants_never_mix(database: Database) -> None:
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
