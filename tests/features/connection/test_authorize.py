"""Connecting through the pages and the sandbox's own login and consent, over HTTP."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

from app.core.messages import T
from app.features.connection import slots
from app.features.connection.authorize import why_denied
from app.features.connection.gateway import Lane, call
from app.features.connection.models import Connection
from app.features.connection.slots import Pool
from app.features.connection.tokens import mark_attention
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.schemas import RemoteUser
from tests.factories.calling import Gate
from tests.factories.connecting import (
    allow,
    begin,
    beside,
    connect_by_pages,
    connections,
    decide,
    expire,
    opened,
    remove,
    requests,
    said,
    second_manager,
    trouble,
)
from tests.factories.leaving import leads_to
from tests.factories.servicenow import running_servicenow
from tests.factories.system import System


async def whoami(client: ServiceNowClient) -> RemoteUser | None:
    return await client.whoami()


async def test_a_manager_connects_an_instance(system: System) -> None:
    manager = await system.signed_in("manager")
    page = said(await manager.get("/servicenow/connect"))
    for words in ("Instance name", "Client ID", "Client secret", "Authorize", "Never use your personal credentials"):
        assert words in page
    assert "http://security-center.test/servicenow/callback" in page

    answer = await connect_by_pages(system, manager, expected_user_name="m365.integration")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ticketProvisioning")

    [connection] = await connections(system)
    vault = system.resources.vault
    assert connection.status == "connected"
    assert connection.origin == system.servicenow.url
    assert connection.user_name == "m365.integration"
    assert connection.release_family == "zurich"
    assert connection.client_secret is not None
    assert opened(vault, connection, Connection.client_secret) == system.servicenow.settings.client_secret
    assert connection.refresh_token is not None
    assert connection.refresh_expires_at is not None
    assert (connection.refresh_expires_at - connection.connected_at).days in (99, 100)

    page = said(await manager.get("/servicenow"))
    for words in ("M365 Integration", "m365.integration", "by Alex Wilber", "Zurich", "days left", "valid until"):
        assert words in page


@pytest.mark.fact("servicenow 1.1", "servicenow 1.2", "servicenow trap-21")
async def test_what_is_sent_for_consent(system: System) -> None:
    manager = await system.signed_in("manager")
    answer = await begin(system, manager)
    asked = parse_qs(urlsplit(leads_to(answer)).query)
    assert urlsplit(leads_to(answer)).path == "/oauth_auth.do"
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == ["http://security-center.test/servicenow/callback"]
    # ServiceNow wants a state without special characters.
    assert asked["state"][0].isalnum()
    assert len(asked["state"][0]) >= 32
    assert "client_secret" not in asked
    assert asked["scope"] == ["useraccount"]
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/;" in cookie


async def test_nothing_secret_is_kept_in_clear(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    [connection] = await connections(system)
    vault = system.resources.vault
    assert connection.access_token
    assert connection.refresh_token
    secrets = (
        system.servicenow.settings.client_secret,
        opened(vault, connection, Connection.access_token),
        opened(vault, connection, Connection.refresh_token),
    )
    stored = repr([vars(row) for row in await connections(system)])
    for secret in secrets:
        assert secret not in stored
    for address in ("/servicenow", "/servicenow/connect", "/ticketProvisioning", "/servicenow/remove"):
        text = (await manager.get(address)).text
        assert not [secret for secret in secrets if secret in text]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("instance", "", "This is required."),
        ("instance", "https://evil.example", "SERVICENOW_ALLOWED_ORIGINS"),
        ("instance", "con toso", "An instance name holds no blanks."),
        ("client_id", "", "This is required."),
        ("client_secret", "", "This is required."),
        ("client_secret", "two words", "There is a blank or a line break inside."),
    ],
)
async def test_what_cannot_be_accepted_is_said_beside_the_field_and_nothing_typed_is_lost_but_the_secret(
    system: System, field: str, value: str, words: str
) -> None:
    manager = await system.signed_in("manager")
    typed = {"client_id": "typed-client", "client_secret": "typed-secret", "expected_user_name": "typed.user"}
    answer = await manager.post("/servicenow/connect", data={"instance": "typed-name"} | typed | {field: value})
    assert answer.status_code == 422
    assert words in said(answer)
    assert "typed-secret" not in answer.text
    assert "Type the client secret again" in said(answer)
    shown = {"instance": "typed-name", **typed} | {field: value}
    for name in ("instance", "client_id", "expected_user_name"):
        assert f'value="{shown[name]}"' in answer.text
    assert requests(system, "/") == []


async def test_everything_that_is_wrong_is_said_at_once(system: System) -> None:
    manager = await system.signed_in("manager")
    answer = await begin(system, manager, instance="admin@contoso", client_secret="two words", client_id=" ")
    assert answer.status_code == 422
    for words in ("must not hold a user name", "There is a blank or a line break inside", "This is required"):
        assert words in said(answer)


async def test_blanks_and_line_ends_around_the_credentials_are_dropped(system: System) -> None:
    manager = await system.signed_in("manager")
    settings = system.servicenow.settings
    answer = await connect_by_pages(
        system, manager,
        instance=f"  {system.servicenow.url}/ ", client_id=f"\u00a0{settings.client_id} \n",
        client_secret=f"\ufeff {settings.client_secret}\r\n",
    )  # fmt: skip
    assert answer.headers["location"] == "/ticketProvisioning"


async def test_deny_changes_nothing_and_says_so(system: System) -> None:
    manager = await system.signed_in("manager")
    start = await begin(system, manager, expected_user_name="m365.integration")
    answer = await manager.get(decide(system, leads_to(start), decision="deny"))
    assert answer.status_code == 400
    assert "Deny was pressed" in said(answer)
    assert 'value="m365.integration"' in answer.text
    assert system.servicenow.settings.client_secret not in answer.text
    assert await connections(system) == []
    assert requests(system, "/oauth_token.do") == []


@pytest.mark.fact("servicenow trap-19")
async def test_a_wrong_secret_says_what_to_check_and_keeps_the_form(system: System) -> None:
    manager = await system.signed_in("manager")
    answer = await connect_by_pages(system, manager, client_secret="not-the-secret")
    assert answer.status_code == 409
    assert "check them in turn: the client secret" in said(answer)
    assert system.servicenow.settings.client_id in answer.text
    assert "not-the-secret" not in answer.text
    assert await connections(system) == []


@pytest.mark.fact("servicenow trap-20")
async def test_a_code_that_comes_back_too_late_is_named_among_the_causes(system: System) -> None:
    manager = await system.signed_in("manager")
    start = await begin(system, manager)
    back = decide(system, leads_to(start))
    system.servicenow.control("clock", seconds=61)
    answer = await manager.get(back)
    assert answer.status_code == 409
    assert "whether more than a minute passed between Allow and now" in said(answer)
    assert (await connect_by_pages(system, manager)).status_code == 303


@pytest.mark.fact("other-connectors bug-78")
async def test_what_was_typed_is_tried_and_not_what_is_stored(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    answer = await connect_by_pages(system, manager, client_secret="not-the-secret")
    assert answer.status_code == 409
    assert "check them in turn: the client secret" in said(answer)
    assert [row.status for row in await connections(system)] == ["connected"]


async def test_two_admins_connecting_the_same_instance_share_one_connection(system: System) -> None:
    manager, second = await system.signed_in("manager"), await second_manager(system)
    starts = [(browser, await begin(system, browser)) for browser in (manager, second)]
    backs = [(browser, decide(system, leads_to(start))) for browser, start in starts]
    answers = await asyncio.gather(*(browser.get(back) for browser, back in backs))
    assert [answer.status_code for answer in answers] == [303, 303]
    [connection] = await connections(system)
    assert connection.token_version == 2


async def test_two_admins_connecting_two_instances_the_second_is_asked_first(system: System) -> None:
    with running_servicenow("http://security-center.test/servicenow/callback") as other:
        allow(system, other.url)
        manager, second = await system.signed_in("manager"), await second_manager(system)
        start = await begin(
            system, second,
            instance=other.url, client_id=other.settings.client_id, client_secret=other.settings.client_secret,
        )  # fmt: skip
        assert (await connect_by_pages(system, manager)).status_code == 303
        answer = await second.get(beside(other, leads_to(start)))
        assert answer.status_code == 409
        assert "was connected by somebody else, so nothing was changed" in said(answer)
        [connection] = await connections(system)
        assert connection.origin == system.servicenow.url
        # The tokens that came too late do not live on.
        assert [entry.path for entry in other.instance.journal].count("/oauth_revoke_token.do") == 2


async def test_another_instance_takes_the_place_of_the_old_one_and_coming_back_keeps_the_row(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    [old] = await connections(system)
    with running_servicenow("http://security-center.test/servicenow/callback") as other:
        allow(system, other.url)
        start = await begin(
            system, manager,
            instance=other.url, client_id=other.settings.client_id, client_secret=other.settings.client_secret,
        )  # fmt: skip
        assert (await manager.get(beside(other, leads_to(start)))).status_code == 303
        rows = {row.origin: row for row in await connections(system)}
        assert rows[system.servicenow.url].status == "removed"
        assert rows[system.servicenow.url].refresh_token is None
        assert rows[other.url].status == "connected"
        assert len(requests(system, "/oauth_revoke_token.do")) == 2
        assert (await connect_by_pages(system, manager)).status_code == 303
        rows = {row.origin: row for row in await connections(system)}
        assert rows[system.servicenow.url].id == old.id
        assert (rows[system.servicenow.url].status, rows[other.url].status) == ("connected", "removed")


async def test_an_instance_that_does_not_say_who_consented_is_connected_all_the_same(system: System) -> None:
    manager = await system.signed_in("manager")
    trouble(system, "refused_after_commit", times=5, path="/api/now/")
    assert (await connect_by_pages(system, manager)).status_code == 303
    [connection] = await connections(system)
    assert connection.user_name == ""
    assert "ServiceNow did not say" in said(await manager.get("/servicenow"))


async def test_a_sleeping_token_service_is_named(system: System) -> None:
    manager = await system.signed_in("manager")
    trouble(system, "hibernating", path="/oauth_token")
    answer = await connect_by_pages(system, manager)
    assert answer.status_code == 409
    assert "may be hibernating" in said(answer)


@pytest.mark.parametrize("role", ["sharer", "viewer", "outsider"])
async def test_only_managers_connect(system: System, role: str) -> None:
    await system.connect()
    browser = await system.signed_in(role)
    for method, address in (
        ("GET", "/servicenow"), ("GET", "/servicenow/connect"), ("POST", "/servicenow/connect"),
        ("POST", "/servicenow/authorize"), ("GET", "/servicenow/callback"), ("GET", "/servicenow/remove"),
        ("POST", "/servicenow/remove"),
    ):  # fmt: skip
        assert (await browser.request(method, address)).status_code == 403
    [connection] = await connections(system)
    assert connection.status == "connected"


async def test_everyone_who_may_read_sees_the_state(system: System) -> None:
    await system.connect()
    for role in ("viewer", "sharer"):
        page = said(await (await system.signed_in(role)).get("/ticketProvisioning"))
        assert "ServiceNow is connected." in page
        assert "Authorize" not in page
    assert "Authorize" in said(await (await system.signed_in("manager")).get("/ticketProvisioning"))
    assert (await (await system.signed_in("outsider")).get("/ticketProvisioning")).status_code == 403


@pytest.mark.fact("other-connectors bug-13")
async def test_being_connected_does_not_prevent_connecting_again(system: System) -> None:
    connection = await system.connect()
    manager = await system.signed_in("manager")
    assert (await connect_by_pages(system, manager)).status_code == 303
    await mark_attention(system.resources, connection.id, T("Expired."))
    assert (await connect_by_pages(system, manager)).status_code == 303
    [now] = await connections(system)
    assert (now.id, now.status) == (connection.id, "connected")


async def test_a_consent_is_kept_when_the_account_could_not_be_asked_for(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another call of a person holds the slot for longer than a browser waits: a person confirms the account."""
    connection = await system.connect()
    manager = await system.signed_in("manager")
    monkeypatch.setitem(slots.LONGEST_WAIT_SECONDS, Pool.INTERACTIVE, 0.3)
    gate = Gate()
    held = await gate.fill(system.resources, 1, lane=Lane.INTERACTIVE)
    assert (await connect_by_pages(system, manager)).status_code == 303
    [now] = await connections(system)
    assert (now.id, now.status) == (connection.id, "unconfirmed")
    assert now.token_version > connection.token_version
    assert "could not be asked who consented" in str(now.attention)
    assert (await remove(manager)).status_code == 303
    gate.open.set()
    await asyncio.gather(*held)
    [now] = await connections(system)
    assert now.status == "removed"


@pytest.mark.fact("other-connectors bug-17")
async def test_the_password_grant_is_never_requested(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    await expire(system)
    await call(system.resources, whoami)
    await remove(manager)
    asked = [parse_qs(entry.body)["grant_type"][0] for entry in requests(system, "/oauth_token.do")]
    assert asked == ["authorization_code", "refresh_token", "refresh_token"]  # The last sees that it was revoked.


@pytest.mark.fact("servicenow 1.2")
@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("invalid_scope", "does not give this client the scope useraccount"),
        ("access_denied", "the client may lack the scope useraccount"),
        ("server_error", "switched off under Advanced in this form"),
        ("", "neither a code nor a reason"),
    ],
)
def test_a_refusal_in_place_of_a_code_names_the_scope_among_its_causes(error: str, words: str) -> None:
    assert words in str(why_denied(error))
