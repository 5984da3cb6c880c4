"""Entra ID sandbox: verifiable tokens, PKCE, refresh, prompts, discovery, errors on a page and at the redirect URI."""

from __future__ import annotations

import hashlib
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from cryptography import x509
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


def test_an_expired_client_secret_is_refused_by_a_number_of_its_own(entra: SandboxMicrosoft) -> None:
    entra.tenant.edge_cases.secret_expired = True
    answer = redeem(entra, code_for(entra, MANAGER))
    assert (answer.status_code, answer.json()["error_codes"]) == (401, [7000222])
    entra.tenant.edge_cases.reset()
    assert redeem(entra, code_for(entra, MANAGER)).status_code == 200


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


def sent_back(answer: httpx.Response) -> dict[str, str]:
    """What an answer carries to the redirect URI."""
    assert answer.status_code == 303, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def ask(entra: SandboxMicrosoft, **changes: str) -> httpx.Response:
    return httpx.get(document(entra)["authorization_endpoint"], params=asked(entra, **changes))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": ""}, "invalid_request"),
        ({"scope": ""}, "invalid_request"),
        ({"prompt": "nonsense"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "S512"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_other_mistakes_are_told_at_the_redirect_uri(
    entra: SandboxMicrosoft, change: dict[str, str], error: str
) -> None:
    sent = sent_back(ask(entra, **change))
    assert (sent["error"], sent["state"]) == (error, "s-1")
    assert sent["error_description"].startswith("AADSTS")


def test_pkce_is_optional_and_a_challenge_binds_its_verifier(entra: SandboxMicrosoft) -> None:
    without = sent_back(pick(entra, MANAGER, code_challenge="", code_challenge_method=""))["code"]
    assert redeem(entra, without, code_verifier="").status_code == 200
    plain = sent_back(pick(entra, MANAGER, code_challenge=VERIFIER, code_challenge_method="plain"))["code"]
    assert redeem(entra, plain).status_code == 200
    assert redeem(entra, code_for(entra, MANAGER), code_verifier="").json()["error_codes"] == [501481]


def test_offline_access_gives_refresh_tokens_that_are_replaced_and_stay_good(entra: SandboxMicrosoft) -> None:
    assert "refresh_token" not in redeem(entra, code_for(entra, MANAGER)).json()
    code = sent_back(pick(entra, MANAGER, scope="openid offline_access"))["code"]
    first = redeem(entra, code).json()
    assert first["scope"] == "openid"
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    again = redeem(entra, "", **form).json()
    assert again["refresh_token"] != first["refresh_token"]
    keys = KeySet.import_key_set(httpx.get(document(entra)["jwks_uri"]).json())
    before, after = (jwt.decode(tokens["id_token"], keys).claims for tokens in (first, again))
    assert (after["oid"], after["aud"]) == (before["oid"], before["aud"])
    assert "nonce" not in after
    assert redeem(entra, "", **form).status_code == 200, "an older one is not revoked"
    assert redeem(entra, "", **form, scope="Mail.Read").json()["error_codes"] == [65001]
    assert redeem(entra, "", **form | {"refresh_token": "gone"}).json()["error"] == "invalid_grant"


def test_without_openid_there_is_no_id_token(entra: SandboxMicrosoft) -> None:
    tokens = redeem(entra, sent_back(pick(entra, MANAGER, scope="User.Read"))["code"]).json()
    assert "id_token" not in tokens
    assert tokens["scope"] == "User.Read"


def test_prompt_none_signs_in_silently_until_sign_out_and_the_others_show_the_picker(entra: SandboxMicrosoft) -> None:
    with httpx.Client() as browser:
        url = document(entra)["authorization_endpoint"]
        browser.post(url.replace("authorize", "pick"), data=asked(entra) | {"oid": MANAGER.oid})
        silent = sent_back(browser.get(url, params=asked(entra, prompt="none")))
        keys = KeySet.import_key_set(httpx.get(document(entra)["jwks_uri"]).json())
        claims = jwt.decode(redeem(entra, silent["code"]).json()["id_token"], keys).claims
        assert (claims["oid"], silent["state"]) == (MANAGER.oid, "s-1")
        for prompt in ("login", "select_account", "consent"):
            assert "Pick an account" in browser.get(url, params=asked(entra, prompt=prompt)).text
        browser.get(document(entra)["end_session_endpoint"])
        assert sent_back(browser.get(url, params=asked(entra, prompt="none")))["error"] == "login_required"


def test_prompt_consent_asks_for_the_permissions_before_the_code(entra: SandboxMicrosoft) -> None:
    page = pick(entra, MANAGER, prompt="consent")
    assert (page.status_code, "Permissions requested" in page.text) == (200, True)
    assert "code" in sent_back(pick(entra, MANAGER, prompt="consent", answer="accept"))
    assert sent_back(pick(entra, MANAGER, prompt="consent", answer="cancel"))["error"] == "access_denied"


@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_cancel_is_told_in_the_response_mode_of_the_request(entra: SandboxMicrosoft, mode: str) -> None:
    url = document(entra)["authorization_endpoint"].replace("authorize", "pick")
    answer = httpx.post(url, data=asked(entra, response_mode=mode) | {"answer": "cancel"})
    words = ("access_denied", "cancel", "AADSTS65004", "s-1")
    carried = answer.text if mode == "form_post" else urlsplit(answer.headers["location"])
    told = carried if isinstance(carried, str) else carried.fragment if mode == "fragment" else carried.query
    assert all(word in told for word in words), told


def test_discovery_names_every_endpoint_and_claim_that_a_client_looks_for(entra: SandboxMicrosoft) -> None:
    found = document(entra)
    assert {
        "userinfo_endpoint", "device_authorization_endpoint", "claims_supported", "request_uri_parameter_supported",
        "http_logout_supported", "frontchannel_logout_supported", "kerberos_endpoint", "tenant_region_scope",
        "cloud_instance_name", "cloud_graph_host_name", "msgraph_host", "rbac_url",
    } <= set(found)  # fmt: skip
    form = {"client_id": entra.settings.client_id, "scope": "openid"}
    refused = httpx.post(found["device_authorization_endpoint"], data=form)
    assert (refused.status_code, refused.json()["error_codes"]) == (401, [70002])


def test_the_certificate_of_a_key_is_that_key_s(entra: SandboxMicrosoft) -> None:
    (key,) = httpx.get(document(entra)["jwks_uri"]).json()["keys"]
    certificate = b64decode(key["x5c"][0])
    thumbprint = urlsafe_b64encode(hashlib.sha1(certificate, usedforsecurity=False).digest()).rstrip(b"=").decode()
    assert key["x5t"] == thumbprint
    numbers = x509.load_der_x509_certificate(certificate).public_key().public_numbers()  # type: ignore[union-attr]
    assert int.from_bytes(urlsafe_b64decode(key["n"] + "=="), "big") == numbers.n  # type: ignore[union-attr]
    assert key["issuer"] == document(entra)["issuer"]


def test_userinfo_says_who_the_id_token_says(entra: SandboxMicrosoft) -> None:
    tokens = redeem(entra, code_for(entra, MANAGER)).json()
    keys = KeySet.import_key_set(httpx.get(document(entra)["jwks_uri"]).json())
    claims = jwt.decode(tokens["id_token"], keys).claims
    url = document(entra)["userinfo_endpoint"]
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    for method in ("GET", "POST"):
        told = httpx.request(method, url, headers=headers).raise_for_status().json()
        assert (told["sub"], told["name"], told["email"]) == (claims["sub"], MANAGER.name, MANAGER.email)
    for header in ("", f"Bearer {tokens['id_token']}", f"Bearer {entra.app_token()}"):
        assert httpx.get(url, headers={"Authorization": header}).status_code == 401


def test_an_application_without_a_secret_is_told_what_is_missing(entra: SandboxMicrosoft) -> None:
    answer = redeem(entra, code_for(entra, MANAGER), client_secret="")
    assert (answer.status_code, answer.json()["error_codes"]) == (401, [7000218])
    headers = {"Authorization": "Basic !"}
    assert httpx.post(document(entra)["token_endpoint"], data={}, headers=headers).json()["error_codes"] == [700016]
