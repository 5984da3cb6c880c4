"""Front-channel logout ends one session here; a person without a role is told what is missing, and has a way on."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.features.accounts.models import WebSession
from app.integrations.http.errors import Unreachable
from app.integrations.microsoft.schemas import Identity, RoleClaims
from tests.factories.connecting import said
from tests.factories.leaving import leads_to
from tests.factories.microsoft import OUTSIDER
from tests.factories.signing_in import sign_in
from tests.factories.system import System


@pytest.mark.parametrize("path", ["/sign-out/front-channel", "/sign-out/elsewhere"])
@pytest.mark.fact("microsoft-graph edge-55")
async def test_front_channel_logout_ends_the_right_session_without_cookies(system: System, path: str) -> None:
    one, other = await system.signed_in("manager"), await system.signed_in("manager")
    async with system.resources.database.transaction() as session:
        stored = list((await session.execute(select(WebSession))).scalars())
        for number, row in enumerate(stored):
            row.sid = f"session-{number}"
    issuer = f"{system.microsoft.url}/{system.resources.config.tenant_id}/v2.0"
    async with system.client() as frame:
        for query in ("", "?sid=", "?sid=unknown", "?sid=session-0&iss=https://evil.example"):
            assert (await frame.get(f"{path}{query}")).status_code == 200
        assert [(await browser.get("/secure-score")).status_code for browser in (one, other)] == [200, 200]
        gone = await frame.get(path, params={"sid": "session-0", "iss": issuer})
        assert (gone.status_code, gone.content) == (200, b"")
    statuses = sorted([(await browser.get("/secure-score")).status_code for browser in (one, other)])
    assert statuses == [200, 303]


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        (RoleClaims.SENT, "Your account has no role here yet"),
        (RoleClaims.ABSENT, "Token configuration, Add groups claim, choose Directory roles"),
        (RoleClaims.OVERAGE, "left roles and groups out of its answer"),
    ],
)
@pytest.mark.fact("microsoft-graph 2.3", "microsoft-graph edge-54")
async def test_who_has_no_role_is_told_whether_entra_id_sends_roles_at_all(
    system: System, monkeypatch: pytest.MonkeyPatch, claims: RoleClaims, says: str
) -> None:
    async def redeem(*_: object, **__: object) -> Identity:
        tenant = system.resources.config.tenant_id
        return Identity("oid", tenant, "Nestor Wilke", "", frozenset(), frozenset(), role_claims=claims)

    monkeypatch.setattr("app.integrations.microsoft.entra.EntraClient.redeem", redeem)
    async with system.client() as browser:
        await sign_in(browser, OUTSIDER)
        page = await browser.get("/secure-score")
    assert page.status_code == 403
    assert says in said(page)
    assert ("step 6" in said(page)) == (claims != RoleClaims.SENT)
    assert "Security Reader" in said(page)
    assert 'action="/sign-out"' in page.text


async def test_signing_out_ends_the_session_here_also_while_microsoft_cannot_be_reached(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = await system.signed_in("manager")
    out = await browser.post("/sign-out")
    assert leads_to(out).startswith(f"{system.microsoft.url}/{system.resources.config.tenant_id}/oauth2/v2.0/logout?")
    assert "You are signed out here" in said(out)
    assert "Alex Wilber" not in said(out)

    async def unreachable(*_: object, **__: object) -> str:
        raise Unreachable

    monkeypatch.setattr("app.integrations.microsoft.entra.EntraClient.logout_url", unreachable)
    browser = await system.signed_in("manager")
    out = await browser.post("/sign-out")
    assert (out.status_code, out.headers["location"]) == (303, "/signed-out")
    assert (await browser.get("/secure-score")).status_code == 303
