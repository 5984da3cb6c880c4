"""Everything about a person is handed over, then nothing names them any more, and what was done still stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.keeping import erase as erase_module
from app.features.keeping.backup_file import BackupProblem
from app.features.keeping.erase import erase, plan_erasure
from app.features.keeping.kept_tables import KEPT
from app.features.keeping.personal_columns import REMOVED
from app.features.models import all_metadata
from app.features.secure_score.jobs import request_sync
from app.features.tickets.sharing.share import ShareCommand, share
from app.features.tickets.ticket_fields import Requester
from app.features.tickets.types import TicketKind
from tests.factories.connecting import viewer_of
from tests.factories.delivering import write_note
from tests.factories.microsoft import SHARER
from tests.factories.system import PUBLIC_URL, System
from tests.factories.tickets import an_ask, read_ticket, records


async def _share(system: System, form_key: str) -> UUID:
    """A ticket that the sharer shares."""
    viewer = await viewer_of(system, await system.signed_in("sharer"))
    requester = Requester(viewer.person_id, viewer.oid, viewer.display_name, viewer.email, "192.0.2.7")
    async with system.resources.database.transaction() as session:
        command = ShareCommand(an_ask(TicketKind.INCIDENT), [], form_key)
        shared = await share(session, system.resources.queue, command, requester, public_url=PUBLIC_URL)
    return shared.ticket_id


async def _busy_person(system: System) -> tuple[UUID, UUID]:
    """The sharer, who shared a ticket, wrote a note, asked for an import and left traces in every table; and the ticket."""
    await system.connect()
    ticket_id = await _share(system, "one")
    await system.work()
    await write_note(system, ticket_id, "Asked the vendor.")
    await system.work()
    viewer = await viewer_of(system, await system.signed_in("sharer"))
    async with system.resources.database.transaction() as session:
        await request_sync(session, system.resources, by=viewer)
        for statement in TRACES:
            values = {"name": SHARER.name, "id": viewer.person_id}
            await session.execute(text(statement), {key: values[key] for key in values if f":{key}" in statement})
    assert viewer.person_id is not None
    return viewer.person_id, ticket_id


TRACES = (
    "INSERT INTO home_layout (person_id, cards) VALUES (:id, '[]')",
    "INSERT INTO unsent_form (id, browser_hash, person_id, route, content, kept_at, expires_at)"
    " VALUES (gen_random_uuid(), 'h', :id, 'share.send', 'sealed', now(), now() + interval '1 minute')",
    "INSERT INTO action_note (id, tenant_id, control_id, text, author_id, author_name, created_at)"
    " VALUES (gen_random_uuid(), 't', 'c', 'Look here.', :id, :name, now())",
    "INSERT INTO action_plan (tenant_id, control_id, status, status_before, decided_at, decided_by, to_send, sent_state)"
    " VALUES ('t', 'c', 's', 'b', now(), :name, false, '')",
    "INSERT INTO status_change (id, tenant_id, control_id, status_before, status_after, reason, decided_at, decided_by)"
    " VALUES (gen_random_uuid(), 't', 'c', 'b', 's', '', now(), :name)",
    "INSERT INTO score_zones (tenant_id, okay_from, good_from, set_at, set_by) VALUES ('t', 40, 80, now(), :name)",
    "INSERT INTO diagnosis_run (id, asked_by, started_at, findings) VALUES (gen_random_uuid(), :name, now(), '[]')",
    "INSERT INTO checklist_mark (step, done_at, done_by) VALUES ('one', now(), :name)",
    "INSERT INTO status_token (id, name, key, created_at, created_by) VALUES (gen_random_uuid(), 'w', 'k', now(), :name)",
    "INSERT INTO authorization_attempt (id, state_hash, browser_hash, person_id, instance_name, origin, client_id,"
    " expected_user_name, uses_pkce, sends_scope, created_at, expires_at)"
    " VALUES (gen_random_uuid(), 's', 'b', :id, 'i', 'o', 'c', '', true, true, now(), now())",
)


async def _where(system: System, *said: str) -> dict[str, int]:
    """The tables of which rows still hold one of these texts anywhere."""
    found: dict[str, int] = {}
    async with system.resources.database.transaction() as session:
        for table in all_metadata().sorted_tables:
            query = text(f'SELECT count(*) FROM "{table.name}" t WHERE t::text ILIKE ANY(:said)')  # noqa: S608
            count = (await session.execute(query, {"said": [f"%{one}%" for one in said]})).scalar_one()
            if count:
                found[table.name] = count
    return found


async def test_nothing_names_the_person_afterwards(system: System, tmp_path: Path) -> None:
    person_id, ticket_id = await _busy_person(system)
    personal = {name for name, kept in KEPT.items() if kept.personal}
    before = await plan_erasure(system.resources, SHARER.email)
    assert set(before.rows) == personal
    assert not before.is_removed
    await erase(system.resources, SHARER.email, tmp_path / "export.json")
    assert await _where(system, SHARER.name, SHARER.email, SHARER.oid) == {}
    assert set(await _where(system, str(person_id))) >= {"person", "ticket", "audit_entry"}
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.requested_by_name, ticket.delivery) == (REMOVED, "shared")
    assert REMOVED in ticket.record["description"]
    # ServiceNow's own record is out of reach.
    assert SHARER.name in records(system, "incident")[0]["description"]


async def test_what_was_done_still_stands(system: System, tmp_path: Path) -> None:
    person_id, _ = await _busy_person(system)
    entries = text("SELECT id, at, action, facts, person_id FROM audit_entry ORDER BY id")
    async with system.resources.database.transaction() as session:
        before = list(await session.execute(entries))
    await erase(system.resources, str(person_id), tmp_path / "export.json")
    async with system.resources.database.transaction() as session:
        after = list(await session.execute(entries))
        latest = (
            await session.execute(text("SELECT action ->> 'message' FROM audit_entry ORDER BY id DESC LIMIT 1"))
        ).scalar()
    assert after[:-1] == before
    assert latest == "Person removed"


async def test_the_export_holds_every_row_and_no_secret(system: System, tmp_path: Path) -> None:
    person_id, _ = await _busy_person(system)
    plan = await erase(system.resources, str(person_id), tmp_path / "export.json")
    export: dict[str, Any] = json.loads((tmp_path / "export.json").read_text(encoding="utf-8"))
    tables = [entry["table"] for entry in export["rows"]]
    assert {name: tables.count(name) for name in tables} == plan.rows
    assert export["person"] == str(person_id)
    by_table = {entry["table"]: entry["row"] for entry in export["rows"]}
    assert by_table["person"]["email"] == SHARER.email
    assert by_table["ticket_note"]["text"] == "Asked the vendor."
    assert "token_hash" not in by_table["web_session"]
    assert "key" not in by_table["status_token"]


async def test_sessions_end_at_once(system: System, tmp_path: Path) -> None:
    browser = await system.signed_in("sharer")
    assert (await browser.get("/")).status_code == 200
    await erase(system.resources, SHARER.email, tmp_path / "export.json")
    assert (await browser.get("/")).status_code != 200
    await browser.aclose()


async def test_a_second_time_changes_nothing_more(system: System, tmp_path: Path) -> None:
    person_id, _ = await _busy_person(system)
    await erase(system.resources, str(person_id), tmp_path / "export.json")
    names = text("SELECT person_name, person_email, address FROM audit_entry ORDER BY id")
    async with system.resources.database.transaction() as session:
        before = list(await session.execute(names))
    assert (await plan_erasure(system.resources, str(person_id))).is_removed
    assert (await erase(system.resources, str(person_id), tmp_path / "again.json")).is_removed
    async with system.resources.database.transaction() as session:
        assert list(await session.execute(names))[: len(before)] == before


async def test_who_signs_in_again_is_a_new_person(system: System, tmp_path: Path) -> None:
    await (await system.signed_in("sharer")).aclose()
    await erase(system.resources, SHARER.email, tmp_path / "export.json")
    await (await system.signed_in("sharer")).aclose()
    async with system.resources.database.transaction() as session:
        names = (await session.execute(text("SELECT display_name FROM person ORDER BY display_name"))).scalars()
        assert sorted(names) == sorted([REMOVED, SHARER.name])


async def test_others_keep_their_names(system: System, tmp_path: Path) -> None:
    await _busy_person(system)
    async with system.resources.database.transaction() as session:
        other = await viewer_of(system, await system.signed_in("manager"))
        await log_action(session, other, T("Signed out"))
    before = await _where(system, other.display_name)
    await erase(system.resources, SHARER.email, tmp_path / "export.json")
    assert await _where(system, other.display_name) == before


async def test_what_waits_is_sent_once_and_without_the_name(system: System, tmp_path: Path) -> None:
    await system.connect()
    ticket_id = await _share(system, "one")
    await erase(system.resources, SHARER.email, tmp_path / "export.json")
    await system.work()
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    (record,) = records(system, "incident")
    assert SHARER.name not in record["description"]
    assert REMOVED in record["description"]


async def test_nothing_is_removed_when_the_export_cannot_be_written(system: System, tmp_path: Path) -> None:
    await (await system.signed_in("sharer")).aclose()
    (tmp_path / "export.json").write_text("of another", encoding="utf-8")
    with pytest.raises(BackupProblem, match="is there already"):
        await erase(system.resources, SHARER.email, tmp_path / "export.json")
    assert "person" in await _where(system, SHARER.email)


async def test_nothing_is_removed_by_half(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await _busy_person(system)
    before = await _where(system, SHARER.name, SHARER.email, SHARER.oid)

    async def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(erase_module, "log_action", die)
    with pytest.raises(KeyboardInterrupt):
        await erase(system.resources, SHARER.email, tmp_path / "export.json")
    assert await _where(system, SHARER.name, SHARER.email, SHARER.oid) == before
