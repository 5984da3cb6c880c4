"""Login pages: local login, second factor, single sign-on."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest

from tests.factories.servicenow import INTEGRATION_USER, SandboxServiceNow, consent, field, log_in


@pytest.mark.fact("servicenow sandbox-6")
def test_the_integration_user_itself_may_be_marked_web_service_only(servicenow: SandboxServiceNow) -> None:
    servicenow.control("switches", web_only=True)
    with servicenow.browser() as browser:
        assert (
            log_in(browser, servicenow.authorize_path(), INTEGRATION_USER, servicenow.settings.password).status_code
            == 401
        )


@pytest.mark.fact("servicenow 1.8", "servicenow trap-24")
def test_a_second_factor_is_asked_for_and_checked(servicenow: SandboxServiceNow) -> None:
    servicenow.control("switches", mfa=True)
    with servicenow.browser() as browser:
        page = log_in(browser, servicenow.authorize_path(), INTEGRATION_USER, servicenow.settings.password)
        assert "Multi-factor authentication" in page.text
        assert servicenow.instance.mfa_code not in page.text, "hints are for the demo alone"
        form = {"ticket": field(page.text, "ticket"), "goto": field(page.text, "goto")}
        url = "/validate_multifactor_auth_code.do"
        assert browser.post(url, data=form | {"mfa_code": "no"}).status_code == 401
        page = browser.post(url, data=form | {"mfa_code": servicenow.instance.mfa_code})
        assert page.url.path == "/oauth_auth.do"
        assert "Not You?" in page.text
        assert browser.post(url, data=form | {"mfa_code": servicenow.instance.mfa_code}).status_code == 401, "once"


@pytest.mark.fact("servicenow 1.9")
def test_single_sign_on_signs_in_the_administrator_and_not_the_integration_user(servicenow: SandboxServiceNow) -> None:
    servicenow.control("switches", sso=True)
    with servicenow.browser() as browser:
        page = browser.get(servicenow.authorize_path())
        assert page.url.path == "/sso/sign_in"
        form = {"goto": field(page.text, "goto"), "user_name": field(page.text, "user_name")}
        page = browser.post("/sso/sign_in", data=form)
        assert page.url.path == "/oauth_auth.do"
        assert "Alex Wilber" in page.text, "one's own account, not the integration user"
        page = browser.get("/oauth_not_you.do", params={"query": "client_id=x"})
        assert page.url.path == "/sso/sign_in", "Not You? leads to the same person again"


@pytest.mark.fact("servicenow 1.9")
@pytest.mark.parametrize("door", ["/login.do", "/side_door.do"])
def test_a_local_login_first_avoids_single_sign_on(servicenow: SandboxServiceNow, door: str) -> None:
    servicenow.control("switches", sso=True)
    with servicenow.browser() as browser:
        log_in(browser, door, INTEGRATION_USER, servicenow.settings.password)
        page = browser.get(servicenow.authorize_path())
        assert page.url.path == "/oauth_auth.do"
        assert "M365 Integration" in page.text


@pytest.mark.fact("servicenow 1.9")
def test_local_logins_may_be_disabled_and_the_side_door_is_for_the_signed_out(servicenow: SandboxServiceNow) -> None:
    servicenow.control("switches", sso=True, local_login_disabled=True)
    with servicenow.browser() as browser:
        assert browser.get("/login.do").url.path == "/sso/sign_in"
        log_in(browser, "/side_door.do", INTEGRATION_USER, servicenow.settings.password)
        answer = browser.get("/side_door.do")
        assert (answer.status_code, "Page not found" in answer.text) == (404, True)


@pytest.mark.fact("servicenow 1.9")
def test_the_sign_in_page_can_be_located_by_user_name(servicenow: SandboxServiceNow) -> None:
    with servicenow.browser() as browser:
        assert "User name" in browser.get("/login_locate_sso.do").text
        page = browser.get("/login_locate_sso.do", params={"user_name": INTEGRATION_USER})
        assert "Continue as M365 Integration" in page.text
        form = {"goto": "/", "user_name": "m365.robot"}
        assert browser.post("/sso/sign_in", data=form).status_code == 403, "web-service-only users have no login"


def test_a_login_leads_nowhere_else(servicenow: SandboxServiceNow) -> None:
    for goto in ("//evil.example/", "https://evil.example/", "/\\evil.example"):
        form = {"goto": goto, "user_name": INTEGRATION_USER, "user_password": servicenow.settings.password}
        answer = httpx.post(f"{servicenow.url}/login.do", data=form)
        assert answer.headers["location"] == "/"


@pytest.mark.fact("servicenow sandbox-5")
def test_not_you_ends_the_session_and_keeps_the_request(servicenow: SandboxServiceNow) -> None:
    with servicenow.browser() as browser:
        consent(browser, servicenow.authorize_path(), "fred.luddy", servicenow.settings.password)
        page = browser.get("/oauth_not_you.do", params={"query": urlsplit(servicenow.authorize_path()).query})
        assert page.url.path == "/oauth_login.do"
        assert servicenow.settings.client_id in field(page.text, "goto")
        assert browser.get(servicenow.authorize_path()).url.path == "/oauth_login.do"


@pytest.mark.fact("servicenow sandbox-6", "servicenow trap-22")
def test_a_web_service_only_user_does_not_get_through_login(servicenow: SandboxServiceNow) -> None:
    with servicenow.browser() as browser:
        form = {"goto": "/", "user_name": "m365.robot", "user_password": servicenow.settings.password}
        assert browser.post("/login.do", data=form).status_code == 401


def test_a_program_logs_in_and_calls_the_apis_with_its_session_s_token(servicenow: SandboxServiceNow) -> None:
    form = {"user_name": "fred.luddy", "user_password": servicenow.settings.password}
    address, api = "/angular.do?sysparm_type=view_form.login", "/api/now/table/incident"
    with servicenow.browser() as browser:
        assert browser.post(address, data=form | {"user_password": "wrong"}).json()["status"] == "error"
        assert browser.post(address, data=form).json() == {"status": "success"}
        told = browser.post("/angular.do?sysparm_type=get_user")
        token = told.headers["x-usertoken-response"]
        assert told.status_code == 401
        assert browser.get(api).status_code == 401, "a cookie alone is not enough"
        assert browser.get(api, headers={"X-UserToken": "guess"}).status_code == 401
        assert browser.get(api, headers={"X-UserToken": token}).status_code == 200
    servicenow.control("switches", mfa=True)
    with servicenow.browser() as browser:
        assert browser.post(address, data=form).json()["status"] == "mfa_code_required"
