"""Browser sessions of two instances on one host."""

from __future__ import annotations

from tests.factories.servicenow import INTEGRATION_USER, Snow, consent, running_snow


def test_one_browser_can_be_signed_in_at_both(snow: Snow) -> None:
    with running_snow() as second, snow.browser() as browser:
        consent(browser, snow.authorize_path(), INTEGRATION_USER, snow.settings.password)
        consent(browser, second.url + second.authorize_path(), "fred.luddy", second.settings.password)
        assert "M365 Integration" in browser.get(snow.authorize_path()).text
        assert "Fred Luddy" in browser.get(second.url + second.authorize_path()).text
