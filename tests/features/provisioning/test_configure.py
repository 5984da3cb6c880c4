"""Manage ServiceNow configuration: state names, defaults with a look-up of groups, own columns checked at the instance."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.core.database import Session
from app.features.connection.preferences import Preferences, load_preferences
from app.features.provisioning.configure import Proposals, column_problem, groups_named, proposal_problems
from app.features.tickets.models import Ticket
from app.features.tickets.ticket_fields import copied_fields
from app.integrations.servicenow.probes import AssignmentGroup, TableColumn
from sandbox.servicenow.seeds import add_column
from tests.factories.connecting import begin, changed, decide, said, second_manager, trouble
from tests.factories.leaving import leads_to
from tests.factories.system import System

DEFAULTS = {
    "kind": "incident", "priority_high": "1", "priority_moderate": "2", "priority_low": "3",
    "due_1": "3", "due_2": "5", "due_3": "10", "due_4": "20", "due_5": "40", "category": "Data",
    "group_name": "security operations",
}  # fmt: skip


async def test_without_a_connection_there_is_nothing_to_configure(system: System) -> None:
    manager = await system.signed_in("manager")
    assert (await manager.get("/servicenow/settings")).headers["location"] == "/servicenow/connect"


async def test_states_get_own_labels_and_groups_and_can_be_reset(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    page = said(await manager.get("/servicenow/settings"))
    for words in (
        "State names of change requests",
        "State names of incidents",
        "Re-provision",
        "Remove the connection",
    ):
        assert words in page
    form = {"label:2": "Being worked on", "group:2": "waiting"}
    answer = await manager.post("/servicenow/settings/states/incident", data=form)
    assert answer.headers["location"] == "/servicenow/settings?saved=states#incident"
    text = (await manager.get("/servicenow/settings")).text
    assert 'name="label:2" value="Being worked on"' in text
    await manager.post("/servicenow/settings/states/incident/reset")
    assert "Being worked on" not in (await manager.get("/servicenow/settings")).text
    log = [line["what"] for line in (await manager.get("/servicenow/audit.json")).json()]
    assert log == ["State name changed", "State names reset"]


async def test_a_label_that_is_too_long_is_refused_and_nothing_typed_is_lost(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    answer = await manager.post(
        "/servicenow/settings/states/change", data={"label:-5": "Fresh", "label:-4": "x" * 41, "group:-5": "new"}
    )
    assert answer.status_code == 422
    assert "At most 40 characters" in said(answer)
    assert 'value="Fresh"' in answer.text
    assert "Fresh" not in (await manager.get("/servicenow/settings")).text  # One bad line changes none.


async def test_defaults_are_kept_with_the_group_that_was_looked_up_and_the_form_proposes_them(system: System) -> None:
    connection = await system.connect()
    manager = await system.signed_in("manager")
    answer = await manager.post("/servicenow/settings/defaults", data=DEFAULTS)
    assert answer.status_code == 303, said(answer)
    async with system.resources.database.transaction() as session:
        kept = await load_preferences(session, connection.id)
    group = system.servicenow.instance.store.find("sys_user_group", name="Security Operations")
    assert group is not None
    assert (kept.kind, kept.group_id, kept.group_name) == ("incident", group["sys_id"], "Security Operations")
    assert (kept.priorities["high"], kept.due_days[3], kept.category) == (1, 10, "Data")
    proposed = (await (await system.signed_in("sharer")).get("/tickets/new")).text
    assert '<option value="Data" selected>' in proposed or 'value="Data" checked' in proposed
    assert (
        "Security Operations" in said(await manager.get("/servicenow/settings"))
        or "Security Operations" in (await manager.get("/servicenow/settings")).text
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"group_name": "Operations"}, "Similar ones: Security Operations"),
        ({"group_name": "Nobody at all"}, "no active group of this name"),
        ({"group_name": "a^ORnameLIKE"}, "cannot be searched for"),
        ({"due_2": "-1"}, "This cannot be used."),
        ({"due_2": "soon"}, "This is not a number."),
        ({"priority_low": "9"}, "This cannot be used."),
        ({"kind": "problem"}, "Choose one of the list."),
    ],
)
async def test_what_cannot_be_a_default_is_said_and_nothing_is_changed(
    system: System, change: dict[str, str], words: str
) -> None:
    connection = await system.connect()
    manager = await system.signed_in("manager")
    answer = await manager.post("/servicenow/settings/defaults", data=DEFAULTS | change)
    assert answer.status_code == 422
    assert words in said(answer)
    async with system.resources.database.transaction() as session:
        assert (await load_preferences(session, connection.id)).group_id == ""


async def test_the_group_field_offers_matches_and_no_query_is_ever_widened(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    offered = (await manager.get("/servicenow/settings/groups?group_name=secur")).text
    assert '<option value="Security Operations">' in offered
    assert "Network" not in offered
    assert "option" not in (await manager.get("/servicenow/settings/groups?group_name=a%5EORnameLIKE")).text
    trouble(system, "bad_gateway", path="sys_user_group")
    assert (await manager.get("/servicenow/settings/groups?group_name=net")).status_code == 200


@pytest.mark.parametrize(
    "name",
    ["Global Security Operations and Incident Response EMEA", "O'Brien's team", "Service Desk", "Ops, IN & LIKE"],
)
async def test_a_group_that_exists_can_be_chosen_among_similar_names(system: System, name: str) -> None:
    await system.connect()
    store = system.servicenow.instance.store
    some = next(iter(store.rows("sys_user_group")))
    for number in range(26):
        store.put("sys_user_group", some | {"sys_id": f"{number:032x}", "name": f"EMEA {number:02d} Service Desk"})
    if store.find("sys_user_group", name=name) is None:
        store.put("sys_user_group", some | {"sys_id": "f" * 32, "name": name})
    manager = await system.signed_in("manager")
    answer = await manager.post("/servicenow/settings/defaults", data=DEFAULTS | {"group_name": name})
    assert answer.status_code == 303, said(answer)
    store.put("sys_user_group", some | {"sys_id": "e" * 32, "name": name})
    answer = await manager.post("/servicenow/settings/defaults", data=DEFAULTS | {"group_name": name})
    assert "Several groups have exactly this name" in said(answer)


@pytest.mark.parametrize(
    ("item", "kind", "length", "words"),
    [
        ("description", "glide_date", "40", "only the due date"),
        ("category", "glide_date_time", "40", "only the due date"),
        ("description", "string", "5", "This column holds 5 characters"),
        ("name", "string", "159", "up to 160"),
        ("due_date", "glide_date", "10", ""),
        ("due_date", "string", "18", "up to 19"),
        ("name", "string", "160", ""),
        ("description", "string", "", ""),
    ],
)
async def test_a_column_that_cannot_hold_the_item_is_refused(
    system: System, item: str, kind: str, length: str, words: str
) -> None:
    await system.connect()
    store = system.servicenow.instance.store
    add_column(store, "incident", "u_odd", "Odd", kind=kind)
    [row] = [row for row in store.rows("sys_dictionary") if row.get("element") == "u_odd"]
    store.put("sys_dictionary", row | {"max_length": length})
    manager = await system.signed_in("manager")
    answer = await manager.post("/servicenow/settings/columns/incident", data={item: "u_odd"})
    assert answer.status_code == (422 if words else 303), said(answer)
    assert words in said(answer)


async def test_own_columns_are_checked_at_the_instance_and_filled_in_new_tickets(system: System) -> None:
    await system.connect()
    store = system.servicenow.instance.store
    add_column(store, "incident", "u_recommendation_category", "Recommendation category")
    add_column(store, "incident", "u_due_count", "Count", kind="integer")
    manager = await system.signed_in("manager")
    columns = {"category": "u_recommendation_category"}
    for typed, words in (
        ({"category": "u_no_such"}, "has no column of this name"),
        ({"category": "short_description"}, "Only columns of your own"),
        ({"category": "u_due_count"}, "does not hold text"),
        ({"category": "u_x^ORactive=true"}, "has no column of this name"),
        ({"category": "u_recommendation_category", "source": "u_recommendation_category"}, "same column"),
    ):
        answer = await manager.post("/servicenow/settings/columns/incident", data=typed)
        assert answer.status_code == 422
        assert words in said(answer)
    assert (await manager.post("/servicenow/settings/columns/incident", data=columns)).status_code == 303
    await manager.post("/servicenow/settings/defaults", data=DEFAULTS)

    sharer = await system.signed_in("sharer")
    form: dict[str, Any] = {
        "form_key": "0f0e0d0c-0b0a-4908-8706-050403020100", "kind": "incident", "name": "Turn on MFA",
        "description": "Please.", "priority": "2", "due_date": "2999-12-31", "category": "Identity",
    }  # fmt: skip
    form["due_date"] = (await sharer.get("/tickets/new")).text.split('name="due_date"')[1].split('value="')[1][:10]
    answer = await sharer.post("/tickets/new", data=form)
    assert answer.status_code == 303, said(answer)
    async with system.resources.database.transaction() as session:
        record = (await session.execute(select(Ticket))).scalar_one().record
    assert record["u_recommendation_category"] == "Identity"
    assert record["assignment_group"]
    await system.work()
    [made] = [row for row in store.rows("incident") if row["short_description"] == "Turn on MFA"]
    assert made["u_recommendation_category"] == "Identity"
    assert made["assignment_group"] == record["assignment_group"]


async def test_columns_that_cannot_be_checked_are_refused_and_say_so(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.dictionary_readable = False
    manager = await system.signed_in("manager")
    answer = await manager.post("/servicenow/settings/columns/change", data={"category": "u_anything"})
    assert answer.status_code == 422
    assert "may not read the dictionary" in said(answer)
    assert 'value="u_anything"' in answer.text


@pytest.mark.parametrize("role", ["sharer", "viewer", "outsider"])
async def test_only_managers_configure(system: System, role: str) -> None:
    await system.connect()
    browser = await system.signed_in(role)
    for method, address in (
        ("GET", ""), ("GET", "/groups"), ("POST", "/states/change"), ("POST", "/states/change/reset"),
        ("POST", "/defaults"), ("POST", "/columns/change"),
    ):  # fmt: skip
        assert (await browser.request(method, f"/servicenow/settings{address}")).status_code == 403


async def test_two_who_save_columns_at_once_lose_nothing(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = await system.connect()
    add_column(system.servicenow.instance.store, "incident", "u_a", "A", length=255)
    add_column(system.servicenow.instance.store, "change_request", "u_b", "B", length=255)
    one, two = await system.signed_in("manager"), await second_manager(system)
    both = asyncio.Barrier(2)

    async def together(session: Session, connection_id: UUID | None) -> Preferences:
        found = await load_preferences(session, connection_id)
        with suppress(TimeoutError, asyncio.BrokenBarrierError):
            async with asyncio.timeout(1):
                await both.wait()
        return found

    monkeypatch.setattr("app.features.provisioning.configure.load_preferences", together)
    await asyncio.gather(
        one.post("/servicenow/settings/columns/incident", data={"name": "u_a"}),
        two.post("/servicenow/settings/columns/change", data={"name": "u_b"}),
    )
    async with system.resources.database.transaction() as session:
        kept = (await load_preferences(session, connection.id)).columns
    assert kept == {"incident": {"name": "u_a"}, "change": {"name": "u_b"}}


async def test_the_audit_log_says_which_state_was_renamed(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    await manager.post("/servicenow/settings/states/incident", data={"label:2": "Being worked on"})
    [line] = (await manager.get("/servicenow/audit.json")).json()
    assert line["facts"]["renamed"] == "In Progress"


async def test_a_character_that_no_database_keeps_is_refused_with_a_sentence(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    back = decide(system, leads_to(await begin(system, manager)))
    for answer in (
        await manager.post("/servicenow/settings/states/incident", data={"label:2": "a\0b"}),
        await manager.get("/secure-score/actions/%00"),
    ):
        assert answer.status_code == 422
        assert "This holds characters that cannot be used." in said(answer)
    # What another system says is cleaned, and told.
    denied = await manager.get(changed(back, code="", error="a\0b" + "c" * 5_000))
    assert denied.status_code == 400
    assert "did not authorize us (abccc" in said(denied)


WANTED = Proposals(
    kind="change", priorities={"high": 1, "moderate": 2, "low": 5}, due_days={1: 0, 5: 3650}, category="", group_name=""
)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, set()),
        ({"kind": "problem"}, {"kind"}),
        ({"after_done": "close"}, {"after_done"}),
        ({"priorities": {"high": 0, "moderate": 6}}, {"priority_high", "priority_moderate", "priority_low"}),
        ({"due_days": {1: -1, 2: 3651, 3: 5}}, {"due_1", "due_2"}),
    ],
)
def test_proposals_are_checked_field_by_field(changes: dict[str, Any], fields: set[str]) -> None:
    assert set(proposal_problems(replace(WANTED, **changes))) == fields


COLUMNS = {
    name: TableColumn(name, "", kind, length, read_only)
    for name, kind, length, read_only in (
        ("u_text", "string", 255, False), ("u_short", "string", 5, False), ("u_any", "html", 0, False),
        ("u_date", "glide_date", 40, False), ("u_count", "integer", 40, False), ("u_fixed", "string", 255, True),
        ("short_description", "string", 160, False),
    )
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "item", "words"),
    [
        ("u_text", "category", ""),
        ("u_any", "description", ""),
        ("u_date", "due_date", ""),
        ("u_date", "name", "only the due date"),
        ("u_short", "name", "holds 5 characters"),
        ("u_count", "category", "does not hold text (it is of the type integer)"),
        ("u_fixed", "category", "read-only"),
        ("short_description", "name", "Only columns of your own"),
        ("u_missing", "category", "has no column of this name"),
        ("u_text^ORactive=true", "category", "has no column of this name"),
    ],
)
def test_a_column_takes_an_item_or_says_why_not(name: str, item: str, words: str) -> None:
    problem = column_problem(COLUMNS, name, "incident", copied_fields()[item])
    assert (problem is None) is (words == "")
    assert words in str(problem)


def test_a_groups_name_is_compared_without_case_and_blanks() -> None:
    groups = [AssignmentGroup("1", "Service  Desk"), AssignmentGroup("2", "Service Desk EMEA")]
    assert [group.sys_id for group in groups_named(groups, "service desk")] == ["1"]
