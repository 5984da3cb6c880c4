"""Who consented is read back: a person's own account, or another than the one named, waits for a choice."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest

from app.features.accounts.permissions import Role, Viewer
from app.features.connection.active_connection import NotConnected
from app.features.connection.consent_check import doubt_about
from app.features.connection.gateway import call
from app.integrations.servicenow.schemas import RemoteUser
from tests.factories.connecting import (
    confirm,
    connect_by_pages,
    connections,
    decide,
    requests,
    said,
    second_manager,
    trouble,
)
from tests.factories.leaving import leads_to
from tests.factories.system import System

ALEX = Viewer(uuid4(), "o", "t", "Alex Wilber", "Alex@contoso.example", Role.MANAGER)
ROBOT = RemoteUser("1" * 32, "m365.integration", "M365 Integration", "m365.integration@example.com")


def account(**changes: str) -> RemoteUser:
    values: dict[str, Any] = {"sys_id": "2" * 32, "user_name": "x", "name": "X", "email": "x@example.com"} | changes
    return RemoteUser(**values)


@pytest.mark.fact("servicenow trap-23")
@pytest.mark.parametrize(
    "user",
    [
        account(email="alex@CONTOSO.example"),
        account(user_name="alex@contoso.example"),
        account(user_name="ALEX"),
        account(name="alex wilber"),
    ],
)
def test_a_persons_own_account_is_recognised(user: RemoteUser) -> None:
    assert "looks like your own account" in str(doubt_about(user, "", ALEX))


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (ROBOT, ""),
        (ROBOT, "m365.integration"),
        (ROBOT, "M365.Integration"),
        (account(user_name="", name="", email=""), ""),
    ],
)
def test_what_gives_no_reason_to_ask(user: RemoteUser | None, expected: str) -> None:
    assert doubt_about(user, expected, ALEX) is None


@pytest.mark.fact("servicenow trap-23")
def test_a_persons_own_account_is_said_also_when_it_is_the_one_named() -> None:
    shared = account(user_name="robot", name="Alex Wilber", email="alex@contoso.example")
    for user, named in ((shared, "robot"), (account(user_name="alex"), "alex")):
        assert "looks like your own account. Tickets would be opened in your name" in str(
            doubt_about(user, named, ALEX)
        )


def test_another_user_than_the_one_named_is_said() -> None:
    sentence = str(doubt_about(account(user_name="fred", name="Fred"), "m365.integration", ALEX))
    assert "given as Fred (fred) and not as the integration user m365.integration" in sentence
    own = str(doubt_about(account(user_name="alex"), "m365.integration", ALEX))
    assert "your own account, and not as the integration user m365.integration" in own


@pytest.mark.fact("servicenow trap-23")
async def test_nothing_is_sent_until_a_person_has_decided(system: System) -> None:
    manager = await system.signed_in("manager")
    answer = await connect_by_pages(system, manager, user="alex.wilber")
    assert answer.headers["location"] == "/ticketProvisioning"
    await system.work()
    sent = [entry.path for entry in requests(system, "/api/now")]
    assert set(sent) == {"/api/now/v2/table/sys_user", "/api/now/v2/table/sys_properties"}  # Reading back, no more.
    [connection] = await connections(system)
    assert connection.status == "unconfirmed"
    with pytest.raises(NotConnected, match="looks like your own account"):
        await call(system.resources, lambda client: client.whoami())

    page = said(await manager.get("/ticketProvisioning"))
    assert "looks like your own account" in page
    assert "Sign in as another user" in page
    assert "Use alex.wilber all the same" in page
    viewer = said(await (await system.signed_in("viewer")).get("/ticketProvisioning"))
    assert "looks like your own account" in viewer
    assert "Use alex.wilber" not in viewer


async def test_confirming_lets_work_begin(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, user="fred.luddy", expected_user_name="m365.integration")
    [connection] = await connections(system)
    assert connection.status == "unconfirmed"
    assert (await confirm(manager)).headers["location"] == "/ticketProvisioning"
    await confirm(manager)  # A double click.
    await system.work()
    [connection] = await connections(system)
    assert (connection.status, connection.attention) == ("connected", None)
    page = said(await manager.get("/ticketProvisioning"))
    assert "Consented as Fred Luddy (fred.luddy), while the set-up names m365.integration" in page
    log = [line["what"] for line in (await manager.get("/servicenow/audit.json")).json()]
    assert log.count("Account confirmed") == 1


async def test_signing_in_as_another_user_ends_the_wrong_ones_tokens(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, user="alex.wilber")
    start = await manager.post("/servicenow/authorize")
    assert (await manager.get(decide(system, leads_to(start)))).status_code == 303
    [connection] = await connections(system)
    assert (connection.status, connection.user_name) == ("connected", "m365.integration")
    wrong = system.servicenow.instance.store.find("sys_user", user_name="alex.wilber")
    assert wrong is not None
    live = [
        row
        for row in system.servicenow.instance.store.rows("oauth_credential")
        if row["user"] == wrong["sys_id"] and row["kind"] != "code" and system.servicenow.instance.is_live(row)
    ]
    assert live == []


async def test_only_managers_confirm(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, user="alex.wilber")
    assert (await (await system.signed_in("sharer")).post("/servicenow/confirm")).status_code == 403
    [connection] = await connections(system)
    assert connection.status == "unconfirmed"


async def test_one_lost_answer_does_not_skip_the_look_at_who_consented(system: System) -> None:
    trouble(system, "bad_gateway", path="/table/sys_user")
    await connect_by_pages(
        system, await system.signed_in("manager"), user="alex.wilber", expected_user_name="m365.integration"
    )
    [connection] = await connections(system)
    assert (connection.status, connection.user_name) == ("unconfirmed", "alex.wilber")


async def test_where_servicenow_names_no_account_a_person_has_to_look(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.features.connection.authorize.READ_BACK_PAUSES", (0.01, 0.01))
    manager = await system.signed_in("manager")
    trouble(system, "bad_gateway", path="/table/sys_user", times=3)
    await connect_by_pages(system, manager, expected_user_name="m365.integration")
    page = said(await manager.get("/ticketProvisioning"))
    assert "ServiceNow could not be asked who consented" in page
    assert "Confirm the account" in page
    await confirm(manager)
    [connection] = await connections(system)
    assert connection.status == "connected"


def test_an_account_that_is_not_named_is_doubted() -> None:
    assert "does not say who consented" in str(doubt_about(None, "m365.integration", ALEX))


@pytest.mark.parametrize("fault", ["acl_hiccup", "signed_out"])
async def test_an_instance_that_refuses_to_say_who_consented_leaves_it_to_a_person(
    system: System, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("app.features.connection.authorize.READ_BACK_PAUSES", (0.01, 0.01))
    trouble(system, fault, path="/table/sys_user", times=3)
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, expected_user_name="m365.integration")
    [connection] = await connections(system)
    assert (connection.status, connection.user_name) == ("unconfirmed", "")
    assert "could not be asked who consented" in said(await manager.get("/ticketProvisioning"))


async def test_an_account_that_access_rules_hide_from_itself_is_confirmed_by_a_person(system: System) -> None:
    system.servicenow.instance.switches.acl_refuses = "sys_user.read"
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, user="alex.wilber", expected_user_name="m365.integration")
    [connection] = await connections(system)
    assert (connection.status, connection.user_name) == ("unconfirmed", "")
    assert "who consented" in said(await manager.get("/ticketProvisioning"))
    await confirm(manager)
    assert (await connections(system))[0].status == "connected"


async def test_confirming_confirms_the_account_that_was_shown(system: System) -> None:
    first, second = await system.signed_in("manager"), await second_manager(system)
    await connect_by_pages(system, first, user="alex.wilber", expected_user_name="m365.integration")
    page = (await first.get("/ticketProvisioning")).text
    assert "Use alex.wilber all the same" in page
    shown = re.findall(r'name="account" value="([^"]+)"', page)[0]
    await connect_by_pages(system, second, user="fred.luddy", expected_user_name="m365.integration")
    await first.post("/servicenow/confirm", data={"account": shown})
    [connection] = await connections(system)
    assert (connection.status, connection.user_name) == ("unconfirmed", "fred.luddy")
    await confirm(first)
    assert (await connections(system))[0].status == "connected"
