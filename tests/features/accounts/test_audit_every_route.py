"""Everything a person can do is in the audit log once, with who and from where; a new route fails this until it is."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from app.features.tickets.types import TicketKind
from app.web.pages.moved import MOVED
from tests.conventions.test_routes import WRITING
from tests.factories.connecting import connect_by_pages, remove
from tests.factories.microsoft import MANAGER, OUTSIDER, Person
from tests.factories.signing_in import sign_in
from tests.factories.system import System
from tests.factories.tickets import LATER, form_fields, run_due_and_waiting, share_one

# Beginning to sign in has no known person yet. The arrangement of a person's own home page concerns no other person, and would
# bury the entries that matter. The selection in a list only fills a form.
NOT_AUDITED = (
    {"POST /sign-in", "POST /tickets/selection"}
    | {f"POST /home-cards/{what}" for what in ("add", "move", "order", "remove", "reset")}
    # Earlier addresses only lead to the present ones.
    | {f"{method} {path}" for method, path in MOVED}
)
ACTIONS = ("BlockLegacyAuthentication", "AdminMFAV2")


class Log:
    """What is new in the audit log since the last read, and which routes were used."""

    def __init__(self, system: System) -> None:
        self.system, self.seen, self.used = system, 0, set[str]()

    async def new(self) -> list[dict[str, Any]]:
        async with await self.system.signed_in("manager") as reader:
            lines: list[dict[str, Any]] = (await reader.get("/servicenow/audit.json")).json()
        found, self.seen = lines[self.seen :], len(lines)
        return found

    async def did(
        self, browser: httpx.AsyncClient, route: str, address: str, action: str, /, **form: str
    ) -> tuple[httpx.Response, dict[str, str]]:
        """Post this; exactly one entry says so, with who and from where. Gives the answer and the entry's facts."""
        answer = await browser.post(address, data=form)
        assert answer.status_code in (200, 303), (route, answer.status_code, answer.text[-1500:])
        self.used.add(f"POST {route}")
        mine = [line for line in await self.new() if line["who"]]
        assert [line["what"] for line in mine] == [action], route
        assert (mine[0]["who"], mine[0]["from"]) == ("Alex Wilber", "127.0.0.1")
        return answer, mine[0]["facts"]


async def failed_job(system: System) -> int:
    """The number of a job that was given up."""
    async with system.resources.database.transaction() as session:
        failed = text(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, priority, attempts)"
            " VALUES ('default', 'tickets.sweep', '{}', 'failed', 0, 5) RETURNING id"
        )
        return int((await session.execute(failed)).scalar_one())


async def held(log: Log, system: System) -> str:
    """A ticket that ServiceNow has refused."""
    system.servicenow.instance.switches.acl_refuses = "incident.create"
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, rounds=3)
    system.servicenow.instance.switches.acl_refuses = ""
    # Sharing writes an entry of its own, which is not what these tests are about.
    assert [line["what"] for line in await log.new()] == ["Ticket shared"]
    return str(ticket_id)


async def _secure_score(log: Log, manager: httpx.AsyncClient) -> None:
    of = f"?action={ACTIONS[0]}"
    _, facts = await log.did(manager, "/secure-score/actions/status", f"/secure-score/actions/status{of}", "Status set",
                             status="planned", planned_for=LATER.isoformat(), reason="Roll-out")  # fmt: skip
    assert facts == {"action": ACTIONS[0], "status": "Planned", "planned_for": LATER.isoformat()}
    await log.did(
        manager, "/secure-score/actions/notes", f"/secure-score/actions/notes{of}", "Note written", note="Seen"
    )
    page = (await manager.get(f"/secure-score/actions/{ACTIONS[0]}")).text
    note = page.split("/secure-score/actions/notes/remove?", 1)[1].split("note=", 1)[1][:36]
    await log.did(manager, "/secure-score/actions/notes/remove",
                  f"/secure-score/actions/notes/remove{of}&note={note}", "Note removed")  # fmt: skip
    _, facts = await log.did(
        manager, "/secure-score/actions/tags", f"/secure-score/actions/tags{of}", "Tags set", tags="mail, old"
    )
    assert facts == {"action": ACTIONS[0], "tags": "mail, old"}
    await log.did(manager, "/secure-score/zones", "/secure-score/zones", "Zones set", okay_from="30", good_from="60")
    await log.did(manager, "/secure-score/sync", "/secure-score/sync", "Import asked for")


async def _sharing(log: Log, system: System, manager: httpx.AsyncClient) -> None:
    form = form_fields((await manager.get(f"/tickets/new?action={ACTIONS[0]}")).text) | {"kind": "incident"}
    address = f"/tickets/new?action={ACTIONS[0]}"
    answer, facts = await log.did(manager, "/tickets/new", address, "Ticket shared", **form)
    assert (facts["kind"], facts["actions"], facts["name"]) == ("incident", ACTIONS[0], form["name"])
    await manager.post(address, data=form)  # A double click shares once, and is written down once.
    assert await log.new() == []
    ticket = answer.headers["location"]
    assert ticket.endswith(facts["ticket"])

    await system.work()
    await log.new()
    note = {"note": "Please look.", "note_id": str(uuid4())}
    route = "/tickets/{ticket_id}/notes"
    system.servicenow.instance.switches.acl_refuses = "incident.write"
    _, facts = await log.did(manager, route, f"{ticket}/notes", "Work note written", **note)
    assert facts["number"].startswith("INC")
    assert "Please look" not in str(facts)
    await manager.post(f"{ticket}/notes", data=note)
    assert await log.new() == []
    await run_due_and_waiting(system, rounds=3)
    again = f"{ticket}/notes/{note['note_id']}/retry"
    await log.did(manager, "/tickets/{ticket_id}/notes/{note_id}/retry", again, "Work note sent again")
    system.servicenow.instance.switches.acl_refuses = ""

    several = {"shown": ACTIONS, "action": ACTIONS, "kind": "change", "form_key": str(uuid4()), "again": "yes"}
    answer = await manager.post("/tickets/bulk", data={**several, "category": "Identity"})
    assert answer.status_code == 303, answer.text[-1500:]
    log.used.add("POST /tickets/bulk")
    made = [line for line in await log.new() if line["what"] == "Ticket shared"]
    assert sorted(line["facts"]["actions"] for line in made) == sorted(ACTIONS)


async def _held_tickets(log: Log, system: System, manager: httpx.AsyncClient) -> None:
    first = await held(log, system)
    await log.did(manager, "/tickets/{ticket_id}/retry", f"/tickets/{first}/retry", "Ticket sent again")
    await run_due_and_waiting(system)
    second = await held(log, system)
    form = form_fields((await manager.get(f"/tickets/{second}/edit")).text)
    await log.did(
        manager, "/tickets/{ticket_id}/edit", f"/tickets/{second}/edit", "Ticket changed and sent again", **form
    )
    await run_due_and_waiting(system)
    third = await held(log, system)
    _, facts = await log.did(manager, "/tickets/retry-held", "/tickets/retry-held", "All held tickets sent again")
    assert facts == {"tickets": "1"}
    await run_due_and_waiting(system)
    assert third
    assert await held(log, system)
    cause = form_fields((await manager.get("/tickets?delivery=held")).text)["cause"]
    told = "Tickets held for one reason sent again"
    _, facts = await log.did(manager, "/tickets/retry-group", "/tickets/retry-group", told, cause=cause)
    assert facts == {"tickets": "1"}
    await run_due_and_waiting(system)
    fourth = await held(log, system)
    await log.did(manager, "/tickets/{ticket_id}/give-up", f"/tickets/{fourth}/give-up", "Ticket given up")


async def _set_up(log: Log, system: System, manager: httpx.AsyncClient) -> None:
    settings = system.servicenow.settings
    values = {
        "instance": system.servicenow.url,
        "client_id": settings.client_id,
        "client_secret": settings.client_secret,
    }
    await log.did(manager, "/servicenow/connect", "/servicenow/connect", "Authorization begun", **values)
    await connect_by_pages(system, manager, user="fred.luddy", expected_user_name="m365.integration")
    await log.new()
    [account] = re.findall(r'name="account" value="([^"]+)"', (await manager.get("/ticketProvisioning")).text)
    await log.did(manager, "/servicenow/confirm", "/servicenow/confirm", "Account confirmed", account=account)
    await system.work()
    await log.did(manager, "/servicenow/authorize", "/servicenow/authorize", "Authorization begun")
    await connect_by_pages(system, manager)
    await system.work()
    await log.new()
    here = "/ticketProvisioning"
    await log.did(manager, f"{here}/authorize", f"{here}/authorize", "Provisioning started over")
    await log.did(manager, f"{here}/check", f"{here}/check", "Provisioning started over")
    await log.did(manager, here + "/check/{step}", f"{here}/check/clock", "Step checked again")
    here = "/servicenow/checklist"
    await log.did(manager, here + "/{step}", f"{here}/client", "Checklist step marked as done", done="yes")
    await log.did(manager, "/servicenow/diagnosis", "/servicenow/diagnosis", "Connection checked")
    here = "/servicenow/settings"
    label = {"label:2": "Being worked on", "group:2": "waiting"}
    await log.did(manager, here + "/states/{kind}", f"{here}/states/incident", "State name changed", **label)
    await log.did(manager, here + "/states/{kind}/reset", f"{here}/states/incident/reset", "State names reset")
    defaults = {
        "kind": "incident", "priority_high": "1", "priority_moderate": "2", "priority_low": "3",
        "due_1": "3", "due_2": "5", "due_3": "10", "due_4": "20", "due_5": "40",
    }  # fmt: skip
    await log.did(manager, f"{here}/defaults", f"{here}/defaults", "Defaults for new tickets changed", **defaults)
    await log.did(manager, here + "/columns/{kind}", f"{here}/columns/change", "Columns for data items changed")
    await log.did(manager, here + "/sender", f"{here}/sender", "Sender’s name is left out of tickets", named="no")
    await log.did(manager, here + "/fields/{kind}", f"{here}/fields/incident", "Field values changed", do="save")
    await log.did(manager, here + "/fields/change/type", f"{here}/fields/change/type", "Change type changed",
                  change_type="type:normal")  # fmt: skip
    here = "/servicenow/status-tokens"
    answer, _ = await log.did(manager, here, here, "Status token made", name="Portal")
    token = answer.text.split(f"{here}/", 1)[1][:36]
    await log.did(manager, here + "/{number}/revoke", f"{here}/{token}/revoke", "Status token revoked")


@pytest.mark.thorough
async def test_everything_that_can_be_done_is_in_the_audit_log(scored: System) -> None:
    log, manager = Log(scored), await scored.signed_in("manager")
    await _set_up(log, scored, manager)
    await _secure_score(log, manager)
    await _sharing(log, scored, manager)
    await _held_tickets(log, scored, manager)
    answer = await remove(manager)
    assert answer.status_code == 303
    what = [line["what"] for line in await log.new()]
    assert what == ["Connection removed", "Tokens revoked at ServiceNow"]
    jobs = "/servicenow/failed-jobs"
    number = await failed_job(scored)
    await log.did(manager, jobs + "/{number}/retry", f"{jobs}/{number}/retry", "Failed job retried")
    await failed_job(scored)
    await log.did(manager, jobs + "/retry-all", f"{jobs}/retry-all", "All failed jobs retried")
    await scored.signed_in("manager")
    own = re.findall(r'action="(/account/sessions/[^"]+/end)"', (await manager.get("/account/sessions")).text)
    await log.did(manager, "/account/sessions/{session_id}/end", own[0], "Session ended")
    await log.did(manager, "/sign-out", "/sign-out", "Signed out")
    again = await scored.signed_in("manager")
    await log.did(again, "/account/sessions/end-all", "/account/sessions/end-all", "Signed out everywhere")
    log.used.add("POST /servicenow/remove")
    assert log.used == {str(door) for door in WRITING} - NOT_AUDITED, "what a new route does has to be in the audit log"


@pytest.mark.parametrize(("person", "may"), [(MANAGER, "manage"), (OUTSIDER, "nothing")])
async def test_signing_in_is_written_down_with_what_the_person_may_do(system: System, person: Person, may: str) -> None:
    async with system.client() as browser:
        answer = await sign_in(browser, person)
        assert answer.status_code == 303, answer.text
    [line] = await Log(system).new()
    assert (line["what"], line["who"], line["email"]) == ("Signed in", person.name, person.email)
    assert (line["from"], line["facts"]) == ("127.0.0.1", {"may": may})


async def test_a_sign_in_that_fails_is_no_sign_in(system: System) -> None:
    async with system.client() as browser:
        await browser.post("/sign-in")
        assert (await browser.get("/sign-in/callback?code=made-up&state=made-up")).status_code == 400
        assert (await browser.post("/sign-out")).status_code == 200  # No session: nothing to audit.
    assert await Log(system).new() == []
