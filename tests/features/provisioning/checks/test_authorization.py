"""The authorization: attempts, tokens and the end of the consent, each cause found by its name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.core import clock
from app.core.clock import SetClock
from app.core.errors import AppError
from app.core.messages import Message, T
from app.core.vault import Vault
from app.features.connection.active_connection import NotConnected
from app.features.connection.authorization_attempts import DENIED, LastAttempt
from app.features.connection.connection_view import connection_view
from app.features.connection.key_rotation import KEY_LOST, forget_what_no_key_opens
from app.features.connection.models import Connection
from app.features.connection.token_errors import NoToken, SecretsMoved, StoredOriginRefused, WrongKeys
from app.features.connection.tokens import TOKEN_REFUSED
from app.features.provisioning.checks.authorization import (
    check_consent,
    check_last_attempt,
    evaluate_release,
    finding_without_token,
    has_unfinished_attempt,
)
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.diagnosis import run_diagnosis
from app.features.provisioning.finding import State
from app.features.provisioning.list_steps import list_steps
from app.features.provisioning.queue_checks import queue_check, queue_checks
from app.integrations.servicenow.oauth import NAMED_CAUSES, NOT_RENEWED, ServiceNowOAuth
from app.integrations.servicenow.schemas import Release, Tokens
from tests.factories.connecting import begin, connect_by_pages, connections, decide, expire, said, trouble
from tests.factories.leaving import leads_to
from tests.factories.provisioning import attempt, check_context, diagnose
from tests.factories.system import System

pytestmark = pytest.mark.thorough


async def move(system: System, **values: Any) -> None:
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(**values))


USUAL = "ServiceNow names no cause"


@pytest.mark.thorough
@pytest.mark.fact("servicenow 1.5", "servicenow trap-19", "other-connectors bug-78")
@pytest.mark.parametrize(
    ("switches", "words", "advice", "answer"),
    [
        ({"wrong_secret": True}, "It says the same for every cause", USUAL, "access_denied"),
        ({"wrong_secret": True, "rfc_token_errors": True}, "the client secret is wrong", "Copy the client ID", "invalid_client"),
        ({"grants_off": "refresh_token", "rfc_token_errors": True}, "switched off the kind of grant", "to be allowed", "un"),
        ({"refresh_tokens_expired": True, "rfc_token_errors": True}, "this consent is over", "consent as", "invalid_grant"),
        ({"user_read_only": True}, "It says the same for every cause", USUAL, "access_denied"),
    ],
)  # fmt: skip
async def test_refused_tokens_are_told_apart_as_far_as_servicenow_allows(
    system: System, switches: dict[str, Any], words: str, advice: str, answer: str
) -> None:
    await system.connect()
    await expire(system)
    system.servicenow.instance.switches.change(switches)
    finding = (await diagnose(system))["consent_refused"]
    assert words in str(finding.meaning)
    assert advice in str(finding.advice)
    assert (USUAL in str(finding.advice)) == (advice == USUAL)
    assert f" gets {answer}" in str(finding.message)
    assert "System OAuth > Manage Tokens" in str(finding.message)


async def test_an_account_that_waits_for_confirmation_is_no_refused_consent(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, user="fred.luddy", expected_user_name="m365.integration")
    found = await diagnose(system)
    assert "consent_refused" not in found
    assert found["user_unconfirmed"].is_problem
    assert "Fred Luddy (fred.luddy) and not as the integration user" in str(found["user_unconfirmed"].meaning)
    assert "confirm that this account is the right one" in str(found["user_unconfirmed"].advice)


@pytest.mark.fact("servicenow 2.6")
async def test_a_fresh_token_that_the_api_refuses_is_not_blamed_on_the_token_service(system: System) -> None:
    await system.connect()
    trouble(system, "signed_out", path="/api/now/v2/table/sys_user", times=5, method="GET")
    for _ in range(2):  # Also the next time, when the connection waits for a person.
        found = await diagnose(system)
        assert "consent_refused" not in found
        assert "REST API access policy" in str(found["token_refused"].message)
        assert "gets access tokens from /oauth_token.do" in str(found["token_refused"].message)


async def test_lost_keys_of_ours_are_not_blamed_on_servicenow(system: System) -> None:
    await system.connect()
    system.resources = replace(system.resources, vault=Vault([Vault.new_key()]))
    assert await forget_what_no_key_opens(system.resources)
    found = await diagnose(system)
    assert "consent_refused" not in found
    assert "The key that sealed the tokens is lost" in str(found["vault_keys"].meaning)
    assert found["vault_keys"].message is None


async def test_keys_that_do_not_fit_are_named_as_this_servers_own_trouble(system: System) -> None:
    await system.connect()
    system.resources = replace(system.resources, vault=Vault([Vault.new_key()]))
    finding = (await diagnose(system))["vault_keys"]
    assert finding.is_problem
    assert "the same VAULT_KEYS" in str(finding.advice)
    assert (await connections(system))[0].status == "connected"


async def test_a_token_service_that_does_not_answer_is_no_refusal(system: System) -> None:
    connection = await system.connect()
    trouble(system, "hibernating", path="/oauth_token.do", times=3)
    async with system.resources.database.transaction() as session:
        await queue_check(session, system.resources.queue, connection.id, "token")
    await system.work()
    async with system.resources.database.transaction() as session:
        [line] = [line for line in await list_steps(session) if line.key == "token"]
    assert line.finding is not None
    assert line.finding.key == "token_service"
    assert "Nothing is lost" in str(line.finding.advice)
    assert (await connections(system))[0].status == "connected"


@pytest.mark.fact("servicenow trap-25")
async def test_an_expired_consent_is_known_by_its_day(system: System) -> None:
    await system.connect()
    await expire(system)
    await move(system, refresh_expires_at=clock.now() - timedelta(days=1))
    system.servicenow.instance.switches.refresh_tokens_expired = True
    found = await diagnose(system)
    assert "has expired" in str(found["consent_expired"].meaning)
    await move(system, refresh_expires_at=clock.now() + timedelta(days=5), status="connected", attention=None)
    assert "consent_ends_soon" in await diagnose(system)


@pytest.mark.parametrize(
    ("seconds", "key", "words", "on_the_page"),
    [
        (172_800, "consent_ends_soon", "in 2 days", "The consent ends in 2 days."),
        (86_400, "consent_ends_soon", "less than two days", "The consent ends in 1 day."),
        (86_399, "consent_ends_soon", "less than two days", "The consent ends within a day."),
        (1, "consent_ends_soon", "less than two days", "The consent ends within a day."),
        (0, "consent_expired", "has expired", "The consent has ended."),
        (-1, "consent_expired", "has expired", "The consent has ended."),
    ],
)
async def test_a_consent_is_over_when_its_moment_has_come_and_not_a_day_before(
    system: System, still_clock: SetClock, seconds: int, key: str, words: str, on_the_page: str
) -> None:
    await system.connect()
    async with system.resources.database.transaction() as session:
        ends = still_clock.now() + timedelta(seconds=seconds)
        await session.execute(update(Connection).values(refresh_expires_at=ends))
    async with system.resources.database.transaction() as session:
        connection = await connection_view(session)
    assert connection is not None
    finding = await check_consent(CheckContext(system.resources, connection))
    assert finding.key == key
    assert words in str(finding.meaning)
    assert on_the_page in said(await (await system.signed_in("manager")).get("/servicenow"))


async def test_a_consent_without_a_refresh_token_says_so(system: System) -> None:
    await system.connect()
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(refresh_expires_at=None))
    finding = (await diagnose(system))["consent"]
    assert finding.is_problem
    assert "not public" in str(finding.advice)


async def test_a_new_consent_without_a_refresh_token_does_not_last_as_long_as_the_one_before(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    real = ServiceNowOAuth.exchange

    async def exchange(self: ServiceNowOAuth, *, code: str, code_verifier: str, state: str) -> Tokens:
        """The client was made public meanwhile."""
        return replace(await real(self, code=code, code_verifier=code_verifier, state=state), refresh_token=None)

    monkeypatch.setattr(ServiceNowOAuth, "exchange", exchange)
    await connect_by_pages(system, manager)
    assert (await connections(system))[0].refresh_expires_at is None
    assert "gave no refresh token" in str((await diagnose(system))["consent"].meaning)


@pytest.mark.fact("servicenow 1.4")
async def test_a_rotated_refresh_token_lives_from_its_rotation_and_not_from_the_consent(system: System) -> None:
    connection = await system.connect()
    system.servicenow.control("client", refresh_token_lifespan=864_000)
    system.servicenow.instance.switches.refresh_rotates_token = True
    async with system.resources.database.transaction() as session:
        long_ago = clock.now() - timedelta(days=120)
        await session.execute(update(Connection).values(connected_at=long_ago))
        await queue_checks(session, system.resources.queue, connection.id)  # Renews: the refresh token is new.
    await system.work()
    for _ in range(2):
        findings = [finding async for finding in run_diagnosis(system.resources)]
        assert "consent_expired" not in {finding.key for finding in findings}
        [connection] = await connections(system)
        assert connection.refresh_expires_at is not None
        assert timedelta(days=9) < connection.refresh_expires_at - clock.now() < timedelta(days=10)


async def test_before_anything_is_connected_the_last_authorization_is_examined(system: System) -> None:
    found = await diagnose(system)
    assert found["not_connected"].is_problem

    manager = await system.signed_in("manager")
    system.servicenow.instance.switches.redirect_mismatch = True
    await begin(system, manager)
    found = await diagnose(system)
    assert {"reachable", "authorization_unfinished", "redirect_mismatch"} <= set(found)

    system.servicenow.instance.switches.redirect_mismatch = False
    await connect_by_pages(system, manager, client_secret="wrong")
    found = await diagnose(system)
    assert "check them in turn: the client secret" in str(found["authorization_failed"].meaning)

    start = await begin(system, manager)
    await manager.get(decide(system, leads_to(start), decision="deny"))
    assert "Deny was pressed" in str((await diagnose(system))["authorization_failed"].meaning)


async def test_deny_on_a_connection_that_works_is_a_note_and_asks_for_nothing(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    start = await manager.post("/servicenow/authorize")
    await manager.get(decide(system, leads_to(start), decision="deny"))
    found = await diagnose(system)
    assert "authorization_failed" not in found
    assert found["authorization_denied"].state is State.NOTE
    assert "Authorize" not in str(found["authorization_denied"])


@pytest.mark.fact("servicenow 1.5")
@pytest.mark.parametrize(
    ("error", "changes", "key", "words"),
    [
        (WrongKeys(), {}, "vault_keys", "the same VAULT_KEYS"),
        (SecretsMoved(), {}, "vault_keys", "what was changed in its database"),
        (
            StoredOriginRefused(),
            {},
            "private_address",
            "whether SERVICENOW_ALLOWED_ORIGINS or the database was changed",
        ),
        (NotConnected(KEY_LOST), {"status": "needs_attention"}, "vault_keys", "Type the client secret again"),
        (NoToken(), {}, "token_service", "Nothing is lost"),
        (NotConnected(), {"status": "unconfirmed"}, "user_unconfirmed", "confirm that this account"),
        (NotConnected(NOT_RENEWED), {"refresh_expires_at": clock.now()}, "consent_expired", "consent as"),
        (NotConnected(TOKEN_REFUSED), {}, "token_refused", "Adaptive Authentication"),
        (NotConnected(NOT_RENEWED), {}, "consent_refused", "names no cause"),
        (NotConnected(NAMED_CAUSES["invalid_client"]), {}, "consent_refused", "Copy the client ID"),
        (NotConnected(NAMED_CAUSES["unsupported_grant_type"]), {}, "consent_refused", "to be allowed"),
        (NotConnected(NAMED_CAUSES["unauthorized_client"]), {}, "consent_refused", "to be allowed"),
        (NotConnected(NAMED_CAUSES["invalid_grant"]), {}, "consent_refused", "consent as"),
        (NotConnected(), {}, "authorize", "Press Authorize"),
    ],
)
def test_who_has_to_act_when_there_is_no_token(error: AppError, changes: dict[str, Any], key: str, words: str) -> None:
    finding = finding_without_token(check_context(**changes), error)
    assert finding.key == key
    assert words in str(finding.advice)


def test_every_refusal_of_a_renewal_has_a_code_of_its_own_that_survives_storing() -> None:
    messages = [*NAMED_CAUSES.values(), NOT_RENEWED, TOKEN_REFUSED, KEY_LOST, DENIED]
    codes = [Message.from_json(message.to_json()).code for message in messages]
    assert None not in codes
    assert len(set(codes)) == len(messages)


def test_a_polished_sentence_changes_no_decision() -> None:
    polished = Message("ServiceNow no longer lets us in.", code=NOT_RENEWED.code)
    assert finding_without_token(check_context(), NotConnected(polished)).key == "consent_refused"


@pytest.mark.parametrize(
    ("last", "status", "expected"),
    [
        (None, "connected", False),
        (attempt(), "connected", True),
        (attempt(begun_at=clock.now() - timedelta(days=1)), "connected", False),
        (attempt(came_back=True), "connected", False),
        (attempt(came_back=True, problem=DENIED), "connected", True),
        (attempt(), "begun", True),
    ],
)
def test_an_attempt_is_examined_when_nothing_came_of_it(last: LastAttempt | None, status: str, expected: bool) -> None:
    context = check_context(last=last, status=status, connected_at=clock.now() - timedelta(hours=1))
    assert has_unfinished_attempt(context) is expected


@pytest.mark.parametrize(
    ("last", "status", "key", "state"),
    [
        (attempt(came_back=True, problem=DENIED), "connected", "authorization_denied", State.NOTE),
        (attempt(came_back=True, problem=DENIED), "needs_attention", "authorization_failed", State.PROBLEM),
        (attempt(came_back=True, problem=T("No tokens.")), "connected", "authorization_failed", State.PROBLEM),
        (attempt(), "connected", "authorization_unfinished", State.NOTE),
        (attempt(), "begun", "authorization_unfinished", State.PROBLEM),
    ],
)
async def test_what_became_of_the_last_attempt(last: LastAttempt, status: str, key: str, state: State) -> None:
    finding = await check_last_attempt(check_context(last=last, status=status))
    assert (finding.key, finding.state) == (key, state)


async def test_without_an_attempt_there_is_nothing_to_examine() -> None:
    with pytest.raises(ValueError, match="no attempt"):
        await check_last_attempt(check_context())


@pytest.mark.fact("servicenow 7")
@pytest.mark.parametrize(
    ("release", "key", "state"),
    [
        (None, "release", State.UNKNOWN),
        (Release(build="", family=""), "release", State.UNKNOWN),
        (Release(build="", family="zurich"), "release", State.GOOD),
        (Release(build="", family="jakarta"), "release_too_old", State.PROBLEM),
    ],
)
def test_a_release_is_evaluated_by_its_family(release: Release | None, key: str, state: State) -> None:
    finding = evaluate_release(check_context(), release)
    assert (finding.key, finding.state) == (key, state)
