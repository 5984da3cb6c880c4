"""Who answered a call without a token, and what the consent page says before anybody has logged in."""

from __future__ import annotations

import pytest

from app.integrations.http.http_types import RemoteResponse
from app.integrations.servicenow.responder import consent_page_of, responder_of
from tests.factories.tickets import replied

OWN = '{"error":{"message":"User is not authenticated","detail":null},"status":"failure"}'


@pytest.mark.parametrize(
    ("status", "body", "responder"),
    [
        (401, OWN, "instance"),
        (403, OWN, "instance"),
        (200, '{"result":[]}', "instance"),
        (429, OWN, "rate_limiter"),
        (429, '{"message":"Too many requests"}', "rate_limiter"),
        (503, '{"message":"no healthy upstream"}', "gateway"),
        (403, '{"message":"Forbidden"}', "access_filter"),
        (200, '{"hello":"captive portal"}', "unknown"),
        (200, '{"result":', "unknown"),
    ],
)
def test_json_is_believed_in_servicenows_own_shape_only(status: int, body: str, responder: str) -> None:
    assert responder_of(replied(status=status, body=body)) == responder


@pytest.mark.parametrize("location", ["https://[idp", "http://[x"])
def test_a_redirect_to_no_address_cannot_be_read(location: str) -> None:
    answer = replied(status=302, body="", location=location)
    assert consent_page_of(answer, "https://contoso.service-now.com/oauth_auth.do") == "unreadable"


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (200, "<form>Welcome to our portal</form>", {}, "unknown"),
        (200, '<input name="SAMLRequest">', {}, "sign_on"),
        (302, "", {"location": "https://idp.example/saml"}, "sign_on"),
        (302, "", {"location": "/oauth_auth.do?again=1"}, "unknown"),
        (200, '<button name="oauth_auth_check_action">', {}, "consent"),
    ],
)
def test_single_sign_on_is_named_only_where_something_says_so(
    status: int, body: str, headers: dict[str, str], expected: str
) -> None:
    answer = RemoteResponse(status, {"content-type": "text/html"} | headers, body.encode())
    assert consent_page_of(answer, "https://contoso.service-now.com/oauth_auth.do") == expected
