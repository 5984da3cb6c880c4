"""Pages show the connection without its secrets."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from app.features.connection.models import Connection
from app.features.connection.oauth_client import ACCESS_TOKEN, REFRESH_TOKEN
from app.main import PAGES
from tests.factories.connecting import (
    connect_by_pages,
)
from tests.factories.system import System


@pytest.mark.fact("other-connectors bug-19")
async def test_no_response_of_ours_holds_a_secret(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    async with system.resources.database.transaction() as session:
        connection = (await session.execute(select(Connection))).scalar_one()
    vault = system.resources.vault
    assert connection.access_token is not None
    assert connection.refresh_token is not None
    secrets = [
        system.servicenow.settings.client_secret,
        vault.open(ACCESS_TOKEN, connection.access_token),
        vault.open(REFRESH_TOKEN, connection.refresh_token),
        connection.access_token.token,
        connection.refresh_token.token,
    ]
    seen = 0
    for route in [route for page in PAGES for route in page.router.routes]:
        address = getattr(route, "path", "")
        if "GET" not in (getattr(route, "methods", None) or ()) or re.search(r"[{]", address):
            continue
        answer = await manager.get(address)
        assert answer.status_code != 500, address
        whole = answer.text + str(answer.headers)
        assert not [secret for secret in secrets if secret in whole], address
        seen += 1
    assert seen >= 10
