"""OAuth authorization server: consent page, token endpoint, revocation, error responses."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.factories.servicenow import CALLBACK, INTEGRATION_USER, SandboxServiceNow, consent, field

DENIED = {"error_description": "access_denied", "error": "server_error"}


def exchange(servicenow: SandboxServiceNow, code: str, **changes: str) -> httpx.Response:
    return servicenow.grant(**{"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK} | changes)


@pytest.mark.fact("servicenow 1.5")
def test_a_password_that_must_be_reset_gets_no_token(servicenow: SandboxServiceNow) -> None:
    refresh = servicenow.tokens()["refresh_token"]
    servicenow.control("users", user_name="m365.integration", password_needs_reset="true")
    assert servicenow.grant(grant_type="refresh_token", refresh_token=refresh).status_code == 401


@pytest.mark.fact("servicenow sandbox-3")
def test_the_client_record_may_hold_another_redirect_url(servicenow: SandboxServiceNow) -> None:
    servicenow.control("switches", redirect_mismatch=True)
    with servicenow.browser() as browser:
        assert "Invalid redirect_uri" in browser.get(servicenow.authorize_path()).text


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


@pytest.mark.fact("servicenow 1.5")
def test_an_inactive_client_gets_a_page_at_consent(servicenow: SandboxServiceNow) -> None:
    servicenow.control("client", active="false")
    with servicenow.browser() as browser:
        assert "Invalid client_id" in browser.get(servicenow.authorize_path()).text


@pytest.mark.fact("servicenow sandbox-1", "servicenow 1.1", "servicenow 1.2")
def test_login_comes_first_then_consent_with_everything_on_it(servicenow: SandboxServiceNow) -> None:
    with servicenow.browser() as browser:
        page = browser.get(servicenow.authorize_path())
        assert page.url.path == "/oauth_login.do"
        form = {
            "goto": field(page.text, "goto"),
            "user_name": INTEGRATION_USER,
            "user_password": servicenow.settings.password,
        }
        page = browser.post("/login.do", data=form)
    assert page.url.path == "/oauth_auth.do"
    for part in (">Allow<", ">Deny<", "Security + Compliance Connector", "Logo of", "M365 Integration", "Not You?"):
        assert part in page.text
    assert page.text.index(">Deny<") < page.text.index(">Allow<"), "Allow is the second button"


@pytest.mark.fact("servicenow sandbox-2", "servicenow 1.2")
def test_a_missing_state_gets_a_page_and_no_code_unless_switched_off(servicenow: SandboxServiceNow) -> None:
    with servicenow.browser() as browser:
        page = browser.get(servicenow.authorize_path(state=""))
        assert "Missing State parameter in request." in page.text
        servicenow.instance.switches.state_required = False
        assert browser.get(servicenow.authorize_path(state="")).url.path == "/oauth_login.do"


@pytest.mark.fact("servicenow sandbox-3", "servicenow 1.2", "servicenow trap-21")
@pytest.mark.parametrize("uri", ["http://evil.example/callback", CALLBACK + "/", ""])
def test_an_unregistered_redirect_gets_a_page_and_no_redirect(servicenow: SandboxServiceNow, uri: str) -> None:
    answer = httpx.get(servicenow.url + servicenow.authorize_path(redirect_uri=uri), follow_redirects=False)
    assert answer.status_code == 200
    assert "Invalid redirect_uri" in answer.text


@pytest.mark.fact("servicenow sandbox-4", "servicenow 1.2")
def test_allow_sends_a_code_and_the_unchanged_state(servicenow: SandboxServiceNow) -> None:
    with servicenow.browser() as browser:
        answer = consent(
            browser, servicenow.authorize_path(state="x-Y_9"), INTEGRATION_USER, servicenow.settings.password
        )
    sent = parse_qs(urlsplit(answer.headers["location"]).query)
    assert answer.headers["location"].startswith(CALLBACK)
    assert sent["state"] == ["x-Y_9"]
    assert len(sent["code"][0]) == 86


@pytest.mark.fact("servicenow sandbox-4", "servicenow 1.2")
def test_the_consent_form_needs_its_own_secret(servicenow: SandboxServiceNow) -> None:
    with servicenow.browser() as browser:
        consent(browser, servicenow.authorize_path(), INTEGRATION_USER, servicenow.settings.password)
        form = {
            "sysparm_ck": "guess",
            "query": urlsplit(servicenow.authorize_path()).query,
            "oauth_auth_check_action": "authorize",
        }
        answer = browser.post("/oauth_auth.do", data=form, follow_redirects=False)
    assert answer.status_code == 403


@pytest.mark.fact("servicenow sandbox-4")
def test_deny_sends_no_code(servicenow: SandboxServiceNow) -> None:
    with servicenow.browser() as browser:
        answer = consent(browser, servicenow.authorize_path(), INTEGRATION_USER, servicenow.settings.password, "deny")
    assert "code=" not in answer.headers["location"]
    assert "state=abc123" in answer.headers["location"]


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


@pytest.mark.fact("servicenow sandbox-8")
def test_a_client_may_insist_on_a_challenge(servicenow: SandboxServiceNow) -> None:
    servicenow.instance.switches.pkce_required = True
    with servicenow.browser() as browser:
        assert "Missing code_challenge" in browser.get(servicenow.authorize_path()).text
        asked = servicenow.authorize_path(code_challenge="x" * 43, code_challenge_method="S256")
        assert browser.get(asked).url.path == "/oauth_login.do"


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


@pytest.mark.fact("servicenow sandbox-14", "servicenow 1.1")
def test_revoking_needs_no_sign_in_and_the_next_call_is_401(servicenow: SandboxServiceNow) -> None:
    token = servicenow.tokens()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    url = f"{servicenow.url}/api/now/v2/table/incident"
    assert httpx.get(url, headers=headers).status_code == 200
    assert httpx.get(f"{servicenow.url}/oauth_revoke_token.do", params={"token": token}).status_code == 200
    assert httpx.get(url, headers=headers).status_code == 401
