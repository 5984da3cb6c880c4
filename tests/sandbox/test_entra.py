"""Entra ID sandbox: verifiable tokens, PKCE, errors without redirects."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from sandbox.entra import EVERYONE, EntraAccount
from tests.factories.microsoft import MANAGER, OUTSIDER, SandboxMicrosoft, running_microsoft

VERIFIER = "v" * 50


CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def entra() -> Iterator[SandboxMicrosoft]:
    with running_microsoft() as running:
        yield running


def document(entra: SandboxMicrosoft) -> dict[str, Any]:
    url = f"{entra.url}/{entra.settings.tenant_id}/v2.0/.well-known/openid-configuration"
    found: dict[str, Any] = httpx.get(url).raise_for_status().json()
    return found


def asked(entra: SandboxMicrosoft, **changes: str) -> dict[str, str]:
    return {
        "client_id": entra.settings.client_id, "response_type": "code", "redirect_uri": entra.settings.redirect_uris[0],
        "scope": "openid profile email", "state": "s-1", "nonce": "n-1", "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    } | changes  # fmt: skip


def pick(entra: SandboxMicrosoft, person: EntraAccount, **changes: str) -> httpx.Response:
    url = document(entra)["authorization_endpoint"].replace("authorize", "pick")
    return httpx.post(url, data=asked(entra, **changes) | {"oid": person.oid})


def redeem(entra: SandboxMicrosoft, code: str, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": entra.settings.redirect_uris[0],
        "client_id": entra.settings.client_id, "client_secret": entra.settings.client_secret, "code_verifier": VERIFIER,
    } | changes  # fmt: skip
    return httpx.post(document(entra)["token_endpoint"], data=form)


def code_for(entra: SandboxMicrosoft, person: EntraAccount) -> str:
    return parse_qs(urlsplit(pick(entra, person).headers["location"]).query)["code"][0]


def test_the_picker_names_each_account_by_what_it_may_do(entra: SandboxMicrosoft) -> None:
    page = httpx.get(document(entra)["authorization_endpoint"], params=asked(entra))
    for words in ("Security Administrator", "Security Operator", "Security Reader", "No role"):
        assert words in page.text


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"redirect_uri": "http://evil.example/"}, "AADSTS50011"),
        ({"client_id": "other"}, "AADSTS700016"),
        ({"code_challenge": ""}, "AADSTS9002325"),
    ],
)
def test_a_mistake_in_the_request_is_a_page_and_no_redirect(
    entra: SandboxMicrosoft, change: dict[str, str], number: str
) -> None:
    answer = httpx.get(document(entra)["authorization_endpoint"], params=asked(entra, **change))
    assert answer.status_code == 400
    assert number in answer.text


@pytest.mark.parametrize("person", [MANAGER, OUTSIDER])
def test_the_id_token_verifies_and_says_who_and_what(entra: SandboxMicrosoft, person: EntraAccount) -> None:
    answer = pick(entra, person)
    sent = parse_qs(urlsplit(answer.headers["location"]).query)
    assert sent["state"] == ["s-1"]
    tokens = redeem(entra, sent["code"][0]).raise_for_status().json()
    keys = KeySet.import_key_set(httpx.get(document(entra)["jwks_uri"]).json())
    claims = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"]).claims
    assert claims["iss"] == document(entra)["issuer"] == f"{entra.url}/{entra.settings.tenant_id}/v2.0"
    assert (claims["aud"], claims["tid"], claims["ver"]) == (entra.settings.client_id, entra.settings.tenant_id, "2.0")
    assert (claims["oid"], claims["nonce"], claims["preferred_username"]) == (person.oid, "n-1", person.email)
    assert claims["wids"] == [*person.wids, EVERYONE]


def test_form_post_brings_the_code_in_a_form(entra: SandboxMicrosoft) -> None:
    answer = pick(entra, MANAGER, response_mode="form_post")
    assert 'name="code"' in answer.text


def test_a_code_works_once_and_only_with_its_verifier(entra: SandboxMicrosoft) -> None:
    wrong = redeem(entra, code_for(entra, MANAGER), code_verifier="w" * 50)
    assert wrong.status_code == 400
    assert set(wrong.json()) == {"error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id"}
    assert wrong.json()["error"] == "invalid_grant"
    code = code_for(entra, MANAGER)
    assert redeem(entra, code).status_code == 200
    assert redeem(entra, code).json()["error"] == "invalid_grant"


def test_a_wrong_client_secret_is_invalid_client(entra: SandboxMicrosoft) -> None:
    answer = redeem(entra, code_for(entra, MANAGER), client_secret="wrong")
    assert (answer.status_code, answer.json()["error"], answer.json()["error_codes"]) == (
        401,
        "invalid_client",
        [7000215],
    )


@pytest.mark.fact("microsoft-graph 2.1")
def test_client_credentials_give_an_application_token(entra: SandboxMicrosoft) -> None:
    form = {"grant_type": "client_credentials", "scope": f"{entra.url}/.default"}
    credentials = (entra.settings.client_id, entra.settings.client_secret)
    answer = httpx.post(document(entra)["token_endpoint"], data=form, auth=credentials).json()
    keys = KeySet.import_key_set(httpx.get(document(entra)["jwks_uri"]).json())
    granted = ["SecurityEvents.Read.All", "SecurityEvents.ReadWrite.All"]
    assert jwt.decode(answer["access_token"], keys).claims["roles"] == granted
    bad = httpx.post(document(entra)["token_endpoint"], data=form | {"scope": "x"}, auth=credentials)
    assert bad.json()["error"] == "invalid_scope"


def test_sign_out_leads_back_to_the_application_and_nowhere_else(entra: SandboxMicrosoft) -> None:
    url = document(entra)["end_session_endpoint"]
    back = "http://127.0.0.1:1/signed-out"
    assert httpx.get(url, params={"post_logout_redirect_uri": back}).headers["location"] == back
    assert "location" not in httpx.get(url, params={"post_logout_redirect_uri": "http://evil.example/"}).headers
