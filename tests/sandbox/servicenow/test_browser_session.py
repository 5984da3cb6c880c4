"""Browser sessions of two instances on one host."""

from __future__ import annotations

from tests.factories.servicenow import INTEGRATION_USER, SandboxServiceNow, consent, running_servicenow


def test_one_browser_can_be_signed_in_at_both(servicenow: SandboxServiceNow) -> None:
    with running_servicenow() as second, servicenow.browser() as browser:
        consent(browser, servicenow.authorize_path(), INTEGRATION_USER, servicenow.settings.password)
        consent(browser, second.url + second.authorize_path(), "fred.luddy", second.settings.password)
        assert "M365 Integration" in browser.get(servicenow.authorize_path()).text
        assert "Fred Luddy" in browser.get(second.url + second.authorize_path()).text
