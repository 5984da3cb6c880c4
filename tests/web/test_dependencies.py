"""What each role may do: roles that only read see every page of theirs and are refused every write."""

from __future__ import annotations

import re

import httpx
import pytest

from app.core import clock
from app.features.accounts.models import Person
from app.features.accounts.sessions import start_session
from app.features.secure_score.jobs import scheduled_sync
from app.microsoft_defaults import GLOBAL_READER, SECURITY_READER
from app.web.dependencies import REFRESHED_PARTS
from tests.conventions.files import ROOT
from tests.factories.system import System
from tests.factories.tickets import shared_ticket

ACTION = "BlockLegacyAuthentication"


async def holding(system: System, role: str) -> httpx.AsyncClient:
    """A browser of a person who holds this role alone."""
    async with system.resources.database.transaction() as session:
        person = Person(
            tid=system.resources.config.tenant_id, oid=role, display_name="Reader", email="", last_signed_in_at=clock.now()
        )  # fmt: skip
        session.add(person)
        await session.flush()
        token, _ = await start_session(session, person, frozenset({role}), 12)
    browser = system.client()
    browser.cookies.set("session", token, domain="security-center.test")
    return browser


@pytest.mark.parametrize("role", [SECURITY_READER, GLOBAL_READER])
@pytest.mark.fact("microsoft-graph 2.4", "microsoft-graph edge-53")
async def test_read_only_roles_see_scores_and_cards_and_write_nothing(system: System, role: str) -> None:
    system.microsoft.tenant.reset()
    await scheduled_sync.function(system.resources)
    await system.connect()
    ticket_id, record = await shared_ticket(system, name="Seen by all")
    async with await holding(system, role) as browser:
        home = (await browser.get("/")).text
        assert record["number"] in home
        assert "points on" in home
        for path in ("/secure-score", "/secure-score/actions", f"/secure-score/actions/{ACTION}", "/tickets",
                     f"/tickets/{ticket_id}", "/cards/incident"):  # fmt: skip
            page = await browser.get(path)
            assert page.status_code == 200, path
            for offer in ("/tickets/new", 'action="/secure-score/actions/', f'action="/tickets/{ticket_id}'):
                assert offer not in page.text, (path, offer)
        for path in (f"/tickets/new?action={ACTION}", "/tickets/new", "/secure-score/imports", "/servicenow/settings"):
            assert (await browser.get(path)).status_code == 403, path
        for path, form in {
            f"/tickets/new?action={ACTION}": {"name": "x", "kind": "incident"},
            "/tickets/bulk": {"action": ACTION},
            f"/tickets/{ticket_id}/notes": {"note": "x"},
            f"/tickets/{ticket_id}/retry": {},
            f"/tickets/{ticket_id}/give-up": {},
            f"/secure-score/actions/status?action={ACTION}": {"status": "risk_accepted"},
            f"/secure-score/actions/notes?action={ACTION}": {"note": "x"},
            f"/secure-score/actions/tags?action={ACTION}": {"tags": "x"},
            "/secure-score/zones": {"okay_from": "1", "good_from": "2"},
            "/secure-score/sync": {},
            "/servicenow/settings/defaults": {},
        }.items():
            assert (await browser.post(path, data=form)).status_code == 403, path
            # As a program would call it: no form, no page before it.
            answer = await browser.post(path, json=form, headers={"Accept": "application/json"})
            assert answer.status_code == 403, path


def test_every_part_that_refreshes_itself_is_known_as_one() -> None:
    """What is not listed would count as use, and an open page would keep its session for ever."""
    refreshed = set()
    for file in (ROOT / "templates").rglob("*.html"):
        for tag in re.findall(r"<[a-z][^<]*?data-refresh=.*", file.read_text(encoding="utf-8")):
            refreshed |= set(re.findall(r"hx-get=\"\{\{ url_for\('([\w.]+)'", tag))
    assert refreshed == REFRESHED_PARTS
