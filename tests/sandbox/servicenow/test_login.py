"""What stands between an administrator and consent: facts 1.5, 1.8 and 1.9, each on a switch."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import CALLBACK, INTEGRATION_USER, FakeServiceNow, field, log_in

DENIED = {"error_description": "access_denied", "error": "server_error"}


def test_6_the_integration_user_itself_may_be_marked_web_service_only(servicenow: FakeServiceNow) -> None:
    servicenow.control("switches", web_only=True)
    with servicenow.browser() as browser:
        assert (
            log_in(browser, servicenow.authorize_path(), INTEGRATION_USER, servicenow.settings.password).status_code
            == 401
        )


def test_1_8_a_second_factor_is_asked_for_and_checked(servicenow: FakeServiceNow) -> None:
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


def test_1_9_single_sign_on_signs_in_the_person_at_the_desk(servicenow: FakeServiceNow) -> None:
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


@pytest.mark.parametrize("door", ["/login.do", "/side_door.do"])
def test_1_9_a_local_login_first_is_the_way_round(servicenow: FakeServiceNow, door: str) -> None:
    servicenow.control("switches", sso=True)
    with servicenow.browser() as browser:
        log_in(browser, door, INTEGRATION_USER, servicenow.settings.password)
        page = browser.get(servicenow.authorize_path())
        assert page.url.path == "/oauth_auth.do"
        assert "M365 Integration" in page.text


def test_1_9_local_logins_may_be_disabled_and_the_side_door_is_for_the_signed_out(servicenow: FakeServiceNow) -> None:
    servicenow.control("switches", sso=True, local_login_disabled=True)
    with servicenow.browser() as browser:
        assert browser.get("/login.do").url.path == "/sso/sign_in"
        log_in(browser, "/side_door.do", INTEGRATION_USER, servicenow.settings.password)
        answer = browser.get("/side_door.do")
        assert (answer.status_code, "Page not found" in answer.text) == (404, True)


def test_1_9_the_sign_in_page_can_be_located_by_user_name(servicenow: FakeServiceNow) -> None:
    with servicenow.browser() as browser:
        assert "User name" in browser.get("/login_locate_sso.do").text
        page = browser.get("/login_locate_sso.do", params={"user_name": INTEGRATION_USER})
        assert "Continue as M365 Integration" in page.text
        form = {"goto": "/", "user_name": "m365.robot"}
        assert browser.post("/sso/sign_in", data=form).status_code == 403, "web-service-only users have no login"


def test_a_login_leads_nowhere_else(servicenow: FakeServiceNow) -> None:
    for goto in ("//evil.example/", "https://evil.example/", "/\\evil.example"):
        form = {"goto": goto, "user_name": INTEGRATION_USER, "user_password": servicenow.settings.password}
        answer = httpx.post(f"{servicenow.url}/login.do", data=form)
        assert answer.headers["location"] == "/"


def test_3_the_client_record_may_hold_another_redirect_url(servicenow: FakeServiceNow) -> None:
    servicenow.control("switches", redirect_mismatch=True)
    with servicenow.browser() as browser:
        assert "Invalid redirect_uri" in browser.get(servicenow.authorize_path()).text


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
def test_1_5_every_mistake_gets_the_same_answer_from_the_token_service(
    servicenow: FakeServiceNow, switch: dict[str, bool]
) -> None:
    code = servicenow.code()
    servicenow.control("switches", **switch)
    answer = servicenow.grant(grant_type="authorization_code", code=code, redirect_uri=CALLBACK)
    if "redirect_mismatch" in switch:
        assert answer.status_code == 200, "the code was given for this redirect; the mistake shows at consent"
        return
    assert (answer.status_code, answer.json()) == (401, DENIED)


def test_1_5_a_grant_may_be_off_while_another_works(servicenow: FakeServiceNow) -> None:
    refresh = servicenow.tokens()["refresh_token"]
    servicenow.control("switches", grants_off="refresh_token")
    assert servicenow.grant(grant_type="refresh_token", refresh_token=refresh).json() == DENIED
    assert servicenow.tokens()["access_token"]


def test_1_5_errors_may_have_the_names_of_the_rfc(servicenow: FakeServiceNow) -> None:
    servicenow.control("switches", rfc_token_errors=True)
    answer = servicenow.grant(grant_type="refresh_token", refresh_token="gone")
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})
    answer = servicenow.grant(grant_type="refresh_token", client_secret="wrong")
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})


def test_an_inactive_client_gets_a_page_at_consent(servicenow: FakeServiceNow) -> None:
    servicenow.control("client", active="false")
    with servicenow.browser() as browser:
        assert "Invalid client_id" in browser.get(servicenow.authorize_path()).text
