"""The installation checklist: every value to type, remembered marks, a text to hand over; and what is exchanged."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from app.core.messages import T
from app.features.connection.tokens import mark_attention
from app.features.provisioning.checklist import ChecklistStep, Part, as_text, checklist
from tests.factories.connecting import begin, connect_by_pages, connections, said
from tests.factories.delivering import work_notes, write_note
from tests.factories.leaving import leads_to
from tests.factories.system import System
from tests.factories.tickets import SENDER, records, share_one

REDIRECT = "http://security-center.test/servicenow/callback"


@pytest.mark.fact("servicenow 9", "servicenow 1.7", "servicenow trap-26", "servicenow trap-27")
async def test_the_checklist_names_every_value_and_both_paths(system: System) -> None:
    page = said(await (await system.signed_in("manager")).get("/servicenow/connect"))
    for words in (
        "System OAuth > Application Registry", "Machine Identity Console > Inbound integrations",
        "Create an OAuth API endpoint for external clients", "OAuth authorization code grant", "Provider name", REDIRECT,
        "Security + Compliance Connector", "8640000", "1800", "m365.integration", "sn_incident_write, sn_change_write",
        "“Web service access only” is not ticked", "snc_read_only", "From Yokohama on", "/side_door.do", "Not You?",
        "same name and e-mail address", "Zurich, Australia, Brazil", "release Kingston or later", "role admin",
        "ServiceNow’s support portal", "default settings", "Invalid redirect_uri",
    ):  # fmt: skip
        assert words in page, words


async def test_marks_are_remembered_with_who_and_when_and_can_be_taken_back(system: System) -> None:
    manager = await system.signed_in("manager")
    answer = await manager.post("/servicenow/checklist/client", data={"done": "yes"})
    assert answer.headers["location"] == "/servicenow/connect#client"
    await manager.post("/servicenow/checklist/client", data={"done": "yes"})  # A double click.
    assert "Marked by Alex Wilber" in said(await manager.get("/servicenow/connect"))
    await manager.post("/servicenow/checklist/client", data={"done": "no"})
    assert "Marked by" not in said(await manager.get("/servicenow/connect"))
    assert (await manager.post("/servicenow/checklist/nonsense", data={"done": "yes"})).status_code == 404
    log = (await manager.get("/servicenow/audit.json")).json()
    assert [line["facts"].get("step") for line in log] == ["Create the OAuth client"] * 3


async def test_what_the_connection_shows_to_be_done_needs_no_mark(system: System) -> None:
    manager = await system.signed_in("manager")

    async def step_states() -> dict[str, str]:
        page = (await manager.get("/servicenow/connect")).text
        return {key: state for state, key in re.findall(r'<li class="step step-(\w+)" id="(\w+)">', page)}

    before = await step_states()
    assert (before["client"], before["values"], before["consent"], before["done"]) == (
        "todo",
        "current",
        "todo",
        "todo",
    )
    connection = await system.connect()
    after = await step_states()
    assert (after["client"], after["values"], after["consent"], after["done"]) == ("todo", "done", "done", "done")
    await mark_attention(system.resources, connection.id, T("Authorize again."))
    assert ((await step_states())["values"], (await step_states())["consent"]) == ("done", "todo")


async def test_the_text_holds_the_steps_for_servicenow_and_no_secret(system: System) -> None:
    manager = await system.signed_in("manager")
    await begin(system, manager)
    answer = await manager.get("/servicenow/checklist.txt")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == as_text(checklist(REDIRECT))
    assert "   - Redirect URL: http://security-center.test/servicenow/callback" in answer.text
    assert "3. Create the integration user" in answer.text
    assert system.servicenow.settings.client_secret not in answer.text


async def test_what_was_typed_comes_back_after_a_dead_end_at_servicenow(system: System) -> None:
    manager = await system.signed_in("manager")
    await begin(
        system, manager, client_id="f" * 32, expected_user_name="robot"
    )  # ServiceNow: "Invalid client_id", no way back.
    page = await manager.get("/servicenow/connect")
    assert f'value="{"f" * 32}"' in page.text
    assert 'value="robot"' in page.text
    assert system.servicenow.settings.client_secret not in page.text


async def test_an_old_release_can_do_without_the_proof_key(system: System) -> None:
    manager = await system.signed_in("manager")
    start = await begin(system, manager, pkce="no")
    assert "code_challenge" not in parse_qs(urlsplit(leads_to(start)).query)
    assert (await connect_by_pages(system, manager, pkce="no")).status_code == 303
    [connection] = await connections(system)
    assert connection.uses_pkce is False
    again = await manager.post("/servicenow/authorize")
    assert "code_challenge" not in again.headers["location"]


@pytest.mark.fact("servicenow 1.2")
async def test_a_consent_can_do_without_the_scope_and_goes_on_so_when_given_again(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, scope="no")
    [connection] = await connections(system)
    assert connection.sends_scope is False
    again = await manager.post("/servicenow/authorize")
    assert "scope" not in parse_qs(urlsplit(again.headers["location"]).query)


async def test_everybody_who_may_look_sees_what_is_exchanged(system: System) -> None:
    viewer = await system.signed_in("viewer")
    page = said(await viewer.get("/servicenow/data-exchange"))
    for words in (
        "Instance name", "Client ID", "Client secret", "Access and refresh tokens",
        "User ID that initiates the ticket creation", "Task name", "Task description", "Priority", "Due date",
        "Recommendation source (User or Microsoft recommendation)",
        "Recommendation category (Devices, Data, Apps, Identity, Infrastructure)", "not connected",
    ):  # fmt: skip
        assert words in page
    await system.connect()
    assert "contoso" in said(await viewer.get("/servicenow/data-exchange"))
    # The same panel stands beside the form, before anything is connected.
    panel = said(await (await system.signed_in("manager")).get("/servicenow/connect"))
    assert "Recommendation category (Devices, Data, Apps, Identity, Infrastructure)" in panel


@pytest.mark.fact("servicenow 9")
async def test_a_release_before_kingston_hides_the_cards_and_is_told_beside_the_prerequisites(system: System) -> None:
    manager = await system.signed_in("manager")
    await system.connect()
    system.servicenow.control("family", family="jakarta")
    await manager.post("/ticketProvisioning/check")
    await system.work()
    page = (await manager.get("/servicenow/connect")).text
    assert 'data-checked="release_too_old"' in page
    assert 'data-checked="reachable"' in page
    home = (await manager.get("/")).text
    assert "home-card-incident" not in home
    assert "home-card-change" not in home
    assert "The release is Jakarta" in home
    system.servicenow.control("family", family="zurich")
    await manager.post("/ticketProvisioning/check")
    await system.work()
    assert "home-card-incident" in (await manager.get("/")).text


async def test_the_page_says_to_the_letter_what_is_sent_received_and_stored(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    page = said(await manager.get("/servicenow/data-exchange"))
    for words in (
        "Name and e-mail address of the sender, in the description", "correlation id", "correlation_display",
        "Work notes that are written here", "and the name of who wrote them", "record id (sys_id)", "the refresh token",
        "work notes and comments with author and time", "record ids of up to 100",
    ):  # fmt: skip
        assert words in page, words


async def test_an_organization_may_leave_the_senders_name_out_of_tickets_and_notes(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    assert "Sender in ServiceNow" in said(await manager.get("/servicenow/settings"))
    answer = await manager.post("/servicenow/settings/sender", data={"named": "no"})
    assert answer.headers["location"] == "/servicenow/settings?saved=sender#sender"
    assert '<option value="no" selected>' in (await manager.get("/servicenow/settings")).text
    page = said(await manager.get("/servicenow/data-exchange"))
    assert "Neither name nor e-mail address of the sender" in page
    assert "and the name of who wrote them" not in page
    ticket_id = await share_one(system)
    await system.work()
    await write_note(system, ticket_id, "Looks good.")
    await system.work()
    [record] = records(system, "change_request")
    assert SENDER.name not in record["description"]
    assert SENDER.email not in record["description"]
    [note] = work_notes(system)
    assert "– from the security center" in note
    log = [line["what"] for line in (await manager.get("/servicenow/audit.json")).json()]
    assert "Sender’s name is left out of tickets" in log


@pytest.mark.fact("servicenow 1.7")
def test_both_ways_of_making_the_client_name_the_scope_and_the_new_one_the_boxes_that_stay_off() -> None:
    [client] = [step for step in checklist("https://us/cb") if step.key == "client"]
    ways = [part for part in client.parts if part.title is not None]
    assert len(ways) == 2
    for part in ways:
        assert ("Auth scope", "useraccount") in [(str(name), value) for name, value in part.values]
        assert any("useraccount" in str(line) for line in part.lines)
    console = " ".join(map(str, ways[1].lines))
    for box in ("Allow access only to APIs in selected scope", "Enforce token restriction"):
        assert box in console


def test_the_text_numbers_the_steps_and_names_every_value() -> None:
    step = ChecklistStep(
        "client", T("Create it"), (Part(T("Here"), (T("Press New."),), ((T("Name"), "Connector"),)), Part(None, (T("Save."),)))
    )  # fmt: skip
    assert as_text([step, step]).splitlines()[2:8] == [
        "1. Create it", "", "   Here", "   - Press New.", "   - Name: Connector", "   - Save.",
    ]  # fmt: skip
    assert as_text([step, step]).count("2. Create it") == 1
    assert as_text([step]).endswith("the client secret and the user’s password.")


@pytest.mark.parametrize("role", ["sharer", "viewer", "outsider"])
async def test_only_managers_use_the_checklist(system: System, role: str) -> None:
    browser = await system.signed_in(role)
    assert (await browser.get("/servicenow/checklist.txt")).status_code == 403
    assert (await browser.post("/servicenow/checklist/client", data={"done": "yes"})).status_code == 403
