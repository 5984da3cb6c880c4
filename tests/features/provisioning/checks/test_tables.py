"""The two tables: what may be read, created and changed, and whether look-ups can be believed."""

from __future__ import annotations

import re

import pytest

from app.core.messages import T
from app.features.provisioning.checks.tables import evaluate_roles, list_counts, right_missing, right_missing_or_raise
from app.features.provisioning.finding import State
from app.features.tickets.models import PollCursor
from app.features.tickets.polling.poll_plan import BELIEVED_REFUSALS
from app.features.tickets.types import KINDS, TicketKind
from app.integrations.http.errors import ServerError
from app.integrations.servicenow.probes import TableReading
from sandbox.servicenow.seeds import set_roles
from tests.factories.provisioning import check_context, diagnose
from tests.factories.system import System
from tests.factories.tickets import read_ticket, shared_ticket


@pytest.mark.fact("servicenow 4.4")
async def test_lists_of_states_that_may_not_be_read_name_the_role(system: System) -> None:
    await system.connect("fred.luddy")
    assert "personalize_choices" in str((await diagnose(system))["choices_not_readable"].message)


def test_states_are_counted_for_every_kind() -> None:
    assert str(list_counts(dict.fromkeys(TicketKind, 7))) == ", ".join(
        f"7 states of {spec.plural}" for spec in KINDS.values()
    )


@pytest.mark.fact("servicenow 2.6")
@pytest.mark.parametrize("table", ["incident", "change_request"])
async def test_one_record_that_is_hidden_is_no_missing_role(system: System, table: str) -> None:
    await system.connect()
    store = system.servicenow.instance.store
    first = next(iter(store.rows(table)))
    store.put(table, first | {"sys_id": "f" * 32, "number": "X0000999"})
    store.put(table, next(iter(store.rows(table))) | {"_hidden": "true"})
    assert f"role_missing.{table}.read" not in await diagnose(system)


@pytest.mark.fact("servicenow 2.5")
async def test_whether_older_records_are_visible_cannot_be_known_while_the_newest_are_hidden(system: System) -> None:
    await system.connect()
    store = system.servicenow.instance.store
    first = next(iter(store.rows("incident")))
    for number in range(100):
        hidden = {"sys_id": f"{number:032x}", "sys_created_on": "2999-01-01 00:00:00", "_hidden": "true"}
        store.put("incident", first | hidden)
    finding = (await diagnose(system))["table_incident"]
    assert finding.state is State.UNKNOWN
    assert "Access rules hide the newest records" in str(finding.meaning)


@pytest.mark.fact("servicenow 3.6", "other-connectors bug-78")
async def test_the_role_that_is_said_to_suffice_suffices(system: System) -> None:
    store = system.servicenow.instance.store
    robot = store.find("sys_user", user_name="m365.integration")
    assert robot is not None
    set_roles(store, robot, "sn_incident_write,personalize_choices")
    await system.connect()
    advice = str((await diagnose(system))["role_missing.change_request.read"].advice)
    role = re.search(r"the least that suffices, (\w+) with", advice)
    assert role is not None
    set_roles(store, robot, f"sn_incident_write,personalize_choices,snc_platform_rest_api_access,{role[1]}")
    assert not [key for key in await diagnose(system) if key.startswith("role_missing")]


@pytest.mark.fact("servicenow 2.3")
async def test_look_ups_that_cannot_be_believed_are_found(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    assert "was found again" in str((await diagnose(system))["correlation"].meaning)
    switches = system.servicenow.instance.switches
    switches.unreadable_fields = "correlation_id"
    finding = (await diagnose(system))["correlation_hidden"]
    assert finding.is_problem
    assert "does not show the integration user the field correlation_id" in str(finding.meaning)
    switches.unreadable_fields = ""
    switches.closed_fields = "correlation_id"
    finding = (await diagnose(system))["correlation_ignored"]
    assert finding.is_problem
    assert "read the field correlation_id of change_request" in str(finding.message)
    switches.strict_queries = True
    assert "query_match" in str((await diagnose(system))["correlation_refused"].advice)


async def test_a_ticket_that_is_not_found_again_is_named(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control(
        "records", number=record["number"], fields={"correlation_id": "somebody else’s"}, by="fred.luddy"
    )
    finding = (await diagnose(system))["correlation_lost"]
    assert record["number"] in str(finding.meaning)
    assert (await read_ticket(system, ticket_id)).correlation_id in str(finding.advice)


@pytest.mark.fact("servicenow 3.6", "servicenow 2.5")
@pytest.mark.parametrize(
    ("reading", "roles", "key", "words"),
    [
        (TableReading(3, 3), frozenset({"itil"}), "table_incident", "the roles allow creating (itil)"),
        (TableReading(3, 3), frozenset({"sn_change_write"}), "role_missing.incident.create", "none of the roles"),
        (TableReading(0, 101), frozenset({"itil"}), "table_incident", "hide the newest records"),
        (TableReading(0, 101), None, "table_incident", "hide the newest records"),
        (TableReading(3, 3), None, "table_incident", "records are visible"),
        (TableReading(0, 0), None, "table_incident", "no record yet"),
    ],
)
def test_without_a_ticket_the_roles_say_what_may_be_created(
    reading: TableReading, roles: frozenset[str] | None, key: str, words: str
) -> None:
    finding = evaluate_roles(check_context(), TicketKind.INCIDENT, reading, roles)
    assert finding.key == key
    assert words in str(finding.meaning)


@pytest.mark.parametrize(
    ("action", "words"), [("read", "Reading records"), ("write", "Changing records"), ("create", "Creating records")]
)
def test_a_missing_right_names_table_right_and_role(action: str, words: str) -> None:
    finding = right_missing(check_context(), TicketKind.CHANGE, action, T("No."))
    assert finding.key == f"role_missing.change_request.{action}"
    assert str(finding.meaning) == f"{words} in change_request is not allowed. No."
    assert "sn_change_write" in str(finding.advice)


def test_an_error_that_is_no_refusal_is_no_missing_right() -> None:
    with pytest.raises(ServerError):
        right_missing_or_raise(check_context(), TicketKind.CHANGE, "read", ServerError())


@pytest.mark.fact("servicenow 2.3")
async def test_where_polling_found_that_changes_are_left_out_the_check_says_so(system: System) -> None:
    """The check's own question is answered; only polling knows a record that ought to be in the answer."""
    connection = await system.connect()
    assert (await diagnose(system))["query_acl"].state is State.GOOD
    async with system.resources.database.transaction() as session:
        session.add(PollCursor(connection_id=connection.id, kind="incident", changes_refused=BELIEVED_REFUSALS))
    assert "read by its key" in str((await diagnose(system))["query_acl"].meaning)
