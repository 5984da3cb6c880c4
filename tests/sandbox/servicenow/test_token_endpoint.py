"""Token endpoint: client authentication, grants, tokens and their lifetimes."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.factories.servicenow import CALLBACK, INTEGRATION_USER, SandboxServiceNow

DENIED = {"error_description": "access_denied", "error": "server_error"}
VERIFIER = "v" * 43
PKCE = {
    "code_challenge": urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode(),
    "code_challenge_method": "S256",
}


def exchange(servicenow: SandboxServiceNow, code: str, **changes: str) -> httpx.Response:
    return servicenow.grant(**{"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK} | changes)


@pytest.mark.fact("servicenow 1.5")
def test_a_password_that_must_be_reset_gets_no_token(servicenow: SandboxServiceNow) -> None:
    refresh = servicenow.tokens()["refresh_token"]
    servicenow.control("users", user_name="m365.integration", password_needs_reset="true")
    assert servicenow.grant(grant_type="refresh_token", refresh_token=refresh).status_code == 401


@pytest.mark.fact("servicenow 1.5", "servicenow trap-19")
@pytest.mark.parametrize(
    "switch",
    [
        {"wrong_secret": True},
        {"client_inactive": True},
        {"grants_off": "authorization_code"},
        {"user_read_only": True},
        {"redirect_mismatch": True},
    ],
)
def test_every_mistake_gets_the_same_answer_from_the_token_service(
    servicenow: SandboxServiceNow, switch: dict[str, bool]
) -> None:
    code = servicenow.code()
    servicenow.control("switches", **switch)
    answer = servicenow.grant(grant_type="authorization_code", code=code, redirect_uri=CALLBACK)
    if "redirect_mismatch" in switch:
        assert answer.status_code == 200, "the code was given for this redirect; the mistake shows at consent"
        return
    assert (answer.status_code, answer.json()) == (401, DENIED)


@pytest.mark.fact("servicenow 1.5")
def test_a_grant_may_be_off_while_another_works(servicenow: SandboxServiceNow) -> None:
    refresh = servicenow.tokens()["refresh_token"]
    servicenow.control("switches", grants_off="refresh_token")
    assert servicenow.grant(grant_type="refresh_token", refresh_token=refresh).json() == DENIED
    assert servicenow.tokens()["access_token"]


@pytest.mark.fact("servicenow 1.5")
def test_errors_may_have_the_names_of_the_rfc(servicenow: SandboxServiceNow) -> None:
    servicenow.control("switches", rfc_token_errors=True)
    answer = servicenow.grant(grant_type="refresh_token", refresh_token="gone")
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})
    answer = servicenow.grant(grant_type="refresh_token", client_secret="wrong")
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})


@pytest.mark.fact("servicenow sandbox-7")
def test_a_code_works_once(servicenow: SandboxServiceNow) -> None:
    code = servicenow.code()
    assert exchange(servicenow, code).status_code == 200
    again = exchange(servicenow, code)
    assert (again.status_code, again.json()) == (401, DENIED)


@pytest.mark.fact("servicenow sandbox-7", "servicenow 1.2")
def test_a_code_lives_sixty_seconds(servicenow: SandboxServiceNow) -> None:
    code = servicenow.code()
    httpx.post(f"{servicenow.url}/_sandbox/clock", json={"seconds": 61}).raise_for_status()
    assert exchange(servicenow, code).json() == DENIED


@pytest.mark.fact("servicenow sandbox-7")
@pytest.mark.parametrize(
    "changes",
    [{"redirect_uri": "http://127.0.0.1:1/other"}, {"client_secret": "wrong"}, {"client_id": "0" * 32}],
)
def test_a_code_needs_the_same_redirect_and_client(servicenow: SandboxServiceNow, changes: dict[str, str]) -> None:
    answer = exchange(servicenow, servicenow.code(), **changes)
    assert (answer.status_code, answer.json()) == (401, DENIED)


@pytest.mark.fact("servicenow sandbox-8", "servicenow 1.3")
def test_with_a_challenge_the_verifier_must_fit(servicenow: SandboxServiceNow) -> None:
    challenge = urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()
    pkce = {"code_challenge": challenge, "code_challenge_method": "S256"}
    assert exchange(servicenow, servicenow.code(**pkce)).json() == DENIED
    assert exchange(servicenow, servicenow.code(**pkce), code_verifier="w" * 43).json() == DENIED
    assert exchange(servicenow, servicenow.code(**pkce), code_verifier="v" * 43).status_code == 200


@pytest.mark.fact("servicenow sandbox-9", "servicenow 1.1", "servicenow 1.3")
def test_parameters_in_the_address_and_json_bodies_are_refused(servicenow: SandboxServiceNow) -> None:
    refresh = servicenow.tokens()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": servicenow.settings.client_id}
    form["client_secret"] = servicenow.settings.client_secret
    assert httpx.post(f"{servicenow.url}/oauth_token.do", params=form).json() == DENIED
    assert httpx.post(f"{servicenow.url}/oauth_token.do", json=form).status_code == 400
    servicenow.instance.switches.refuse_url_parameters = False
    assert httpx.post(f"{servicenow.url}/oauth_token.do", params=form).status_code == 200


@pytest.mark.fact("servicenow sandbox-10")
def test_the_answer_has_exactly_these_members(servicenow: SandboxServiceNow) -> None:
    tokens = servicenow.tokens()
    assert set(tokens) == {"access_token", "refresh_token", "scope", "token_type", "expires_in"}
    assert tokens["expires_in"] in (1799, 1800)
    assert tokens["scope"] == "useraccount"
    servicenow.instance.switches.scope_is_empty = True
    assert servicenow.tokens()["scope"] == ""


@pytest.mark.fact("servicenow sandbox-11", "servicenow trap-25")
def test_a_refresh_gives_a_new_access_token_and_keeps_the_refresh_token(servicenow: SandboxServiceNow) -> None:
    first = servicenow.tokens()
    httpx.post(f"{servicenow.url}/_sandbox/clock", json={"seconds": 1801}).raise_for_status()
    again = servicenow.grant(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert again["access_token"] != first["access_token"]
    assert again["refresh_token"] == first["refresh_token"]


@pytest.mark.fact("servicenow sandbox-11", "other-connectors 7")
def test_variants_that_omit_or_rotate_the_refresh_token(servicenow: SandboxServiceNow) -> None:
    first = servicenow.tokens()["refresh_token"]
    servicenow.instance.switches.refresh_omits_token = True
    assert "refresh_token" not in servicenow.grant(grant_type="refresh_token", refresh_token=first).json()
    servicenow.instance.switches.refresh_omits_token = False
    servicenow.instance.switches.refresh_rotates_token = True
    second = servicenow.grant(grant_type="refresh_token", refresh_token=first).json()["refresh_token"]
    assert second != first
    assert servicenow.grant(grant_type="refresh_token", refresh_token=first).json() == DENIED


@pytest.mark.fact("servicenow sandbox-12")
def test_a_second_grant_returns_the_same_live_token(servicenow: SandboxServiceNow) -> None:
    assert servicenow.tokens()["access_token"] == servicenow.tokens()["access_token"]
    servicenow.instance.switches.same_token_while_valid = False
    assert servicenow.tokens()["access_token"] != servicenow.tokens()["access_token"]


@pytest.mark.fact("servicenow sandbox-12")
def test_a_refresh_while_the_token_lives_gives_the_same_one_with_the_time_it_has_left(
    servicenow: SandboxServiceNow,
) -> None:
    first = servicenow.tokens()
    servicenow.control("clock", seconds=1000)
    again = servicenow.grant(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert again["access_token"] == first["access_token"]
    assert 780 <= again["expires_in"] <= 800, "a refresh does not make it live longer"
    assert servicenow.tokens()["expires_in"] in (1799, 1800), "a new grant does (KB0791140)"


@pytest.mark.fact("servicenow sandbox-13", "servicenow trap-25")
def test_a_new_grant_makes_the_refresh_token_live_longer_and_a_refresh_does_not(servicenow: SandboxServiceNow) -> None:
    refresh = servicenow.tokens()["refresh_token"]
    servicenow.control("clock", seconds=8_000_000)
    assert servicenow.grant(grant_type="refresh_token", refresh_token=refresh).status_code == 200
    assert servicenow.tokens()["refresh_token"] == refresh, "the same one, with a fresh hundred days"
    servicenow.control("clock", seconds=8_000_000)
    assert servicenow.grant(grant_type="refresh_token", refresh_token=refresh).status_code == 200
    servicenow.control("clock", seconds=700_000)
    assert servicenow.grant(grant_type="refresh_token", refresh_token=refresh).json() == DENIED


@pytest.mark.fact("servicenow sandbox-13")
def test_lifetimes_are_fields_of_the_client_record(servicenow: SandboxServiceNow) -> None:
    servicenow.control("client", access_token_lifespan=600, refresh_token_lifespan=1000)
    tokens = servicenow.tokens()
    assert tokens["expires_in"] in (599, 600)
    servicenow.control("clock", seconds=1001)
    assert servicenow.grant(grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json() == DENIED


@pytest.mark.fact("servicenow sandbox-13")
def test_every_refresh_token_may_count_as_expired(servicenow: SandboxServiceNow) -> None:
    refresh = servicenow.tokens()["refresh_token"]
    servicenow.control("switches", refresh_tokens_expired=True)
    assert servicenow.grant(grant_type="refresh_token", refresh_token=refresh).json() == DENIED


@pytest.mark.fact("servicenow sandbox-13", "servicenow trap-25")
def test_a_refresh_token_lives_a_hundred_days(servicenow: SandboxServiceNow) -> None:
    refresh = servicenow.tokens()["refresh_token"]
    httpx.post(f"{servicenow.url}/_sandbox/clock", json={"seconds": 8_640_001}).raise_for_status()
    answer = servicenow.grant(grant_type="refresh_token", refresh_token=refresh)
    assert (answer.status_code, answer.json()) == (401, DENIED)


def ask(servicenow: SandboxServiceNow, auth: Any = None, **form: str) -> httpx.Response:
    """A token request as it is: no credentials but those given."""
    return httpx.post(f"{servicenow.url}/oauth_token.do", data=form, auth=auth)


def code_form(servicenow: SandboxServiceNow, **changes: str) -> dict[str, str]:
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK} | changes
    return form if "code" in form else form | {"code": servicenow.consented()}


@pytest.mark.fact("servicenow 1.3")
def test_the_client_may_authenticate_by_a_basic_header_unless_switched_off(servicenow: SandboxServiceNow) -> None:
    client = (servicenow.settings.client_id, servicenow.settings.client_secret)
    tokens = ask(servicenow, client, **code_form(servicenow)).json()
    refreshed = ask(servicenow, client, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refreshed.json()["access_token"] == tokens["access_token"]
    assert ask(servicenow, (client[0], "wrong"), **code_form(servicenow)).json() == DENIED
    servicenow.control("switches", basic_client_auth=False)
    refused = ask(servicenow, client, **code_form(servicenow))
    assert (refused.status_code, refused.json()) == (401, DENIED)


@pytest.mark.fact("servicenow 1.3")
@pytest.mark.parametrize("encode", [str, quote], ids=["as it is", "form-encoded"])
def test_a_basic_header_may_be_form_encoded_as_the_rfc_has_it(servicenow: SandboxServiceNow, encode: Any) -> None:
    secret = "p&w=+%41;'<b>{}~"
    servicenow.control("client", client_secret=secret)
    answer = ask(servicenow, (servicenow.settings.client_id, encode(secret)), **code_form(servicenow))
    assert answer.status_code == 200


def test_a_broken_basic_header_is_refused_like_any_other_mistake(servicenow: SandboxServiceNow) -> None:
    form = {"grant_type": "authorization_code", "code": "x"}
    for header in ("Basic ä", "Basic bm9jb2xvbg==", "Basic", "Basic /w=="):
        answer = httpx.post(
            f"{servicenow.url}/oauth_token.do", data=form, headers={b"Authorization": header.encode("latin-1")}
        )
        assert (answer.status_code, answer.json()) == (401, DENIED), header


@pytest.mark.fact("servicenow 1.3")
def test_a_public_client_needs_pkce_and_no_secret(servicenow: SandboxServiceNow) -> None:
    servicenow.control("switches", public_client=True)
    public = {"client_id": servicenow.settings.client_id}
    with servicenow.browser() as browser:
        assert "Missing code_challenge" in browser.get(servicenow.authorize_path()).text
    code = servicenow.code(**PKCE)
    tokens = ask(servicenow, **code_form(servicenow, code=code, code_verifier=VERIFIER), **public).json()
    assert (
        ask(servicenow, grant_type="refresh_token", refresh_token=tokens["refresh_token"], **public).status_code == 200
    )
    without_proof = ask(servicenow, **code_form(servicenow), **public)
    assert (without_proof.status_code, without_proof.json()) == (401, DENIED)
    wrong = code_form(servicenow, code=servicenow.code(**PKCE), code_verifier="w" * 43)
    assert ask(servicenow, **wrong, **public).json() == DENIED


def test_a_client_with_a_secret_needs_it_with_pkce_too(servicenow: SandboxServiceNow) -> None:
    form = code_form(servicenow, code=servicenow.code(**PKCE), code_verifier=VERIFIER)
    assert ask(servicenow, client_id=servicenow.settings.client_id, **form).json() == DENIED


@pytest.mark.fact("servicenow 1.3")
def test_pkce_may_be_refused_from_a_client_with_a_secret(servicenow: SandboxServiceNow) -> None:
    servicenow.control("switches", pkce_with_secret_refused=True)
    with_proof = code_form(servicenow, code=servicenow.code(**PKCE), code_verifier=VERIFIER)
    assert servicenow.grant(**with_proof).json() == DENIED
    assert servicenow.grant(**code_form(servicenow)).status_code == 200


@pytest.mark.fact("servicenow 1.5", "servicenow 1.7")
def test_a_scope_the_client_is_not_linked_to_is_ignored_or_refused(servicenow: SandboxServiceNow) -> None:
    for scope, refused_status in (("useraccount", 200), ("useraccount x_other", 401)):
        servicenow.control("switches", unlinked_scope="ignored")
        assert (
            servicenow.grant(**code_form(servicenow, code=servicenow.code(scope=scope))).json()["scope"]
            == "useraccount"
        )
        servicenow.control("switches", unlinked_scope="refused")
        assert (
            servicenow.grant(**code_form(servicenow, code=servicenow.code(scope=scope))).status_code == refused_status
        )
        form = {"grant_type": "password", "username": "admin", "password": servicenow.settings.password}
        assert servicenow.grant(**form, scope=scope).status_code == refused_status


@pytest.mark.fact("servicenow 1.7")
def test_a_client_without_the_scope_useraccount_gets_tokens_for_it_unless_the_instance_minds(
    servicenow: SandboxServiceNow,
) -> None:
    servicenow.control("switches", auth_scope_missing="missing")
    assert servicenow.grant(**code_form(servicenow, code=servicenow.code(scope="useraccount"))).status_code == 200
    servicenow.control("switches", unlinked_scope="refused")
    assert servicenow.grant(**code_form(servicenow, code=servicenow.code(scope="useraccount"))).json() == DENIED
    assert servicenow.grant(**code_form(servicenow)).status_code == 200, "no scope was asked for"


@pytest.mark.fact("servicenow 1.6")
def test_the_password_grant_gives_the_user_s_tokens_unless_switched_off(servicenow: SandboxServiceNow) -> None:
    # m365.robot is marked web service access only: no login page, but this grant.
    form = {"grant_type": "password", "username": "m365.robot", "password": servicenow.settings.password}
    tokens = servicenow.grant(**form).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}", "Accept": "application/json"}
    me = {"sysparm_query": "sys_id=javascript:gs.getUserID()", "sysparm_fields": "user_name"}
    answer = httpx.get(f"{servicenow.url}/api/now/table/sys_user", params=me, headers=headers)
    assert answer.json()["result"] == [{"user_name": "m365.robot"}]
    assert servicenow.grant(grant_type="refresh_token", refresh_token=tokens["refresh_token"]).status_code == 200
    for change in ({"password": "wrong"}, {"password": ""}, {"username": "no.such"}):
        assert servicenow.grant(**form | change).json() == DENIED, change
    servicenow.control("users", user_name="m365.robot", locked_out="true")
    assert servicenow.grant(**form).json() == DENIED
    servicenow.control("users", user_name="m365.robot", locked_out="false")
    servicenow.control("switches", password_grant=False)
    assert servicenow.grant(**form).json() == DENIED


@pytest.mark.fact("servicenow 1.6")
def test_client_credentials_are_off_by_default_and_give_no_refresh_token(servicenow: SandboxServiceNow) -> None:
    refused = servicenow.grant(grant_type="client_credentials")
    assert (refused.status_code, refused.json()) == (401, DENIED)
    servicenow.control("switches", client_credentials_grant=True)
    answer = servicenow.grant(grant_type="client_credentials").json()
    assert set(answer) == {"access_token", "scope", "token_type", "expires_in"}
    headers = {"Authorization": f"Bearer {answer['access_token']}", "Accept": "application/json"}
    assert httpx.get(f"{servicenow.url}/api/now/table/incident", headers=headers).status_code == 200
    assert servicenow.instance.journal.newest_first()[0].user == INTEGRATION_USER
