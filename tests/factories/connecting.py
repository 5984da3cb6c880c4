"""Connects through the pages, as a person does: the form, ServiceNow's login and consent, and the way back."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from sqlalchemy import select, text, update
from sqlalchemy.orm import InstrumentedAttribute

from app.core import clock
from app.core.sealed_columns import context_of
from app.core.vault import Sealed, Vault
from app.features.accounts.asked import ask
from app.features.accounts.models import Person
from app.features.accounts.permissions import Viewer
from app.features.accounts.sessions import start_session
from app.features.connection.models import Connection
from app.integrations.http.http_types import RemoteResponse, Request
from app.integrations.http.transport import Transport
from app.integrations.servicenow.oauth import ServiceNowOAuth
from sandbox.faults import Fault
from tests.factories.leaving import leads_to
from tests.factories.microsoft import MANAGER
from tests.factories.servicenow import INTEGRATION_USER, SandboxServiceNow, consent
from tests.factories.system import System

JSON = {"content-type": "application/json"}


async def begin(system: System, browser: httpx.AsyncClient, **typed: str) -> httpx.Response:
    """Send the set-up form, with the sandbox's own values unless told otherwise."""
    settings = system.servicenow.settings
    form = {"instance": system.servicenow.url, "client_id": settings.client_id, "client_secret": settings.client_secret}
    return await browser.post("/servicenow/connect", data=form | typed)


def decide(system: System, address: str, *, user: str = INTEGRATION_USER, decision: str = "authorize") -> str:
    """Log in at ServiceNow and press Allow (or "deny"); gives the address the browser is sent back to."""
    with system.servicenow.browser() as browser:
        return consent(browser, address, user, system.servicenow.settings.password, decision).headers["location"]


async def connect_by_pages(
    system: System, browser: httpx.AsyncClient, *, user: str = INTEGRATION_USER, **typed: str
) -> httpx.Response:
    """From the form to the callback; returns the answer to the callback."""
    answer = await begin(system, browser, **typed)
    return await browser.get(decide(system, leads_to(answer), user=user))


def beside(other: SandboxServiceNow, address: str, user: str = INTEGRATION_USER) -> str:
    """Like `decide`, at another instance."""
    with other.browser() as browser:
        return consent(browser, address, user, other.settings.password).headers["location"]


def allow(system: System, origin: str) -> None:
    """List another origin in SERVICENOW_ALLOWED_ORIGINS."""
    config = system.resources.config
    allowed = (*config.servicenow_allowed_origins, origin)
    system.resources = replace(system.resources, config=replace(config, servicenow_allowed_origins=allowed))
    system.app.state.resources = system.resources
    assert system.resources.servicenow.address_policy is not None
    system.resources.servicenow.address_policy.allow(origin)


def trouble(system: System, name: str, *, times: int = 1, path: str = "", method: str = "") -> None:
    """Order a fault for the next matching calls."""
    system.servicenow.instance.orders.order(Fault(name, times=times, path=path, method=method))


async def expire(system: System, *, here: bool = True) -> None:
    """Expire the access token at ServiceNow and, by default, in our row too."""
    store = system.servicenow.instance.store
    for row in list(store.rows("oauth_credential")):
        if row["kind"] == "access":
            store.put("oauth_credential", row | {"expires": system.servicenow.instance.expires(-1)})
    if here:
        async with system.resources.database.transaction() as session:
            await session.execute(update(Connection).values(access_expires_at=clock.now() - timedelta(seconds=1)))


async def second_manager(system: System) -> httpx.AsyncClient:
    """A browser of another Security Administrator."""
    async with system.resources.database.transaction() as session:
        person = Person(
            tid=system.resources.config.tenant_id, oid="second", display_name="Pradeep Gupta",
            email="pradeep@contoso.example", last_signed_in_at=clock.now(),
        )  # fmt: skip
        session.add(person)
        await session.flush()
        token, _ = await start_session(session, person, frozenset(MANAGER.wids), 12)
    browser = system.client()
    browser.cookies.set("session", token, domain="security-center.test")
    return browser


def changed(address: str, **changes: str) -> str:
    """An address with some parameters changed; an empty value leaves one out."""
    parts = urlsplit(address)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changes
    return parts._replace(query=urlencode({name: value for name, value in query.items() if value})).geturl()


async def connections(system: System) -> list[Connection]:
    """Every connection row, removed ones too."""
    async with system.resources.database.transaction() as session:
        return list((await session.execute(select(Connection).order_by(Connection.connected_at))).scalars())


def said(answer: httpx.Response) -> str:
    """The text of a page: without markup, white space collapsed."""
    words = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", answer.text, flags=re.S)
    return " ".join(words.replace("&#39;", "’").replace("&amp;", "&").replace("&gt;", ">").split())


def requests(system: System, path: str) -> list[Any]:
    """The requests that the sandbox received at addresses with this prefix."""
    time.sleep(0.03)  # It writes its journal right after it has answered, in a thread of its own.
    return [entry for entry in system.servicenow.instance.journal if entry.path.startswith(path)]


async def viewer_of(system: System, browser: httpx.AsyncClient) -> Viewer:
    """The viewer of a signed-in browser, for functions that are called without a page."""
    asked = await ask(system.resources, browser.cookies["session"])
    assert asked is not None
    return asked.viewer


def with_known_key(system: System) -> str:
    """Give the system a new vault key, and return it for other processes."""
    key = Vault.new_key()
    system.resources = replace(system.resources, vault=Vault([key]))
    system.app.state.resources = system.resources
    return key


def opened(vault: Vault, row: Connection, column: InstrumentedAttribute[Sealed | None]) -> str:
    """What this column of the row holds sealed."""
    sealed: Sealed | None = getattr(row, column.key)
    assert sealed is not None
    return vault.open(context_of(row, column), sealed)


def database_url(system: System) -> str:
    return system.resources.database.engine.url.render_as_string(hide_password=False)


def oauth(answer: RemoteResponse | None = None) -> tuple[ServiceNowOAuth, list[Request]]:
    """An OAuth client whose requests are kept and get this answer."""
    sent: list[Request] = []
    good = RemoteResponse(200, JSON, b'{"access_token": "a", "refresh_token": "r", "expires_in": 1799}')

    class Wire(Transport):
        def __init__(self) -> None:
            """Opens nothing."""

        async def send(self, request: Request) -> RemoteResponse:
            sent.append(request)
            return answer or good

    client = ServiceNowOAuth(
        Wire(), "https://vanity.contoso.example:8443", client_id="id", client_secret="secret",
        redirect_uri="https://us.example/servicenow/callback",
    )  # fmt: skip
    return client, sent


async def a_worker(system: System) -> None:
    """Store a worker with a recent heartbeat."""
    async with system.resources.database.transaction() as session:
        await session.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES"))


async def remove(browser: httpx.AsyncClient) -> httpx.Response:
    """Press "Remove the connection" on the page that asks."""
    page = (await browser.get("/servicenow/remove")).text
    asked = re.search(r'name="connection" value="([^"]*)"', page)
    return await browser.post("/servicenow/remove", data={"connection": asked[1] if asked else "-"})


async def confirm(browser: httpx.AsyncClient) -> httpx.Response:
    """Press "Use ... all the same" on the provisioning page."""
    page = (await browser.get("/ticketProvisioning")).text
    account = re.search(r'name="account" value="([^"]*)"', page)
    return await browser.post("/servicenow/confirm", data={"account": account[1] if account else "-"})
