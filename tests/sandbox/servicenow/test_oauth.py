"""OAuth on the instance: behaviours 1 to 16 of the fact sheet, each test named by its number."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.factories.servicenow import CALLBACK, INTEGRATION_USER, FakeServiceNow, consent, field

DENIED = {"error_description": "access_denied", "error": "server_error"}


def test_1_login_comes_first_then_consent_with_everything_on_it(servicenow: FakeServiceNow) -> None:
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


def test_2_a_missing_state_gets_a_page_and_no_code_unless_switched_off(servicenow: FakeServiceNow) -> None:
    with servicenow.browser() as browser:
        page = browser.get(servicenow.authorize_path(state=""))
        assert "Missing State parameter in request." in page.text
        servicenow.instance.switches.state_required = False
        assert browser.get(servicenow.authorize_path(state="")).url.path == "/oauth_login.do"


@pytest.mark.parametrize("uri", ["http://evil.example/callback", CALLBACK + "/", ""])
def test_3_an_unregistered_redirect_gets_a_page_and_no_redirect(servicenow: FakeServiceNow, uri: str) -> None:
    answer = httpx.get(servicenow.url + servicenow.authorize_path(redirect_uri=uri), follow_redirects=False)
    assert answer.status_code == 200
    assert "Invalid redirect_uri" in answer.text


def test_4_allow_sends_a_code_and_the_unchanged_state(servicenow: FakeServiceNow) -> None:
    with servicenow.browser() as browser:
        answer = consent(
            browser, servicenow.authorize_path(state="x-Y_9"), INTEGRATION_USER, servicenow.settings.password
        )
    sent = parse_qs(urlsplit(answer.headers["location"]).query)
    assert answer.headers["location"].startswith(CALLBACK)
    assert sent["state"] == ["x-Y_9"]
    assert len(sent["code"][0]) == 86


def test_4_the_consent_form_needs_its_own_secret(servicenow: FakeServiceNow) -> None:
    with servicenow.browser() as browser:
        consent(browser, servicenow.authorize_path(), INTEGRATION_USER, servicenow.settings.password)
        form = {
            "sysparm_ck": "guess",
            "query": urlsplit(servicenow.authorize_path()).query,
            "oauth_auth_check_action": "authorize",
        }
        answer = browser.post("/oauth_auth.do", data=form, follow_redirects=False)
    assert answer.status_code == 403


def test_4_deny_sends_no_code(servicenow: FakeServiceNow) -> None:
    with servicenow.browser() as browser:
        answer = consent(browser, servicenow.authorize_path(), INTEGRATION_USER, servicenow.settings.password, "deny")
    assert "code=" not in answer.headers["location"]
    assert "state=abc123" in answer.headers["location"]


def test_5_not_you_ends_the_session_and_keeps_the_request(servicenow: FakeServiceNow) -> None:
    with servicenow.browser() as browser:
        consent(browser, servicenow.authorize_path(), "fred.luddy", servicenow.settings.password)
        page = browser.get("/oauth_not_you.do", params={"query": urlsplit(servicenow.authorize_path()).query})
        assert page.url.path == "/oauth_login.do"
        assert servicenow.settings.client_id in field(page.text, "goto")
        assert browser.get(servicenow.authorize_path()).url.path == "/oauth_login.do"


def test_6_a_web_service_only_user_does_not_get_through_login(servicenow: FakeServiceNow) -> None:
    with servicenow.browser() as browser:
        form = {"goto": "/", "user_name": "m365.robot", "user_password": servicenow.settings.password}
        assert browser.post("/login.do", data=form).status_code == 401


def exchange(servicenow: FakeServiceNow, code: str, **changes: str) -> httpx.Response:
    return servicenow.grant(**{"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK} | changes)


def test_7_a_code_works_once(servicenow: FakeServiceNow) -> None:
    code = servicenow.code()
    assert exchange(servicenow, code).status_code == 200
    again = exchange(servicenow, code)
    assert (again.status_code, again.json()) == (401, DENIED)


def test_7_a_code_lives_sixty_seconds(servicenow: FakeServiceNow) -> None:
    code = servicenow.code()
    httpx.post(f"{servicenow.url}/_sandbox/clock", json={"seconds": 61}).raise_for_status()
    assert exchange(servicenow, code).json() == DENIED


@pytest.mark.parametrize(
    "changes",
    [{"redirect_uri": "http://127.0.0.1:1/other"}, {"client_secret": "wrong"}, {"client_id": "0" * 32}],
)
def test_7_a_code_needs_the_same_redirect_and_client(servicenow: FakeServiceNow, changes: dict[str, str]) -> None:
    answer = exchange(servicenow, servicenow.code(), **changes)
    assert (answer.status_code, answer.json()) == (401, DENIED)


def test_8_with_a_challenge_the_verifier_must_fit(servicenow: FakeServiceNow) -> None:
    challenge = urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()
    pkce = {"code_challenge": challenge, "code_challenge_method": "S256"}
    assert exchange(servicenow, servicenow.code(**pkce)).json() == DENIED
    assert exchange(servicenow, servicenow.code(**pkce), code_verifier="w" * 43).json() == DENIED
    assert exchange(servicenow, servicenow.code(**pkce), code_verifier="v" * 43).status_code == 200


def test_8_a_client_may_insist_on_a_challenge(servicenow: FakeServiceNow) -> None:
    servicenow.instance.switches.pkce_required = True
    with servicenow.browser() as browser:
        assert "Missing code_challenge" in browser.get(servicenow.authorize_path()).text
        asked = servicenow.authorize_path(code_challenge="x" * 43, code_challenge_method="S256")
        assert browser.get(asked).url.path == "/oauth_login.do"


def test_9_parameters_in_the_address_and_json_bodies_are_refused(servicenow: FakeServiceNow) -> None:
    refresh = servicenow.tokens()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": servicenow.settings.client_id}
    form["client_secret"] = servicenow.settings.client_secret
    assert httpx.post(f"{servicenow.url}/oauth_token.do", params=form).json() == DENIED
    assert httpx.post(f"{servicenow.url}/oauth_token.do", json=form).status_code == 400
    servicenow.instance.switches.refuse_url_parameters = False
    assert httpx.post(f"{servicenow.url}/oauth_token.do", params=form).status_code == 200


def test_10_the_answer_has_exactly_these_members(servicenow: FakeServiceNow) -> None:
    tokens = servicenow.tokens()
    assert set(tokens) == {"access_token", "refresh_token", "scope", "token_type", "expires_in"}
    assert tokens["expires_in"] in (1799, 1800)
    assert tokens["scope"] == "useraccount"
    servicenow.instance.switches.scope_is_empty = True
    assert servicenow.tokens()["scope"] == ""


def test_11_a_refresh_gives_a_new_access_token_and_keeps_the_refresh_token(servicenow: FakeServiceNow) -> None:
    first = servicenow.tokens()
    httpx.post(f"{servicenow.url}/_sandbox/clock", json={"seconds": 1801}).raise_for_status()
    again = servicenow.grant(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert again["access_token"] != first["access_token"]
    assert again["refresh_token"] == first["refresh_token"]


def test_11_variants_that_omit_or_rotate_the_refresh_token(servicenow: FakeServiceNow) -> None:
    first = servicenow.tokens()["refresh_token"]
    servicenow.instance.switches.refresh_omits_token = True
    assert "refresh_token" not in servicenow.grant(grant_type="refresh_token", refresh_token=first).json()
    servicenow.instance.switches.refresh_omits_token = False
    servicenow.instance.switches.refresh_rotates_token = True
    second = servicenow.grant(grant_type="refresh_token", refresh_token=first).json()["refresh_token"]
    assert second != first
    assert servicenow.grant(grant_type="refresh_token", refresh_token=first).json() == DENIED


def test_12_a_second_grant_returns_the_same_live_token(servicenow: FakeServiceNow) -> None:
    assert servicenow.tokens()["access_token"] == servicenow.tokens()["access_token"]
    servicenow.instance.switches.same_token_while_valid = False
    assert servicenow.tokens()["access_token"] != servicenow.tokens()["access_token"]


def test_12_a_refresh_while_the_token_lives_gives_the_same_one_with_the_time_it_has_left(
    servicenow: FakeServiceNow,
) -> None:
    first = servicenow.tokens()
    servicenow.control("clock", seconds=1000)
    again = servicenow.grant(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert again["access_token"] == first["access_token"]
    assert 780 <= again["expires_in"] <= 800, "a refresh does not make it live longer"
    assert servicenow.tokens()["expires_in"] in (1799, 1800), "a new grant does (KB0791140)"


def test_13_a_new_grant_makes_the_refresh_token_live_longer_and_a_refresh_does_not(servicenow: FakeServiceNow) -> None:
    refresh = servicenow.tokens()["refresh_token"]
    servicenow.control("clock", seconds=8_000_000)
    assert servicenow.grant(grant_type="refresh_token", refresh_token=refresh).status_code == 200
    assert servicenow.tokens()["refresh_token"] == refresh, "the same one, with a fresh hundred days"
    servicenow.control("clock", seconds=8_000_000)
    assert servicenow.grant(grant_type="refresh_token", refresh_token=refresh).status_code == 200
    servicenow.control("clock", seconds=700_000)
    assert servicenow.grant(grant_type="refresh_token", refresh_token=refresh).json() == DENIED


def test_13_lifetimes_are_fields_of_the_client_record(servicenow: FakeServiceNow) -> None:
    servicenow.control("client", access_token_lifespan=600, refresh_token_lifespan=1000)
    tokens = servicenow.tokens()
    assert tokens["expires_in"] in (599, 600)
    servicenow.control("clock", seconds=1001)
    assert servicenow.grant(grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json() == DENIED


def test_13_every_refresh_token_may_count_as_expired(servicenow: FakeServiceNow) -> None:
    refresh = servicenow.tokens()["refresh_token"]
    servicenow.control("switches", refresh_tokens_expired=True)
    assert servicenow.grant(grant_type="refresh_token", refresh_token=refresh).json() == DENIED


def test_13_a_refresh_token_lives_a_hundred_days(servicenow: FakeServiceNow) -> None:
    refresh = servicenow.tokens()["refresh_token"]
    httpx.post(f"{servicenow.url}/_sandbox/clock", json={"seconds": 8_640_001}).raise_for_status()
    answer = servicenow.grant(grant_type="refresh_token", refresh_token=refresh)
    assert (answer.status_code, answer.json()) == (401, DENIED)


def test_14_revoking_needs_no_sign_in_and_the_next_call_is_401(servicenow: FakeServiceNow) -> None:
    token = servicenow.tokens()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    url = f"{servicenow.url}/api/now/v2/table/incident"
    assert httpx.get(url, headers=headers).status_code == 200
    assert httpx.get(f"{servicenow.url}/oauth_revoke_token.do", params={"token": token}).status_code == 200
    assert httpx.get(url, headers=headers).status_code == 401


def test_15_the_admin_page_revokes_access(servicenow: FakeServiceNow) -> None:
    tokens = servicenow.tokens()
    page = httpx.get(f"{servicenow.url}/_sandbox/tokens").text
    assert servicenow.settings.client_id in page
    assert tokens["access_token"] not in page
    assert page.count(">Revoke Access<") == 2, "the access and the refresh token"
    for row in list(servicenow.instance.store.rows("oauth_credential")):
        httpx.post(f"{servicenow.url}/_sandbox/tokens", data={"sys_id": row["sys_id"]})
    assert servicenow.grant(grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json() == DENIED
    headers = {"Authorization": f"Bearer {tokens['access_token']}", "Accept": "application/json"}
    assert httpx.get(f"{servicenow.url}/api/now/v2/table/incident", headers=headers).status_code == 401


def test_16_a_sleeping_instance_answers_the_token_service_with_a_web_page(servicenow: FakeServiceNow) -> None:
    httpx.post(f"{servicenow.url}/_sandbox/faults", json={"name": "hibernating"}).raise_for_status()
    answer = servicenow.grant(grant_type="refresh_token", refresh_token="any")
    assert answer.status_code == 200
    assert "Instance Hibernating page" in answer.text


def test_the_journal_keeps_no_secret(servicenow: FakeServiceNow) -> None:
    tokens = servicenow.tokens()
    journal = httpx.get(f"{servicenow.url}/_sandbox/journal").text
    assert "oauth_token.do" in journal
    for secret in (
        servicenow.settings.client_secret,
        tokens["access_token"],
        tokens["refresh_token"],
        servicenow.settings.password,
    ):
        assert secret not in journal
