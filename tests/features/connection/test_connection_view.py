"""Pages show the connection without its secrets."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.core.clock import SetClock
from app.features.connection.connection_view import consent_notice, days_left
from app.features.connection.models import Connection
from app.main import PAGES
from tests.factories.connecting import connect_by_pages, opened
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
        opened(vault, connection, Connection.access_token),
        opened(vault, connection, Connection.refresh_token),
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


@pytest.mark.parametrize(
    ("left", "shown"),
    [
        (timedelta(days=100) - timedelta(seconds=5), 100),
        (timedelta(days=99, hours=20), 99),
        (timedelta(days=2) - timedelta(minutes=1), 1),
        (timedelta(minutes=5), 0),
        (-timedelta(days=3), 0),
    ],
)
def test_the_days_left_are_whole_days_and_a_new_consent_has_all_of_its_own(
    still_clock: SetClock, left: timedelta, shown: int
) -> None:
    assert days_left(still_clock.now() + left) == shown


def test_the_end_of_a_consent_is_told_two_weeks_ahead(still_clock: SetClock) -> None:
    def told(days: float) -> str:
        notice = consent_notice(Connection(refresh_expires_at=still_clock.now() + timedelta(days=days)))
        return str(notice or "")

    assert told(15.5) == ""
    assert "ends in 14 days" in told(14.5)
    assert "less than two days" in told(1.5)
    assert "has ended" in told(-0.1)
    assert consent_notice(Connection(refresh_expires_at=None)) is None
