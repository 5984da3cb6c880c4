"""OAuth authorization server: consent page and revocation."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.factories.servicenow import CALLBACK, INTEGRATION_USER, SandboxServiceNow, consent, field


@pytest.mark.fact("servicenow sandbox-3")
def test_the_client_record_may_hold_another_redirect_url(servicenow: SandboxServiceNow) -> None:
    servicenow.control("switches", redirect_mismatch=True)
    with servicenow.browser() as browser:
        assert "Invalid redirect_uri" in browser.get(servicenow.authorize_path()).text


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


@pytest.mark.fact("servicenow sandbox-8")
def test_a_client_may_insist_on_a_challenge(servicenow: SandboxServiceNow) -> None:
    servicenow.instance.switches.pkce_required = True
    with servicenow.browser() as browser:
        assert "Missing code_challenge" in browser.get(servicenow.authorize_path()).text
        asked = servicenow.authorize_path(code_challenge="x" * 43, code_challenge_method="S256")
        assert browser.get(asked).url.path == "/oauth_login.do"


@pytest.mark.fact("servicenow sandbox-14", "servicenow 1.1")
def test_revoking_needs_no_sign_in_and_the_next_call_is_401(servicenow: SandboxServiceNow) -> None:
    token = servicenow.tokens()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    url = f"{servicenow.url}/api/now/v2/table/incident"
    assert httpx.get(url, headers=headers).status_code == 200
    assert httpx.get(f"{servicenow.url}/oauth_revoke_token.do", params={"token": token}).status_code == 200
    assert httpx.get(url, headers=headers).status_code == 401
