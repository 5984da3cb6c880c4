"""OAuth authorization server: consent page, token endpoint, revocation, error responses."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.factories.servicenow import CALLBACK, INTEGRATION_USER, Snow, consent, field

DENIED = {"error_description": "access_denied", "error": "server_error"}


def exchange(snow: Snow, code: str, **changes: str) -> httpx.Response:
    return snow.grant(**{"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK} | changes)


@pytest.mark.fact("servicenow 1.5")
def test_a_password_that_must_be_reset_gets_no_token(snow: Snow) -> None:
    refresh = snow.tokens()["refresh_token"]
    snow.control("users", user_name="m365.integration", password_needs_reset="true")
    assert snow.grant(grant_type="refresh_token", refresh_token=refresh).status_code == 401


@pytest.mark.fact("servicenow sandbox-3")
def test_the_client_record_may_hold_another_redirect_url(snow: Snow) -> None:
    snow.control("switches", redirect_mismatch=True)
    with snow.browser() as browser:
        assert "Invalid redirect_uri" in browser.get(snow.authorize_path()).text


@pytest.mark.fact("servicenow 1.5")
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
def test_every_mistake_gets_the_same_answer_from_the_token_service(snow: Snow, switch: dict[str, bool]) -> None:
    code = snow.code()
    snow.control("switches", **switch)
    answer = snow.grant(grant_type="authorization_code", code=code, redirect_uri=CALLBACK)
    if "redirect_mismatch" in switch:
        assert answer.status_code == 200, "the code was given for this redirect; the mistake shows at consent"
        return
    assert (answer.status_code, answer.json()) == (401, DENIED)


@pytest.mark.fact("servicenow 1.5")
def test_a_grant_may_be_off_while_another_works(snow: Snow) -> None:
    refresh = snow.tokens()["refresh_token"]
    snow.control("switches", grants_off="refresh_token")
    assert snow.grant(grant_type="refresh_token", refresh_token=refresh).json() == DENIED
    assert snow.tokens()["access_token"]


@pytest.mark.fact("servicenow 1.5")
def test_errors_may_have_the_names_of_the_rfc(snow: Snow) -> None:
    snow.control("switches", rfc_token_errors=True)
    answer = snow.grant(grant_type="refresh_token", refresh_token="gone")
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})
    answer = snow.grant(grant_type="refresh_token", client_secret="wrong")
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})


@pytest.mark.fact("servicenow 1.5")
def test_an_inactive_client_gets_a_page_at_consent(snow: Snow) -> None:
    snow.control("client", active="false")
    with snow.browser() as browser:
        assert "Invalid client_id" in browser.get(snow.authorize_path()).text


@pytest.mark.fact("servicenow sandbox-1")
def test_login_comes_first_then_consent_with_everything_on_it(snow: Snow) -> None:
    with snow.browser() as browser:
        page = browser.get(snow.authorize_path())
        assert page.url.path == "/oauth_login.do"
        form = {
            "goto": field(page.text, "goto"),
            "user_name": INTEGRATION_USER,
            "user_password": snow.settings.password,
        }
        page = browser.post("/login.do", data=form)
    assert page.url.path == "/oauth_auth.do"
    for part in (">Allow<", ">Deny<", "Security + Compliance Connector", "Logo of", "M365 Integration", "Not You?"):
        assert part in page.text
    assert page.text.index(">Deny<") < page.text.index(">Allow<"), "Allow is the second button"


@pytest.mark.fact("servicenow sandbox-2")
def test_a_missing_state_gets_a_page_and_no_code_unless_switched_off(snow: Snow) -> None:
    with snow.browser() as browser:
        page = browser.get(snow.authorize_path(state=""))
        assert "Missing State parameter in request." in page.text
        snow.instance.switches.state_required = False
        assert browser.get(snow.authorize_path(state="")).url.path == "/oauth_login.do"


@pytest.mark.fact("servicenow sandbox-3")
@pytest.mark.parametrize("uri", ["http://evil.example/callback", CALLBACK + "/", ""])
def test_an_unregistered_redirect_gets_a_page_and_no_redirect(snow: Snow, uri: str) -> None:
    answer = httpx.get(snow.url + snow.authorize_path(redirect_uri=uri), follow_redirects=False)
    assert answer.status_code == 200
    assert "Invalid redirect_uri" in answer.text


@pytest.mark.fact("servicenow sandbox-4")
def test_allow_sends_a_code_and_the_unchanged_state(snow: Snow) -> None:
    with snow.browser() as browser:
        answer = consent(browser, snow.authorize_path(state="x-Y_9"), INTEGRATION_USER, snow.settings.password)
    sent = parse_qs(urlsplit(answer.headers["location"]).query)
    assert answer.headers["location"].startswith(CALLBACK)
    assert sent["state"] == ["x-Y_9"]
    assert len(sent["code"][0]) == 86


@pytest.mark.fact("servicenow sandbox-4")
def test_the_consent_form_needs_its_own_secret(snow: Snow) -> None:
    with snow.browser() as browser:
        consent(browser, snow.authorize_path(), INTEGRATION_USER, snow.settings.password)
        form = {
            "sysparm_ck": "guess",
            "query": urlsplit(snow.authorize_path()).query,
            "oauth_auth_check_action": "authorize",
        }
        answer = browser.post("/oauth_auth.do", data=form, follow_redirects=False)
    assert answer.status_code == 403


@pytest.mark.fact("servicenow sandbox-4")
def test_deny_sends_no_code(snow: Snow) -> None:
    with snow.browser() as browser:
        answer = consent(browser, snow.authorize_path(), INTEGRATION_USER, snow.settings.password, "deny")
    assert "code=" not in answer.headers["location"]
    assert "state=abc123" in answer.headers["location"]


@pytest.mark.fact("servicenow sandbox-7")
def test_a_code_works_once(snow: Snow) -> None:
    code = snow.code()
    assert exchange(snow, code).status_code == 200
    again = exchange(snow, code)
    assert (again.status_code, again.json()) == (401, DENIED)


@pytest.mark.fact("servicenow sandbox-7")
def test_a_code_lives_sixty_seconds(snow: Snow) -> None:
    code = snow.code()
    httpx.post(f"{snow.url}/_sandbox/clock", json={"seconds": 61}).raise_for_status()
    assert exchange(snow, code).json() == DENIED


@pytest.mark.fact("servicenow sandbox-7")
@pytest.mark.parametrize(
    "changes",
    [{"redirect_uri": "http://127.0.0.1:1/other"}, {"client_secret": "wrong"}, {"client_id": "0" * 32}],
)
def test_a_code_needs_the_same_redirect_and_client(snow: Snow, changes: dict[str, str]) -> None:
    answer = exchange(snow, snow.code(), **changes)
    assert (answer.status_code, answer.json()) == (401, DENIED)


@pytest.mark.fact("servicenow sandbox-8")
def test_with_a_challenge_the_verifier_must_fit(snow: Snow) -> None:
    challenge = urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()
    pkce = {"code_challenge": challenge, "code_challenge_method": "S256"}
    assert exchange(snow, snow.code(**pkce)).json() == DENIED
    assert exchange(snow, snow.code(**pkce), code_verifier="w" * 43).json() == DENIED
    assert exchange(snow, snow.code(**pkce), code_verifier="v" * 43).status_code == 200


@pytest.mark.fact("servicenow sandbox-8")
def test_a_client_may_insist_on_a_challenge(snow: Snow) -> None:
    snow.instance.switches.pkce_required = True
    with snow.browser() as browser:
        assert "Missing code_challenge" in browser.get(snow.authorize_path()).text
        asked = snow.authorize_path(code_challenge="x" * 43, code_challenge_method="S256")
        assert browser.get(asked).url.path == "/oauth_login.do"


@pytest.mark.fact("servicenow sandbox-9")
def test_parameters_in_the_address_and_json_bodies_are_refused(snow: Snow) -> None:
    refresh = snow.tokens()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": snow.settings.client_id}
    form["client_secret"] = snow.settings.client_secret
    assert httpx.post(f"{snow.url}/oauth_token.do", params=form).json() == DENIED
    assert httpx.post(f"{snow.url}/oauth_token.do", json=form).status_code == 400
    snow.instance.switches.refuse_url_parameters = False
    assert httpx.post(f"{snow.url}/oauth_token.do", params=form).status_code == 200


@pytest.mark.fact("servicenow sandbox-10")
def test_the_answer_has_exactly_these_members(snow: Snow) -> None:
    tokens = snow.tokens()
    assert set(tokens) == {"access_token", "refresh_token", "scope", "token_type", "expires_in"}
    assert tokens["expires_in"] in (1799, 1800)
    assert tokens["scope"] == "useraccount"
    snow.instance.switches.scope_is_empty = True
    assert snow.tokens()["scope"] == ""


@pytest.mark.fact("servicenow sandbox-11")
def test_a_refresh_gives_a_new_access_token_and_keeps_the_refresh_token(snow: Snow) -> None:
    first = snow.tokens()
    httpx.post(f"{snow.url}/_sandbox/clock", json={"seconds": 1801}).raise_for_status()
    again = snow.grant(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert again["access_token"] != first["access_token"]
    assert again["refresh_token"] == first["refresh_token"]


@pytest.mark.fact("servicenow sandbox-11")
def test_variants_that_omit_or_rotate_the_refresh_token(snow: Snow) -> None:
    first = snow.tokens()["refresh_token"]
    snow.instance.switches.refresh_omits_token = True
    assert "refresh_token" not in snow.grant(grant_type="refresh_token", refresh_token=first).json()
    snow.instance.switches.refresh_omits_token = False
    snow.instance.switches.refresh_rotates_token = True
    second = snow.grant(grant_type="refresh_token", refresh_token=first).json()["refresh_token"]
    assert second != first
    assert snow.grant(grant_type="refresh_token", refresh_token=first).json() == DENIED


@pytest.mark.fact("servicenow sandbox-12")
def test_a_second_grant_returns_the_same_live_token(snow: Snow) -> None:
    assert snow.tokens()["access_token"] == snow.tokens()["access_token"]
    snow.instance.switches.same_token_while_valid = False
    assert snow.tokens()["access_token"] != snow.tokens()["access_token"]


@pytest.mark.fact("servicenow sandbox-12")
def test_a_refresh_while_the_token_lives_gives_the_same_one_with_the_time_it_has_left(snow: Snow) -> None:
    first = snow.tokens()
    snow.control("clock", seconds=1000)
    again = snow.grant(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert again["access_token"] == first["access_token"]
    assert 780 <= again["expires_in"] <= 800, "a refresh does not make it live longer"
    assert snow.tokens()["expires_in"] in (1799, 1800), "a new grant does (KB0791140)"


@pytest.mark.fact("servicenow sandbox-13")
def test_a_new_grant_makes_the_refresh_token_live_longer_and_a_refresh_does_not(snow: Snow) -> None:
    refresh = snow.tokens()["refresh_token"]
    snow.control("clock", seconds=8_000_000)
    assert snow.grant(grant_type="refresh_token", refresh_token=refresh).status_code == 200
    assert snow.tokens()["refresh_token"] == refresh, "the same one, with a fresh hundred days"
    snow.control("clock", seconds=8_000_000)
    assert snow.grant(grant_type="refresh_token", refresh_token=refresh).status_code == 200
    snow.control("clock", seconds=700_000)
    assert snow.grant(grant_type="refresh_token", refresh_token=refresh).json() == DENIED


@pytest.mark.fact("servicenow sandbox-13")
def test_lifetimes_are_fields_of_the_client_record(snow: Snow) -> None:
    snow.control("client", access_token_lifespan=600, refresh_token_lifespan=1000)
    tokens = snow.tokens()
    assert tokens["expires_in"] in (599, 600)
    snow.control("clock", seconds=1001)
    assert snow.grant(grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json() == DENIED


@pytest.mark.fact("servicenow sandbox-13")
def test_every_refresh_token_may_count_as_expired(snow: Snow) -> None:
    refresh = snow.tokens()["refresh_token"]
    snow.control("switches", refresh_tokens_expired=True)
    assert snow.grant(grant_type="refresh_token", refresh_token=refresh).json() == DENIED


@pytest.mark.fact("servicenow sandbox-13")
def test_a_refresh_token_lives_a_hundred_days(snow: Snow) -> None:
    refresh = snow.tokens()["refresh_token"]
    httpx.post(f"{snow.url}/_sandbox/clock", json={"seconds": 8_640_001}).raise_for_status()
    answer = snow.grant(grant_type="refresh_token", refresh_token=refresh)
    assert (answer.status_code, answer.json()) == (401, DENIED)


@pytest.mark.fact("servicenow sandbox-14")
def test_revoking_needs_no_sign_in_and_the_next_call_is_401(snow: Snow) -> None:
    token = snow.tokens()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    url = f"{snow.url}/api/now/v2/table/incident"
    assert httpx.get(url, headers=headers).status_code == 200
    assert httpx.get(f"{snow.url}/oauth_revoke_token.do", params={"token": token}).status_code == 200
    assert httpx.get(url, headers=headers).status_code == 401
