"""While a session is open, Entra ID is asked whether its person still has the roles, and what it says counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import select, text, update

from app.core import clock
from app.core.clock import SetClock
from app.core.vault import Sealed, Vault
from app.features.accounts.jobs import check_roles
from app.features.accounts.models import WebSession
from app.features.keeping.erase import erase
from app.integrations.http.errors import Forbidden, InvalidResponse, RemoteError, ServerError, Unreachable
from app.integrations.microsoft.entra import EntraClient
from app.integrations.microsoft.schemas import Identity
from tests.factories.leaving import leads_to
from tests.factories.microsoft import MANAGER, SHARER, VIEWER, Person
from tests.factories.signing_in import sign_in
from tests.factories.system import System


@dataclass
class Asking:
    """The product with role checks on, and browsers of one manager and one reader."""

    system: System
    manager: httpx.AsyncClient
    reader: httpx.AsyncClient
    monkeypatch: pytest.MonkeyPatch

    async def an_hour_later(self, **now: Person | None) -> None:
        """Entra ID's accounts change to these; the sessions fall due; the job runs."""
        people = [now.get("manager", MANAGER), SHARER, VIEWER]
        self.monkeypatch.setattr("sandbox.entra_tokens.PEOPLE", tuple(one for one in people if one))
        await self.due()
        await check_roles.function(self.system.resources)

    async def due(self) -> None:
        """Every session was last asked about an hour ago."""
        async with self.system.resources.database.transaction() as session:
            rows = (await session.execute(select(WebSession))).scalars().all()
            for row in rows:
                assert row.roles_checked_at is not None
                earlier = row.roles_checked_at.replace(year=row.roles_checked_at.year - 1)
                changed = update(WebSession).where(WebSession.id == row.id).values(roles_checked_at=earlier)
                await session.execute(changed)

    async def tokens(self) -> dict[str, Sealed | None]:
        async with self.system.resources.database.transaction() as session:
            rows = await session.execute(select(WebSession.token_hash, WebSession.refresh_token))
            return {row.token_hash: row.refresh_token for row in rows}

    async def log(self) -> list[dict[str, Any]]:
        async with await self.system.signed_in("manager") as browser:
            lines: list[dict[str, Any]] = (await browser.get("/servicenow/audit.json")).json()
        return [line for line in lines if line["what"] not in ("Signed in", "Refused")]

    def calls(self) -> int:
        return len(self.system.microsoft.calls("/oauth2/v2.0/token"))


@pytest.fixture
async def asking(system: System, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asking]:
    settings = system.microsoft.settings
    entra = EntraClient(
        system.resources.microsoft, authority=system.microsoft.url, tenant_id=settings.tenant_id,
        client_id=settings.client_id, client_secret=settings.client_secret, offline_access=True,
    )  # fmt: skip
    system.resources = system.app.state.resources = replace(system.resources, entra=entra)
    async with system.client() as manager, system.client() as reader:
        await sign_in(manager, MANAGER)
        await sign_in(reader, VIEWER)
        yield Asking(system, manager, reader, monkeypatch)


async def refuses(asking: Asking, error: RemoteError) -> None:
    """From now on, Entra ID answers so to every refresh token."""

    async def refresh(*_: object, **__: object) -> None:
        raise error

    asking.monkeypatch.setattr("app.integrations.microsoft.entra.EntraClient.refresh", refresh)


async def test_a_role_that_was_taken_away_ends_the_session(asking: Asking) -> None:
    await asking.an_hour_later(manager=replace(MANAGER, wids=()))
    assert (await asking.manager.get("/tickets")).headers["location"].startswith("/sign-in?")
    assert (await asking.reader.get("/tickets")).status_code == 200
    [entry] = await asking.log()
    assert entry["what"] == "Signed out, because the role is gone"
    assert (entry["who"], entry["facts"]) == (MANAGER.name, {"may": "nothing"})


async def test_a_weaker_role_counts_at_once_and_the_session_goes_on(asking: Asking) -> None:
    await asking.an_hour_later(manager=replace(MANAGER, wids=VIEWER.wids))
    assert (await asking.manager.get("/servicenow/audit")).status_code == 403
    assert (await asking.manager.get("/tickets")).status_code == 200
    [entry] = await asking.log()
    assert (entry["what"], entry["facts"]["may"]) == ("Role changed at Microsoft", "view")


async def test_an_account_that_was_disabled_is_signed_out(asking: Asking) -> None:
    await asking.an_hour_later(manager=None)
    assert (await asking.manager.get("/tickets")).status_code == 303
    assert (await asking.reader.get("/tickets")).status_code == 200
    [entry] = await asking.log()
    assert entry["what"] == "Session ended, because Microsoft refused it"
    assert (entry["who"], entry["facts"]) == (MANAGER.name, {"reason": "AADSTS50057"})


async def test_nothing_changes_while_the_roles_are_the_same_and_the_next_token_is_kept(asking: Asking) -> None:
    before = await asking.tokens()
    await asking.an_hour_later()
    after = await asking.tokens()
    assert before.keys() == after.keys()
    assert all(token is not None and token != before[name] for name, token in after.items())
    assert (await asking.manager.get("/servicenow/audit")).status_code == 200
    assert await asking.log() == []


async def test_each_session_is_asked_about_once_in_the_time(asking: Asking, still_clock: SetClock) -> None:
    before = asking.calls()
    await asking.an_hour_later()
    assert asking.calls() == before + 2
    await check_roles.function(asking.system.resources)
    assert asking.calls() == before + 2


@pytest.mark.parametrize("error", [Unreachable(), ServerError()], ids=["unreachable", "trouble"])
async def test_while_entra_id_is_away_every_session_stays_and_is_asked_about_again(
    asking: Asking, error: RemoteError
) -> None:
    with asking.monkeypatch.context() as away:
        away.setattr(asking, "monkeypatch", away)
        await refuses(asking, error)
        await asking.an_hour_later()
        assert (await asking.manager.get("/servicenow/audit")).status_code == 200
    before = asking.calls()
    await check_roles.function(asking.system.resources)
    assert asking.calls() == before + 2


@pytest.mark.parametrize("error", [Forbidden(), InvalidResponse()], ids=["our secret", "nonsense"])
async def test_what_says_nothing_about_the_person_ends_no_session(asking: Asking, error: RemoteError) -> None:
    await refuses(asking, error)
    await asking.an_hour_later()
    for browser in (asking.manager, asking.reader):
        assert (await browser.get("/tickets")).status_code == 200


async def test_an_answer_that_no_one_foresaw_keeps_no_other_session_from_being_asked_about(asking: Asking) -> None:
    usual = EntraClient.refresh

    async def refresh(client: EntraClient, *, refresh_token: str, oid: str) -> Identity:
        if oid == MANAGER.oid:
            raise RecursionError
        return await usual(client, refresh_token=refresh_token, oid=oid)

    asking.monkeypatch.setattr(EntraClient, "refresh", refresh)
    asking.monkeypatch.setattr("sandbox.entra_tokens.PEOPLE", (MANAGER, SHARER, replace(VIEWER, wids=())))
    await asking.due()
    await check_roles.function(asking.system.resources)
    assert (await asking.reader.get("/tickets")).status_code == 303
    assert (await asking.manager.get("/tickets")).status_code == 200
    before = asking.calls()
    await check_roles.function(asking.system.resources)
    assert asking.calls() == before


async def test_an_erased_person_is_not_named_by_what_entra_id_said(asking: Asking, tmp_path: Path) -> None:
    await asking.an_hour_later(manager=replace(MANAGER, wids=VIEWER.wids))
    await asking.an_hour_later(manager=None)
    await erase(asking.system.resources, MANAGER.email, tmp_path / "export.json")
    async with asking.system.resources.database.transaction() as session:
        named = text("SELECT action ->> 'message' FROM audit_entry t WHERE t::text LIKE :said")
        assert list((await session.execute(named, {"said": f"%{MANAGER.name}%"})).scalars()) == []


async def test_a_token_that_no_key_opens_is_discarded_and_the_session_stays(asking: Asking) -> None:
    system = asking.system
    system.resources = replace(system.resources, vault=Vault([Vault.new_key()]))
    await asking.an_hour_later()
    assert set((await asking.tokens()).values()) == {None}
    assert (await asking.manager.get("/servicenow/audit")).status_code == 200


async def test_the_refresh_token_is_sealed_and_goes_with_the_session(asking: Asking) -> None:
    assert "offline_access" in await _scope_of(asking.system)
    assert all(token is not None for token in (await asking.tokens()).values())
    await asking.manager.post("/sign-out")
    assert sorted(token is None for token in (await asking.tokens()).values()) == [False, True]


@pytest.mark.parametrize("end", ["last_used_at", "expires_at"])
async def test_a_session_that_ends_by_itself_leaves_no_refresh_token(asking: Asking, end: str) -> None:
    async with asking.system.resources.database.transaction() as session:
        over = {end: clock.now() - timedelta(minutes=61)}
        await session.execute(update(WebSession).where(WebSession.roles.contains(list(VIEWER.wids))).values(over))
    await check_roles.function(asking.system.resources)
    assert sorted(token is None for token in (await asking.tokens()).values()) == [False, True]
    assert (await asking.manager.get("/tickets")).status_code == 200


async def test_without_role_checks_no_refresh_token_is_asked_for(system: System) -> None:
    assert "offline_access" not in await _scope_of(system)
    async with system.client() as browser:
        await sign_in(browser, MANAGER)
    async with system.resources.database.transaction() as session:
        assert (await session.execute(select(WebSession.refresh_token))).scalar_one() is None


async def _scope_of(system: System) -> list[str]:
    async with system.client() as browser:
        start = await browser.post("/sign-in")
    return parse_qs(urlsplit(leads_to(start)).query)["scope"][0].split()
