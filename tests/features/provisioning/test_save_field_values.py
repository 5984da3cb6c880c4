"""Fixed values for columns: offered from the instance, checked there, sent with every new ticket, refused line by line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.features.connection.preferences import ChangeType, FieldValue, Preferences, load_preferences
from app.features.provisioning.configure import find_groups
from app.features.provisioning.field_lines import (
    TableFacts,
    TypedValue,
    ValueControl,
    column_named,
    column_problem,
    offered_columns,
)
from app.features.provisioning.save_field_values import MOST_VALUES, _number
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.probes import TableColumn
from app.integrations.servicenow.schemas import FieldChoice
from sandbox.servicenow.seeds import add_column
from tests.factories.connecting import said, trouble
from tests.factories.system import System
from tests.factories.tickets import records, share_one

FIELDS = "/servicenow/settings/fields/incident"


def form(do: str = "save", **values: str) -> dict[str, str]:
    """The posted lines: `caller_id="x"` is a value, `search_caller_id="x"` a name that is looked for."""
    typed = {name: value for name, value in values.items() if not name.startswith("search_")}
    searched = {name.removeprefix("search_"): value for name, value in values.items() if name.startswith("search_")}
    lines = {f"line:{column}": "1" for column in typed | searched}
    return {
        "do": do,
        **lines,
        **{f"value:{column}": value for column, value in typed.items()},
        **{f"search:{column}": text for column, text in searched.items()},
    }


async def saved(system: System, connection_id: Any) -> dict[str, FieldValue]:
    async with system.resources.database.transaction() as session:
        return dict((await load_preferences(session, connection_id)).field_values.get("incident", {}))


def integration_user(system: System) -> str:
    found = system.servicenow.instance.store.find("sys_user", user_name="m365.integration")
    assert found is not None
    return found["sys_id"]


async def post(browser: httpx.AsyncClient, data: dict[str, str]) -> httpx.Response:
    return await browser.post(FIELDS, data=data)


@pytest.mark.fact("servicenow 4.4")
async def test_values_are_checked_kept_audited_and_sent_with_every_new_ticket(system: System) -> None:
    connection = await system.connect()
    system.servicenow.control("users", user_name="m365.integration", roles="itil,personalize_choices")
    add_column(system.servicenow.instance.store, "incident", "u_cost_center", "Cost center")
    manager = await system.signed_in("manager")
    user = integration_user(system)
    answer = await post(
        manager, form(caller_id=user, category="network", u_cost_center=" 4711 ", search_assigned_to="Fred Luddy")
    )
    assert answer.status_code == 303, said(answer)
    values = await saved(system, connection.id)
    fred = system.servicenow.instance.store.find("sys_user", user_name="fred.luddy")
    assert fred is not None
    assert {column: one.value for column, one in values.items()} == {
        "caller_id": user, "category": "network", "u_cost_center": "4711", "assigned_to": fred["sys_id"],
    }  # fmt: skip
    assert (values["category"].shown, values["u_cost_center"].label) == ("Network", "Cost center")
    assert "Fred Luddy" in values["assigned_to"].shown
    [entry] = (await manager.get("/servicenow/audit.json")).json()
    assert entry["what"] == "Field values changed"
    assert "category: Network" in entry["facts"]["values"]

    await share_one(system, TicketKind.INCIDENT)
    await share_one(system, TicketKind.CHANGE)
    await system.work()
    (record,) = records(system, "incident")
    assert (record["caller_id"], record["category"], record["u_cost_center"]) == (user, "network", "4711")
    (change,) = records(system, "change_request")
    assert change["category"] == ""


REFUSED = {
    "no_such": ("x", "has no column of this name"),
    "short_description": ("x", "sends Name with every ticket"),
    "due_date": ("2026-12-31 12:00:00", "sends Due date with every ticket"),
    "priority": ("1", "works the priority out"),
    "assignment_group": ("x", "under Defaults for new tickets"),
    "state": ("2", "ServiceNow fills state itself"),
    "sys_domain": ("x", "ServiceNow fills sys_domain itself"),
    "work_notes": ("x", "takes no fixed value"),
    "a^ORb": ("x", "no name of a column"),
    "close_notes": ("", "Choose or type a value"),
    "category": ("old", "does not offer this choice"),
    "subcategory": ("x" * 41, "This column holds 40 characters."),
    "u_flag": ("maybe", "Choose one of the list."),
    "u_day": ("31.12.2026", "Use the form 2026-12-31."),
    "u_moment": ("2026-12-31", "in UTC"),
    "u_count": ("many", "This is not a number."),
    "u_whole": ("1.5", "whole numbers only"),
    "caller_id": ("f" * 32, "sys_user holds no such record"),
    "assigned_to": ("../sys_user", "no key of a record"),
}


async def _with_odd_columns(system: System) -> None:
    system.servicenow.control("users", user_name="m365.integration", roles="itil,personalize_choices")
    store = system.servicenow.instance.store
    for name, kind in (("u_flag", "boolean"), ("u_day", "glide_date"), ("u_moment", "glide_date_time"),
                       ("u_count", "integer"), ("u_whole", "integer")):  # fmt: skip
        add_column(store, "incident", name, name.capitalize(), kind=kind)
    [choice] = store.find_all("sys_choice", name="incident", element="category", value="software")
    store.put("sys_choice", choice | {"sys_id": "c" * 32, "value": "old", "label": "Old", "inactive": "true"})


async def test_each_line_that_cannot_be_is_refused_with_its_sentence_and_nothing_typed_is_lost(system: System) -> None:
    connection = await system.connect()
    await _with_odd_columns(system)
    manager = await system.signed_in("manager")
    typed = {column: value for column, (value, _) in REFUSED.items()}
    answer = await post(manager, form(close_code="Duplicate", **typed))
    assert answer.status_code == 422
    lines = {line.split('"', 1)[0]: line for line in answer.text.split('name="line:')[1:]}
    for column, (value, words) in REFUSED.items():
        assert words in lines[column], column
        # A list of yes and no has no place for anything else, and no form sends it.
        assert value in lines[column] or column == "u_flag"
    assert '<option value="Duplicate" selected>' in lines["close_code"]
    assert "field-error" not in lines["close_code"]
    assert await saved(system, connection.id) == {}


async def test_a_name_that_fits_no_record_or_several_is_refused_and_stays(system: System) -> None:
    connection = await system.connect()
    manager = await system.signed_in("manager")
    for name, words in (
        ("Someone else", "sys_user holds no such record"),
        ("a^ORactive=true", "sys_user holds no such record"),
        ("e", "Several records fit"),
    ):
        answer = await post(manager, form(search_caller_id=name))
        assert answer.status_code == 422
        assert words in said(answer)
        assert f'value="{name}"' in answer.text
    answer = await post(manager, form("search", search_caller_id="e"))
    assert 'type="radio" name="value:caller_id"' in answer.text
    assert "Fred Luddy" in answer.text
    assert await saved(system, connection.id) == {}


@pytest.mark.fact("servicenow 2.3")
async def test_where_ranges_and_sorting_are_refused_choices_and_records_are_found_by_equality(system: System) -> None:
    connection = await system.connect()
    system.servicenow.control("users", user_name="m365.integration", roles="itil,personalize_choices")
    system.servicenow.instance.switches.range_refused = True
    manager = await system.signed_in("manager")
    page = await post(manager, form("search", search_caller_id="fred luddy", category=""))
    assert '<option value="network"' in page.text
    assert "Fred Luddy" in page.text
    partial = await post(manager, form(search_caller_id="Fre"))
    assert "Type its whole name or number." in said(partial)
    answer = await post(manager, form(search_caller_id="Fred Luddy", category="network"))
    assert answer.status_code == 303, said(answer)
    assert "Fred Luddy" in (await saved(system, connection.id))["caller_id"].shown
    assert await find_groups(system.resources, "Service Desk")


async def test_without_the_dictionary_a_name_is_typed_and_the_value_is_marked_as_unchecked(system: System) -> None:
    connection = await system.connect()
    system.servicenow.instance.switches.dictionary_readable = False
    manager = await system.signed_in("manager")
    page = await manager.get(FIELDS)
    assert "may not read the dictionary" in said(page)
    added = await post(manager, form("add") | {"add": "u_cost_center"})
    assert 'name="value:u_cost_center"' in added.text
    user = integration_user(system)
    answer = await post(manager, form(u_cost_center="4711", caller_id=user))
    assert answer.status_code == 303, said(answer)
    values = await saved(system, connection.id)
    assert (values["u_cost_center"].checked, values["caller_id"].value) == (False, user)
    assert "Not checked" in said(await manager.get(FIELDS))
    assert "with every ticket" in said(await post(manager, form(description="x")))


async def test_an_instance_that_does_not_answer_leaves_the_form_as_it_was_typed(system: System) -> None:
    connection = await system.connect()
    manager = await system.signed_in("manager")
    trouble(system, "bad_gateway", times=9, path="sys_dictionary")
    answer = await post(manager, form(u_cost_center="4711", search_caller_id="Fred"))
    assert answer.status_code == 409
    assert 'value="4711"' in answer.text
    assert 'value="Fred"' in answer.text
    assert await saved(system, connection.id) == {}


async def test_a_column_with_a_fixed_value_takes_no_copy_of_a_data_item(system: System) -> None:
    await system.connect()
    add_column(system.servicenow.instance.store, "incident", "u_area", "Area")
    manager = await system.signed_in("manager")
    assert (await post(manager, form(u_area="Security"))).status_code == 303
    answer = await manager.post("/servicenow/settings/columns/incident", data={"category": "u_area"})
    assert answer.status_code == 422
    assert "This column has a fixed value." in said(answer)
    assert 'value="u_area"' in answer.text


async def test_more_lines_than_a_form_holds_are_refused(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    columns = [f"u_{number}" for number in range(MOST_VALUES + 1)]
    # With all fields that the line of a reference has: a form that is too large loses nothing.
    looked_for = {f"{part}:{column}": "" for column in columns for part in ("search", "seen")}
    answer = await post(manager, form(**dict.fromkeys(columns, "x")) | looked_for)
    assert answer.status_code == 422
    assert 'name="value:u_25" value="x"' in answer.text
    assert f"At most {MOST_VALUES} columns" in said(answer)


async def test_a_name_typed_after_a_record_was_chosen_counts(system: System) -> None:
    connection = await system.connect()
    manager = await system.signed_in("manager")
    await post(manager, form(caller_id=integration_user(system)))
    answer = await post(manager, form(caller_id=integration_user(system), search_caller_id="Fred Luddy"))
    assert answer.status_code == 303, said(answer)
    assert "Fred Luddy" in (await saved(system, connection.id))["caller_id"].shown


FACTS = TableFacts(
    {
        name: TableColumn(name, label, kind, 40, read_only, reference)
        for name, label, kind, read_only, reference in (
            ("caller_id", "Caller", "reference", False, "sys_user"),
            ("category", "Category", "string", False, ""),
            ("work_notes", "Work notes", "journal_input", False, ""),
            ("u_fixed", "Fixed", "string", True, ""),
            ("u_flag", "Flag", "boolean", False, ""),
            ("u_score", "Score", "decimal", False, ""),
            ("short_description", "Short description", "string", False, ""),
        )
    },
    {"category": [FieldChoice("network", "Network")]},
)
UNREADABLE = TableFacts(None, {})


def test_only_columns_that_may_be_fixed_are_offered_by_their_labels() -> None:
    offered = offered_columns(FACTS, TicketKind.INCIDENT, Preferences())
    assert offered == [
        ("caller_id", "Caller (caller_id)"), ("category", "Category (category)"), ("u_flag", "Flag (u_flag)"),
        ("u_score", "Score (u_score)"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "control"),
    [
        ("caller_id", ValueControl.REFERENCE),
        ("category", ValueControl.CHOICE),
        ("u_flag", ValueControl.FLAG),
        ("u_score", ValueControl.NUMBER),
        ("short_description", ValueControl.TEXT),
        ("no_such", ValueControl.TEXT),
    ],
)
def test_a_column_is_typed_or_chosen_by_its_type(column: str, control: ValueControl) -> None:
    assert FACTS.control(column) is control


@pytest.mark.parametrize(
    ("label", "column", "guessed"),
    [
        ("Caller", "caller_id", "caller_id"),
        ("category", "category", "category"),
        ("u_flag", "u_flag", "u_flag"),
        ("Configuration item", "", "cmdb_ci"),
        ("Cost center", "", "cost_center"),
        ("!!", "", ""),
    ],
)
def test_a_label_leads_to_its_column_or_to_a_guess_without_the_dictionary(
    label: str, column: str, guessed: str
) -> None:
    assert column_named(FACTS, label) == column
    assert column_named(UNREADABLE, label) == guessed


@pytest.mark.parametrize("column", ["type", "chg_model"])
def test_the_process_of_a_change_is_chosen_elsewhere_and_free_for_incidents(column: str) -> None:
    assert "under Change type" in str(column_problem(UNREADABLE, TicketKind.CHANGE, column, Preferences()))
    assert column_problem(UNREADABLE, TicketKind.INCIDENT, column, Preferences()) is None


def test_a_column_that_takes_a_copy_of_a_data_item_is_not_fixed_as_well() -> None:
    copying = replace(Preferences(), columns={"incident": {"category": "u_flag"}})
    assert "takes a copy" in str(column_problem(FACTS, TicketKind.INCIDENT, "u_flag", copying))
    assert column_problem(FACTS, TicketKind.INCIDENT, "u_flag", Preferences()) is None


@pytest.mark.parametrize(
    ("typed", "sent"),
    [("05", "5"), ("1.50", "1.5"), ("-3", "-3"), ("100", "100"), ("1e3", "1000"), ("NaN", None), ("1e999", None), ("x", None)],
)  # fmt: skip
def test_a_number_is_sent_as_the_instance_writes_it_back(typed: str, sent: str | None) -> None:
    assert _number(typed) == sent


def test_a_name_counts_until_its_matches_were_seen() -> None:
    assert TypedValue("1", "Fred").decided == ""
    assert TypedValue("1", "Fred", "Fred").decided == "1"
    assert TypedValue("1").decided == "1"


def test_a_change_type_that_is_not_offered_is_none() -> None:
    emergency = ChangeType("type", "emergency", "Emergency")
    decided = replace(Preferences(), change_types=[emergency])
    assert decided.change_type_of("type:emergency") == emergency
    assert decided.change_type_of("") == decided.change_type
    assert Preferences().change_type_of("type:emergency") is None
