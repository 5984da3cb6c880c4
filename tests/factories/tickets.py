"""Improvement actions, shared tickets and the worker's clockwork, for tests of sharing and following."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from html.parser import HTMLParser
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, text

from app.core.database import Session
from app.core.errors import NotFound
from app.features.secure_score.actions.browse_actions import Action
from app.features.secure_score.vocabulary import Category
from app.features.tickets.models import PollCursor, Ticket
from app.features.tickets.polling.poll import poll_states
from app.features.tickets.sharing.share import ShareCommand, share
from app.features.tickets.ticket_fields import Requester, TicketRequest, TicketSource
from app.features.tickets.types import MARKERS, TABLES, TicketKind
from app.integrations.http.http_types import RemoteResponse, Request
from app.integrations.servicenow.client import ServiceNowClient
from app.web.pages import share as share_pages
from tests.factories.system import PUBLIC_URL, System

SENDER = Requester(None, "0f8fad5b-d9cb-469f-a165-70867728950e", "Megan Bowen", "megan@contoso.example")
LATER = date(2030, 12, 31)


def an_action(control_id: str = "AdminMFAV2", **changes: Any) -> Action:
    """An improvement action of Identity, worth ten points."""
    known: dict[str, Any] = {
        "control_id": control_id,
        "title": f"Require multifactor authentication ({control_id})",
        "product": "Entra ID",
        "category": Category.IDENTITY,
        "points": 0.0,
        "max_points": 10.0,
        "score_impact": 1.2,
        "rank": 1,
        "description": "Administrators without a second factor are easy prey.",
        "remediation": "Turn on the policy.",
        "remediation_impact": "They are asked for a second factor.",
        "threats": ("Password cracking",),
    }
    return Action(**{**known, **changes})


def an_ask(kind: TicketKind = TicketKind.CHANGE, **changes: Any) -> TicketRequest:
    """A request as a person makes it in the form."""
    known: dict[str, Any] = {
        "kind": kind,
        "name": "Require multifactor authentication",
        "description": "Administrators first.",
        "priority": 2,
        "due_date": LATER,
        "source": TicketSource.MICROSOFT,
        "category": "Identity",
    }
    return TicketRequest(**{**known, **changes})


def know_actions(monkeypatch: pytest.MonkeyPatch, *actions: Action) -> None:
    """Make the pages find these improvement actions only."""
    known = {action.control_id: action for action in actions}

    async def find_actions(_session: Session, _tenant_id: str, control_ids: Sequence[str]) -> list[Action]:
        return [known[control_id] for control_id in control_ids if control_id in known]

    async def find_action(_session: Session, _tenant_id: str, control_id: str) -> Action:
        if control_id not in known:
            raise NotFound
        return known[control_id]

    monkeypatch.setattr(share_pages, "find_action", find_action)
    monkeypatch.setattr(share_pages, "find_actions", find_actions)


async def share_one(
    system: System, kind: TicketKind = TicketKind.CHANGE, *, action: Action | None = None, **changes: Any
) -> UUID:
    """A queued ticket, as the share form makes it."""
    async with system.resources.database.transaction() as session:
        command = ShareCommand(an_ask(kind, **changes), [action] if action else [], str(uuid4()))
        shared = await share(session, system.resources.queue, command, SENDER, public_url=PUBLIC_URL)
    return shared.ticket_id


async def read_ticket(system: System, ticket_id: UUID) -> Ticket:
    """The stored ticket."""
    async with system.resources.database.transaction() as session:
        return await session.get_one(Ticket, ticket_id)


async def run_due_and_waiting(system: System, rounds: int = 1) -> None:
    """Run every job, scheduled ones too."""
    for _ in range(rounds):
        async with system.resources.database.transaction() as session:
            await session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'"))
            await session.execute(text("UPDATE instance_throttle SET paused_until = now() - interval '1 second'"))
        await system.work()


def records(system: System, table: str) -> list[dict[str, str]]:
    """Our own records in the sandbox, oldest first."""
    return [row for row in system.servicenow.instance.store.rows(table) if row["correlation_id"]]


def calls(system: System, method: str = "", path: str = "/api/now/") -> list[Any]:
    """The API calls that ServiceNow received."""
    journal = system.servicenow.instance.journal
    return [entry for entry in journal if entry.path.startswith(path) and (not method or entry.method == method)]


class _Form(HTMLParser):
    """Collects what a browser would send of the page's POST forms, if no field was changed."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._posting = False
        self._area: str | None = None
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._posting = values.get("method") == "post"
        elif not self._posting:
            return
        elif tag == "input" and values.get("type") not in {"checkbox", "radio"}:
            self.fields[values.get("name", "")] = values.get("value", "")
        elif tag == "textarea":
            self._area = values.get("name", "")
            self.fields[self._area] = ""
        elif tag == "select":
            self._select = values.get("name", "")
        elif tag == "option" and (self._select not in self.fields or "selected" in values):
            self.fields[self._select] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self.fields[self._area] += data


def form_fields(html: str) -> dict[str, str]:
    """The fields of the page's form with their current values."""
    form = _Form()
    form.feed(html)
    return {name: value.removeprefix("\n") for name, value in form.fields.items()}


async def fill_and_send(browser: httpx.AsyncClient, address: str, **typed: str) -> httpx.Response:
    """Open the share form, change these fields, and send it."""
    page = await browser.get(address)
    assert page.status_code == 200, page.text
    return await browser.post(address, data={**form_fields(page.text), "priority": "2", **typed})


async def shared_ticket(
    system: System, kind: TicketKind = TicketKind.INCIDENT, **changes: Any
) -> tuple[UUID, dict[str, str]]:
    """A delivered ticket, and its record in the sandbox."""
    ticket_id = await share_one(system, kind, **changes)
    await system.work()
    ticket = await read_ticket(system, ticket_id)
    record = system.servicenow.instance.store.get(TABLES[kind], ticket.sys_id or "")
    assert record is not None, ticket.problem
    return ticket_id, record


async def several(system: System, count: int) -> list[str]:
    """The sys_ids of `count` delivered tickets."""
    for _ in range(count):
        await share_one(system, TicketKind.INCIDENT)
    await system.work()
    return [record["sys_id"] for record in records(system, "incident")]


async def refresh_now(system: System, *, later: float = 0) -> None:
    """One poll of a viewed page, without a pause; `later` is how many seconds ago the last rolling scan then was."""
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE instance_throttle SET paused_until = NULL, last_viewed_at = now()"))
        if later:
            shift = text(
                "UPDATE poll_cursor SET last_scan_at = last_scan_at - make_interval(secs => :later),"
                " last_closed_scan_at = last_closed_scan_at - make_interval(secs => :later)"
            )
            await session.execute(shift, {"later": later})
    await poll_states(system.resources)


async def cursor(system: System, kind: TicketKind = TicketKind.INCIDENT) -> PollCursor:
    """The poll cursor of this kind."""
    async with system.resources.database.transaction() as session:
        found = await session.execute(select(PollCursor).where(PollCursor.kind == kind))
        return found.scalar_one()


async def told(system: System, address: str, role: str = "viewer") -> str:
    """The text of a page."""
    async with await system.signed_in(role) as browser:
        return (await browser.get(address)).text


class ScriptedServiceNow:
    """A transport with prepared answers that records the requests, for answers the sandbox cannot give."""

    def __init__(self, *replies: RemoteResponse | Exception) -> None:
        self.replies = list(replies)
        self.requests: list[Request] = []

    async def send(self, request: Request) -> RemoteResponse:
        """The next reply; the last one is repeated."""
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply


def replied(result: Any = None, status: int = 200, *, body: str | None = None, **headers: str) -> RemoteResponse:
    """An answer of ServiceNow: a result in its envelope, or any body."""
    content = body if body is not None else json.dumps({"result": result})
    named = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return RemoteResponse(status, named, content.encode())


def client_over(transport: ScriptedServiceNow) -> ServiceNowClient:
    """A ServiceNow client that uses this transport."""
    anything: Any = transport
    return ServiceNowClient(anything, "https://contoso.service-now.com", "a token made up")


def a_row(**changes: Any) -> dict[str, Any]:
    """A record as the Table API writes it with display values `all`."""
    plain = {
        "sys_id": "0" * 31 + "1",
        "number": "INC0010001",
        "sys_class_name": "incident",
        "state": {"value": "2", "display_value": "In Progress"},
        "priority": {"value": "2", "display_value": "2 - High"},
        "assigned_to": {"value": "", "display_value": ""},
        "assignment_group": {"value": "", "display_value": ""},
        "correlation_id": "a" * 32,
        "correlation_display": MARKERS[TicketKind.INCIDENT],
        "sys_created_on": "2026-11-20 09:00:00",
        "sys_updated_on": "2026-11-20 09:00:00",
    }
    shaped = {
        name: value if isinstance(value, dict) else {"value": value, "display_value": value}
        for name, value in plain.items()
    }
    return {**shaped, **changes}
