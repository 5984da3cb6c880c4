"""Who answered a call without a token, and what the consent page says before anybody has logged in."""

from __future__ import annotations

import pytest

from app.integrations.servicenow.responder import consent_page_of, presence_of
from tests.factories.tickets import replied

OWN = '{"error":{"message":"User is not authenticated","detail":null},"status":"failure"}'


@pytest.mark.parametrize(
    ("status", "body", "presence"),
    [
        (401, OWN, "awake"),
        (403, OWN, "awake"),
        (200, '{"result":[]}', "awake"),
        (429, OWN, "limited"),
        (429, '{"message":"Too many requests"}', "limited"),
        (503, '{"message":"no healthy upstream"}', "gateway"),
        (403, '{"message":"Forbidden"}', "blocked"),
        (200, '{"hello":"captive portal"}', "strange"),
        (200, '{"result":', "strange"),
    ],
)
def test_json_is_believed_in_servicenows_own_shape_only(status: int, body: str, presence: str) -> None:
    assert presence_of(replied(status=status, body=body)) == presence


@pytest.mark.parametrize("location", ["https://[idp", "http://[x"])
def test_a_redirect_to_no_address_cannot_be_read(location: str) -> None:
    answer = replied(status=302, body="", location=location)
    assert consent_page_of(answer, "https://contoso.service-now.com/oauth_auth.do") == "unreadable"
