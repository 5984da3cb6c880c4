"""Who answered: ServiceNow's own envelope is final, any other answer leaves open whether the call took effect."""

from __future__ import annotations

import pytest

from app.integrations.http.errors import (
    Ambiguous,
    Forbidden,
    InvalidResponse,
    RecordNotFound,
    RemoteError,
    ServerError,
    Unauthorized,
)
from app.integrations.http.http_types import RemoteResponse
from tests.factories.tickets import ScriptedServiceNow, client_over, replied

GATEWAY = '{"message":"The upstream server is timing out"}'
PAGE = "<html>No such host here</html>"
OWN = '{"error":{"message":"Transaction cancelled","detail":null},"status":"failure"}'


def a_page(status: int) -> RemoteResponse:
    return replied(status=status, body=PAGE, content_type="text/html")


async def create(answer: RemoteResponse) -> RemoteError:
    """What a create that is answered so ends with."""
    with pytest.raises(RemoteError) as caught:
        await client_over(ScriptedServiceNow(answer)).create("incident", {"short_description": "x"})
    return caught.value


@pytest.mark.parametrize("body", [GATEWAY, PAGE, '{"error":"Bad Gateway"}', '{"status":"failure"}', "[]", ""])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_gateway_that_gives_up_does_not_say_that_servicenow_is_done(status: int, body: str) -> None:
    error = await create(replied(status=status, body=body))
    assert isinstance(error, ServerError)
    assert (error.is_final, error.is_instance_wide) == (False, True)


@pytest.mark.parametrize(("status", "is_final"), [(500, True), (502, False), (503, False), (504, False)])
async def test_only_by_a_500_of_its_own_servicenow_says_that_it_is_done(status: int, *, is_final: bool) -> None:
    error = await create(replied(status=status, body=OWN))
    assert isinstance(error, ServerError)
    assert (error.is_final, error.is_instance_wide) == (is_final, False)


@pytest.mark.parametrize("answer", [a_page(400), a_page(404), a_page(405), replied(status=404, body=GATEWAY)])
async def test_what_answers_in_servicenows_place_refuses_nothing(answer: RemoteResponse) -> None:
    """A retired or moved instance, a gateway without a route: every ticket waits, and none is held for it."""
    error = await create(answer)
    assert isinstance(error, Ambiguous)
    assert error.is_instance_wide
    assert "Something other than ServiceNow answered" in str(error)
    with pytest.raises(InvalidResponse) as caught:
        await client_over(ScriptedServiceNow(answer)).find_by_correlation("incident", "a" * 32)
    assert caught.value.is_instance_wide


async def test_servicenows_own_word_is_believed() -> None:
    missing = await create(replied(status=404, body='{"error":{"message":"No Record found"},"status":"failure"}'))
    assert isinstance(missing, RecordNotFound)
    refused = await create(replied(status=400, body='{"error":{"message":"Invalid table x"},"status":"failure"}'))
    assert isinstance(refused, Forbidden)
    assert "Invalid table x" in str(refused)
    assert not missing.is_instance_wide
    assert not refused.is_instance_wide


@pytest.mark.fact("servicenow trap-31")
@pytest.mark.parametrize(
    "words", ["User Not Authenticated", "User is not authenticated", "Utilisateur non authentifié"]
)
async def test_a_token_is_refused_by_the_status_whatever_the_words(words: str) -> None:
    refused = await create(replied(status=401, body=f'{{"error":{{"message":"{words}"}},"status":"failure"}}'))
    assert isinstance(refused, Unauthorized)


@pytest.mark.fact("servicenow trap-28", "servicenow trap-29")
async def test_the_first_request_carries_the_token_and_a_401_is_not_answered_by_another_scheme() -> None:
    transport = ScriptedServiceNow(replied(status=401, body=OWN, www_authenticate='BASIC realm="Service-now"'))
    with pytest.raises(Unauthorized):
        await client_over(transport).whoami()
    assert [request.headers["Authorization"] for request in transport.requests] == ["Bearer a token made up"]


async def test_a_time_named_with_a_503_is_kept() -> None:
    assert (await create(replied(status=503, body=PAGE, retry_after="600"))).retry.seconds == 600.0
    assert (await create(replied(status=503, body=PAGE))).retry.seconds is None


@pytest.mark.fact("servicenow 2.6")
async def test_a_refusal_carries_servicenows_words_apart_from_our_sentence() -> None:
    body = '{"error":{"message":"Operation Failed","detail":"ACL Exception Insert Failed"},"status":"failure"}'
    assert (
        await create(replied(status=403, body=body))
    ).remote_text == "Operation Failed – ACL Exception Insert Failed"
    assert (await create(a_page(403))).remote_text == ""


@pytest.mark.parametrize("content_type", ["application/json", "text/html", ""])
@pytest.mark.parametrize("status", [200, 201, 204])
async def test_an_answer_without_a_body_to_a_create_is_servicenows_and_holds_up_no_other_call(
    status: int, content_type: str
) -> None:
    error = await create(replied(status=status, body="", content_type=content_type))
    assert isinstance(error, Ambiguous)
    assert (error.is_final, error.is_instance_wide) == (True, False)


@pytest.mark.fact("servicenow 2.6")
async def test_the_words_of_an_internal_error_are_kept_in_one_clean_line() -> None:
    body = (
        '{"error":{"message":"Operation Failed","detail":"Rule \\u0007\\u202eSet caller\\nfailed"},"status":"failure"}'
    )
    error = await create(replied(status=500, body=body))
    assert error.remote_text == "Operation Failed – Rule Set caller failed"
    assert "Rule Set caller failed" in str(error)


@pytest.mark.fact("servicenow 2.6")
@pytest.mark.parametrize(
    "detail",
    [
        "Failed API level ACL Validation",
        "Access to unscoped api is not allowed",
        "Missing required api access scope",
    ],
)
async def test_a_refusal_of_the_caller_as_such_is_told_from_one_of_the_record(detail: str) -> None:
    body = f'{{"error":{{"message":"User Not Authorized","detail":"{detail}"}},"status":"failure"}}'
    assert (await create(replied(status=403, body=body))).is_at_the_door
    other = body.replace(detail, "ACL Exception Insert Failed due to security constraints")
    assert not (await create(replied(status=403, body=other))).is_at_the_door
