"""What a failed call means, whichever check made it."""

from __future__ import annotations

import pytest

from app.core.errors import AppError
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected
from app.features.connection.connection_view import connection_view
from app.features.connection.gateway import InstancePaused
from app.features.connection.throttle import Deferral
from app.features.connection.token_errors import NoToken, StoredOriginRefused
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.checks.finding_for_error import (
    finding_for_error,
    is_about_rights,
    is_access_rule,
    remote_text_of,
    throttled,
)
from app.features.provisioning.finding import State
from app.integrations.http.errors import Forbidden, InvalidResponse, ServerError, Throttled, Unreachable
from tests.factories.connecting import trouble
from tests.factories.provisioning import check_context, diagnose
from tests.factories.system import System

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize(
    ("fault", "path", "key", "words"),
    [
        ("strange_page", "/api/now", "not_servicenow", "Check the instance name"),
        ("unavailable", "/api/now", "gateway", "status page"),
        ("bad_gateway", "/api/now", "gateway", "status page"),
        ("cancelled_after_commit", "/table/incident", "no_answer", "Open the instance in a browser"),
        ("broken_json", "/table/incident", "no_answer", "Open the instance in a browser"),
        ("dropped_before", "/table/incident", "trouble", "Check again"),
        ("missing", "/table/sys_user/", "user_missing", "make it visible"),
    ],
)
async def test_an_answer_that_is_none_is_found_by_name(
    system: System, fault: str, path: str, key: str, words: str
) -> None:
    await system.connect()
    trouble(system, fault, path=path)
    found = await diagnose(system)
    assert key in found, list(found)
    assert found[key].is_problem
    assert words in str(found[key].advice)


@pytest.mark.fact("servicenow 3.6")
async def test_an_api_that_is_protected_as_a_whole_names_its_role(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.api_acl_active = True
    system.servicenow.control("users", user_name="m365.integration", roles="sn_incident_write,sn_change_write")
    finding = (await diagnose(system))["role_missing.api"]
    assert finding.is_problem
    assert "snc_platform_rest_api_access" in str(finding.advice)
    system.servicenow.control("users", user_name="m365.integration", roles="itil")
    assert "role_missing.api" not in await diagnose(system)


@pytest.mark.thorough
@pytest.mark.fact("servicenow 1.9")
async def test_a_refusal_by_an_address_rule_is_no_missing_role_and_names_the_address_rules(system: System) -> None:
    await system.connect()
    for path in (
        "/table/incident",
        "/table/change_request",
        "/table/sys_choice",
        "/table/oauth_entity",
        "/table/sys_user/",
    ):
        trouble(system, "ip_blocked", path=path)
        found = await diagnose(system)
        finding = found["refused"]
        assert finding.is_problem
        assert "IP Address Access Control" in str(finding.screen)
        assert "Please allow its address" in str(finding.message)
        assert not [key for key in found if key.startswith(("role_missing", "choices_", "client_", "correlation_"))], (
            path
        )


async def test_a_refusal_without_a_known_cause_names_the_access_rules(system: System) -> None:
    await system.connect()
    async with system.resources.database.transaction() as session:
        connection = await connection_view(session)
    assert connection is not None
    refusal = Forbidden(T("ServiceNow refused: %(reason)s", reason="User Not Authorized"))
    finding = finding_for_error(CheckContext(system.resources, connection), refusal)
    assert (finding.key, finding.is_problem) == ("refused", True)
    assert "System Security > Access Control" in str(finding.screen)


@pytest.mark.fact("servicenow 5")
async def test_a_semaphore_is_told_from_a_rate_limit(system: System) -> None:
    await system.connect()
    trouble(system, "semaphore_full", path="/api/now")
    finding = (await diagnose(system))["rate_limit"]
    assert "all of its workers for integrations are taken" in str(finding.meaning)


REFUSED = T("ServiceNow refused: %(reason)s", reason="User Not Authorized")


def forbidden(remote_text: str = "", *, everywhere: bool = False) -> Forbidden:
    error = Forbidden(REFUSED)
    error.remote_text, error.is_instance_wide = remote_text, everywhere
    return error


def unreachable_by(why: str) -> Unreachable:
    error = Unreachable()
    error.why = why
    return error


@pytest.mark.fact("servicenow 2.6", "servicenow 5")
@pytest.mark.parametrize(
    ("error", "key", "words"),
    [
        (unreachable_by("name"), "dns", "name service (DNS)"),
        (unreachable_by("address"), "private_address", "what the name should point to"),
        (StoredOriginRefused(), "private_address", "whether SERVICENOW_ALLOWED_ORIGINS or the database was changed"),
        (unreachable_by("tls"), "tls", "SSL_CERT_FILE"),
        (unreachable_by("proxy"), "proxy", "to allow https://contoso.service-now.com"),
        (unreachable_by("refused"), "unreachable", "A firewall may be in the way"),
        (unreachable_by("slow"), "unreachable", "A firewall may swallow"),
        (unreachable_by("other"), "unreachable", "Check the network"),
        (Throttled(), "rate_limit", "a higher limit"),
        (Throttled(seconds=60), "rate_limit", "a higher limit"),
        (forbidden("User Not Authorized – Failed API level ACL Validation"), "role_missing.api", "snc_platform_rest_api_access"),
        (forbidden(everywhere=True), "refused", "Allow this server’s public address"),
        (forbidden("Insufficient rights"), "refused", "change the rule that refuses it"),
        (ServerError(), "no_answer", "Open the instance in a browser"),
        (InvalidResponse(), "no_answer", "Open the instance in a browser"),
        (NotConnected(), "authorize", "Press Authorize"),
        (NoToken(), "trouble", "in a few minutes"),
        (InstancePaused(Deferral(5.0, None)), "trouble", "in a few minutes"),
    ],
)  # fmt: skip
def test_each_error_means_one_thing(error: AppError, key: str, words: str) -> None:
    finding = finding_for_error(check_context(), error)
    assert (finding.key, finding.state) == (key, State.PROBLEM)
    assert words in str(finding.advice)


def test_which_rule_refused_is_read_from_servicenows_words_and_never_from_our_sentence() -> None:
    ours = Forbidden(T("ServiceNow refused: %(reason)s", reason="Failed API level ACL Validation"))
    assert finding_for_error(check_context(), ours).key == "refused"


@pytest.mark.fact("servicenow 2.6")
@pytest.mark.parametrize(
    ("remote_text", "expected"),
    [
        ("Operation Failed – ACL Exception Insert Failed due to security constraints", True),
        ("User Not Authorized – Failed API level ACL Validation", True),
        ("Operation Failed – Data Policy Exception: The following fields are mandatory: Assignment group", False),
        ("", False),
    ],
)
def test_an_access_rule_is_told_from_a_rule_about_the_record(remote_text: str, expected: bool) -> None:
    assert is_access_rule(remote_text) is expected


def test_what_servicenow_said_is_found_again_in_a_tickets_problem() -> None:
    assert remote_text_of(Message.from_json(REFUSED.to_json())) == "User Not Authorized"
    assert remote_text_of(T("Held.")) == ""


def test_a_rate_limit_that_names_a_time_is_told_from_one_that_does_not() -> None:
    assert "names 60 seconds" in str(throttled(check_context(), Throttled(seconds=60.2)).meaning)
    assert "429 without a time" in str(throttled(check_context(), Throttled()).meaning)


def test_an_address_rule_is_no_question_of_rights() -> None:
    assert is_about_rights(forbidden())
    assert not is_about_rights(forbidden(everywhere=True))
    assert not is_about_rights(ServerError())
