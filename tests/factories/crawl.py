"""A system with data from every journey, and a crawl of every page that a link leads to."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx
from sqlalchemy import select

from app.features.connection.models import Connection
from app.features.secure_score.actions.browse_actions import find_actions
from app.features.secure_score.sync.import_scores import import_from_graph
from app.features.tickets.types import TicketKind
from tests.factories.connecting import opened
from tests.factories.microsoft import SandboxMicrosoft
from tests.factories.servicenow import SandboxServiceNow
from tests.factories.statements import counted
from tests.factories.system import PUBLIC_URL, System, open_system
from tests.factories.tickets import share_one

# Actions whose share menus, tickets and pages the walk will meet.
SHARED_ACTIONS = ("AdminMFAV2", "IntegratedApps")
# Of pages that differ in an id or a query only, so many are looked at.
SAME_PAGE_TIMES = 4
MOST_PAGES = 150
# What the crawl must not press.
NOT_FOLLOWED = ("/static/", "/sign-out", "/sign-in")


class Links(HTMLParser):
    """The addresses a page leads to: links, GET forms, and parts that are loaded later."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        address = values.get("href") if tag == "a" else values.get("hx-get")
        if tag == "form" and (values.get("method") or "get").lower() == "get":
            address = values.get("action")
        if address:
            self.found.append(address)


@dataclass
class Walk:
    """What one role saw: every page by its address, with the number of statements it cost."""

    role: str
    pages: dict[str, httpx.Response] = field(default_factory=dict)
    statements: dict[str, int] = field(default_factory=dict)
    came_from: dict[str, str] = field(default_factory=dict)

    def html(self) -> dict[str, str]:
        """The answers that are whole pages."""
        return {address: answer.text for address, answer in self.pages.items() if "<main" in answer.text}


def _pattern(address: str) -> str:
    parts = urlsplit(address)
    path = re.sub(r"[0-9a-f-]{36}", "{id}", parts.path)
    path = re.sub(r"^/secure-score/actions/.+", "/secure-score/actions/{control}", path)
    names = sorted(pair.split("=")[0] for pair in parts.query.split("&") if pair)
    return f"{path}?{'&'.join(names)}"


async def walk(system: System, role: str, start: str = "/") -> Walk:
    """Follow every link from the home page on, as this person."""
    found, waiting, seen = Walk(role), [start], Counter[str]()
    with counted(system.resources.database) as sent:
        async with await system.signed_in(role) as browser:
            while waiting and len(found.pages) < MOST_PAGES:
                address = waiting.pop(0)
                if address in found.pages or seen[_pattern(address)] >= SAME_PAGE_TIMES:
                    continue
                seen[_pattern(address)] += 1
                sent.clear()
                answer = await browser.get(address)
                found.pages[address], found.statements[address] = answer, len(sent)
                for link in _links(address, answer):
                    found.came_from.setdefault(link, address)
                    waiting.append(link)
    return found


def _links(address: str, answer: httpx.Response) -> Iterator[str]:
    if answer.is_redirect:
        yield from _ours([urljoin(PUBLIC_URL + address, answer.headers["location"])])
    if "html" not in answer.headers.get("content-type", ""):
        return
    links = Links()
    links.feed(answer.text)
    yield from _ours(urljoin(PUBLIC_URL + address, link) for link in links.found)


def _ours(addresses: Iterator[str] | list[str]) -> Iterator[str]:
    for address in addresses:
        local = address.removeprefix(PUBLIC_URL).partition("#")[0]
        if address.startswith(f"{PUBLIC_URL}/") and not local.startswith(NOT_FOLLOWED):
            yield local


@dataclass
class Lived:
    """The crawl of each role, and the secrets that are stored in the system."""

    walks: dict[str, Walk]
    secrets: dict[str, str]


async def _live(database_url: str, microsoft: SandboxMicrosoft, servicenow: SandboxServiceNow) -> Lived:
    servicenow.instance.reset()
    async with open_system(database_url, microsoft, servicenow) as system:
        await import_from_graph(system.resources)
        await system.connect()
        async with system.resources.database.transaction() as session:
            actions = await find_actions(session, system.resources.config.shown_tenant_id, list(SHARED_ACTIONS))
        for kind, action in zip((TicketKind.CHANGE, TicketKind.INCIDENT), actions, strict=True):
            await share_one(system, kind, action=action, name=f"Do {action.title}")
        await share_one(system, TicketKind.INCIDENT, name="A task of my own")
        await system.work()
        walks = {role: await walk(system, role) for role in ("manager", "sharer", "viewer")}
        return Lived(walks, await _secrets(system))


async def _secrets(system: System) -> dict[str, str]:
    async with system.resources.database.transaction() as session:
        connection = (await session.execute(select(Connection))).scalar_one()
    secrets = {
        "Entra client secret": system.microsoft.settings.client_secret,
        "ServiceNow client secret": system.servicenow.settings.client_secret,
        "ServiceNow password": system.servicenow.settings.password,
    }
    for column in (Connection.access_token, Connection.refresh_token, Connection.client_secret):
        secrets[column.key] = opened(system.resources.vault, connection, column)
        secrets[f"{column.key}, sealed"] = getattr(connection, column.key).token
    return secrets


@contextmanager
def lived_in(database_url: str, sandbox: tuple[SandboxMicrosoft, SandboxServiceNow]) -> Iterator[Lived]:
    """Build the system and crawl it once, for tests that only read the result."""
    yield asyncio.run(_live(database_url, *sandbox))
