"""The whole system for a test: web application, queue and sandbox, with a browser for each role."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import select

from app.bootstrap import TASK_GROUPS
from app.core import clock
from app.core.database import Database, Session
from app.core.jobs import Queue
from app.core.sealed_columns import context_of
from app.core.vault import Vault
from app.features.accounts.models import Person
from app.features.accounts.sessions import start_session
from app.features.connection.models import Connection, ConnectionStatus
from app.features.connection.tokens import store_tokens
from app.features.tickets.polling.poll_status import RecordedViews
from app.integrations.http.ssrf import AddressPolicy
from app.integrations.http.transport import Transport
from app.integrations.microsoft.entra import EntraClient
from app.integrations.microsoft.graph import GraphClient
from app.integrations.servicenow.schemas import Tokens
from app.main import create_app
from app.microsoft_defaults import GLOBAL_READER, SECURITY_ADMINISTRATOR, SECURITY_OPERATOR, SECURITY_READER
from app.resources import ProductConfig, Resources, closing
from app.web.fragments import Fragments
from app.web.rate_limits import RateLimits
from tests.factories.database import kept_engine
from tests.factories.microsoft import MANAGER, OUTSIDER, SHARER, VIEWER, SandboxMicrosoft, running_microsoft
from tests.factories.servicenow import INTEGRATION_USER, SandboxServiceNow, running_servicenow

PUBLIC_URL = "http://security-center.test"
ROLES = {"manager": MANAGER, "sharer": SHARER, "viewer": VIEWER, "outsider": OUTSIDER}


@dataclass
class System:
    """The product, its sandbox and its browsers. `client` is a browser without a session."""

    resources: Resources
    app: FastAPI
    microsoft: SandboxMicrosoft
    servicenow: SandboxServiceNow

    def client(self, *, follow_redirects: bool = False) -> httpx.AsyncClient:
        """A browser that finds us at PUBLIC_URL and the sandbox at its own addresses; no person is signed in."""
        own = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(
            base_url=PUBLIC_URL,
            mounts={PUBLIC_URL: own},
            follow_redirects=follow_redirects,
            event_hooks={"response": [_no_form_leads_elsewhere]},
            timeout=60,
        )

    async def signed_in(self, role: str, *, follow_redirects: bool = False) -> httpx.AsyncClient:
        """A browser with a session of `manager`, `sharer`, `viewer` or `outsider`."""
        account = ROLES[role]
        async with self.resources.database.transaction() as session:
            person = Person(
                tid=self.resources.config.tenant_id, oid=account.oid, display_name=account.name,
                email=account.email, last_signed_in_at=clock.now(),
            )  # fmt: skip
            person = await _known(session, person)
            token, _ = await start_session(session, person, frozenset(account.wids), 12)
        browser = self.client(follow_redirects=follow_redirects)
        browser.cookies.set("session", token, domain="security-center.test")
        return browser

    async def connect(self, user: str = INTEGRATION_USER) -> Connection:
        """Store a connection with real tokens, without the pages."""
        granted = self.servicenow.tokens(user, self.servicenow.consented(user))
        settings = self.servicenow.settings
        account = self.servicenow.instance.store.find("sys_user", user_name=user) or {}
        connection = Connection(
            instance_name="contoso", origin=self.servicenow.url, status=ConnectionStatus.CONNECTED,
            client_id=settings.client_id,
            user_name=user, user_sys_id=account.get("sys_id", ""),
            connected_at=clock.now(), refresh_expires_at=clock.now() + timedelta(days=100),
        )  # fmt: skip
        place = context_of(connection, Connection.client_secret)
        connection.client_secret = self.resources.vault.seal(place, settings.client_secret)
        tokens = Tokens(granted["access_token"], granted["refresh_token"], granted["expires_in"], granted["scope"])
        store_tokens(self.resources, connection, tokens)
        async with self.resources.database.transaction() as session:
            session.add(connection)
        return connection

    async def work(self) -> None:
        """Run every job that is due, as the worker would."""
        await self.resources.queue.drain(self.resources)


async def _no_form_leads_elsewhere(answer: httpx.Response) -> None:
    """A form of ours is never answered with a redirect to another origin, which Chromium would block silently."""
    asked = answer.request
    if asked.method == "POST" and str(asked.url).startswith(PUBLIC_URL) and answer.is_redirect:
        leads_to = asked.url.join(answer.headers["location"])
        assert (leads_to.scheme, leads_to.netloc) == (asked.url.scheme, asked.url.netloc), str(leads_to)


async def _known(session: Session, person: Person) -> Person:
    """The stored row of this account; inserted when it does not exist."""
    found = (await session.execute(select(Person).where(Person.oid == person.oid))).scalar_one_or_none()
    if found is not None:
        return found
    session.add(person)
    await session.flush()
    return person


_APPS: dict[tuple[object, ...], FastAPI] = {}


def kept_app(resources: Resources) -> FastAPI:
    """The web application, assembled once for the same addresses; what it keeps is of one system only."""
    config = resources.config
    addresses = (config.public_url, resources.entra.authority, config.servicenow_allowed_origins)
    app = _APPS.get(addresses) or _APPS.setdefault(addresses, create_app(resources))
    app.state.resources = resources
    app.state.rate_limits, app.state.fragments = RateLimits(), Fragments()
    app.state.recorded_views = RecordedViews()
    return app


@contextmanager
def running_sandbox() -> Iterator[tuple[SandboxMicrosoft, SandboxServiceNow]]:
    """Both parts of the sandbox, expecting us at PUBLIC_URL."""
    with (
        running_microsoft(f"{PUBLIC_URL}/sign-in/callback") as microsoft,
        running_servicenow(f"{PUBLIC_URL}/servicenow/callback") as servicenow,
    ):
        yield microsoft, servicenow


@asynccontextmanager
async def open_system(
    database_url: str, microsoft: SandboxMicrosoft, servicenow: SandboxServiceNow
) -> AsyncIterator[System]:
    """The product over a fresh database, connected to this sandbox."""
    transport = Transport("microsoft")
    registration: dict[str, Any] = {
        "authority": microsoft.url,
        "tenant_id": microsoft.settings.tenant_id,
        "client_id": microsoft.settings.client_id,
        "client_secret": microsoft.settings.client_secret,
    }
    resources = Resources(
        config=ProductConfig(
            public_url=PUBLIC_URL,
            tenant_id=microsoft.settings.tenant_id,
            shown_tenant_id=microsoft.settings.tenant_id,
            servicenow_allowed_origins=(servicenow.url,),
            role_ids={
                "manager": frozenset({SECURITY_ADMINISTRATOR}),
                "sharer": frozenset({SECURITY_OPERATOR}),
                "viewer": frozenset({SECURITY_READER, GLOBAL_READER}),
            },
            session_hours=12,
        ),
        database=Database(kept_engine(database_url)),
        vault=Vault([Vault.new_key()]),
        queue=Queue(database_url, TASK_GROUPS),
        microsoft=transport,
        servicenow=Transport("servicenow", answer_seconds=5, address_policy=AddressPolicy((servicenow.url,))),
        entra=EntraClient(transport, **registration),
        graph=GraphClient(transport, graph_url=microsoft.url, **registration),
    )
    async with closing(resources):
        yield System(resources, kept_app(resources), microsoft, servicenow)
