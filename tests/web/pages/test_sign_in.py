"""Front-channel logout: Entra ID ends one session here, from a hidden frame without cookies."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.features.accounts.models import WebSession
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
