"""Every fault that can be switched on at the ServiceNow stand-in is found by its name, on the page where a person looks.

What no browser can bring about is shown over HTTP by tests/features/provisioning/test_diagnose.py: an unknown name
(DNS), a private address, TLS, a closed port, a proxy that refuses, no worker, a queue that is stuck. An import that is
stale is shown there too. Consenting as oneself, the third line of the original's troubleshooting list, is in
tests/browser/test_checklist.py, with the way on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.connecting import Order, authorize, check_connection, check_step, log_in, settled, switched
from tests.browser.people import INTEGRATION_USER, Visit, ensure_connected
from tests.factories.demo import Demo


@dataclass(frozen=True)
class Row:
    """A fault and how it is found: the finding's name on the page, its key, and words that a person needs."""

    name: str
    key: str
    words: str
    switches: dict[str, Any] = field(default_factory=dict)
    orders: tuple[Order, ...] = ()

    def __str__(self) -> str:
        """For pytest's list."""
        return "-".join([self.key, *self.switches, *(what for what, _ in self.orders)])


def user(**changes: str) -> tuple[Order, ...]:
    """The integration user's record is changed."""
    return (("users", {"user_name": INTEGRATION_USER} | changes),)


def fault(name: str, **more: object) -> tuple[Order, ...]:
    """The next call of the API meets this."""
    return (("faults", {"name": name, "path": "/api/now"} | more),)


WALK = (
    Row("Network: IP filter", "ip_filter", "System Security > IP Address Access Control", {"ip_blocked": True}),
    Row("Instance asleep", "asleep", "Wake it up at developer.servicenow.com", {"api_asleep": True}),
    Row("Instance asleep", "asleep", "Wake it up", {"api_asleep": True, "asleep_with_503": True}),
    Row("Sign-on page before the API", "sso_before_api", "exempt both", {"api_sso": "page"}),
    Row("Sign-on page before the API", "sso_before_api", "exempt both", {"api_sso": "redirect"}),
    Row("Instance unavailable", "gateway", "under maintenance", orders=fault("unavailable")),
    Row("Redirect URL", "redirect_mismatch", "/servicenow/callback", {"redirect_mismatch": True}),
    Row("Client ID", "client_unknown", "make sure that Active is ticked", {"client_inactive": True}),
    Row("OAuth client", "client_cross_scope", "tick “Can read”", {"cross_scope_refusal": True}),
    Row("OAuth client", "client_lifespans", "8640000", orders=(("client", {"refresh_token_lifespan": "864000"}),)),
    Row("Integration user", "user_web_service_only", "Untick “Web service access only”",
        orders=user(web_service_access_only="true")),
    Row("Role missing", "role_missing.incident.read", "sn_incident_read", {"acl_refuses": "incident.read"}),
    Row("Role missing", "role_missing.incident.write", "sn_incident_write", {"acl_refuses": "incident.write"}),
    Row("Role missing", "role_missing.change_request.read", "sn_change_read", {"acl_refuses": "change_request.read"}),
    Row("Role missing", "role_missing.change_request.write", "sn_change_write", {"acl_refuses": "change_request.write"}),
    Row("Role missing", "role_missing.change_request.write", "sn_change_write",
        orders=user(roles="sn_incident_write,sn_change_read,personalize_choices")),
    Row("Lists of states", "choices_not_readable", "personalize_choices", orders=user(roles="itil")),
    Row("Query rules", "query_acl", "range operators", {"range_refused": True}),
    Row("Rate limit", "rate_limit", "A rate limit of the instance is reached", {"rate_limit_per_hour": 1}),
    Row("Rate limit", "rate_limit", "all of its workers for integrations are taken", orders=fault("semaphore_full")),
    Row("Clocks", "clock", "time service", {"clock_off_seconds": -900}),
    Row("Release", "release_too_old", "Kingston or later is needed", orders=(("family", {"family": "jakarta"}),)),
)  # fmt: skip

# Only renewing shows these, which the walk does not do, so that it changes nothing; the provisioning page does.
TOKEN = (
    Row("", "wrong secret or anything else", "It says the same for every cause", {"wrong_secret": True}),
    Row("", "wrong secret", "the client secret is wrong", {"wrong_secret": True, "rfc_token_errors": True}),
    Row("", "grant switched off", "switched off the kind of grant",
        {"grants_off": "refresh_token", "rfc_token_errors": True}),
    Row("", "consent over", "this consent is over", {"refresh_tokens_expired": True, "rfc_token_errors": True}),
    Row("", "read only", "snc_read_only", {"user_read_only": True}),
    Row("", "locked", "the integration user is active", orders=user(locked_out="true")),
)  # fmt: skip


@pytest.fixture(scope="module")
def desk(chromium: Browser, demo: Demo) -> Iterator[tuple[Page, Demo]]:
    """An administrator's browser, with ServiceNow connected."""
    visit = Visit(chromium, demo)
    ensure_connected(visit)
    page = visit.sign_in("Security Administrator")
    authorize(page, demo)
    yield page, demo
    visit.close()


def found(page: Page, row: Row) -> None:
    """The finding is on the page under its name, needs no opening, and says what it should."""
    finding = page.locator(f'#findings li[data-finding="{row.key}"]')
    expect(finding.get_by_role("heading")).to_contain_text(row.name)
    expect(finding).to_contain_text(row.words)


def test_a_healthy_connection_has_nothing_to_mend_and_the_page_fills_in_by_itself(desk: tuple[Page, Demo]) -> None:
    page, _ = desk
    page.goto("/servicenow/check")
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_text("Nothing stands in the way.")).to_be_visible()
    expect(page.locator('#findings li[data-finding="token"]')).to_contain_text("In order")
    assert page.get_by_text("Needs somebody").count() == 0


@pytest.mark.parametrize("row", WALK, ids=str)
def test_each_row_of_the_diagnosis_is_found_by_name(desk: tuple[Page, Demo], row: Row) -> None:
    page, demo = desk
    with switched(page, demo, *row.orders, **row.switches):
        check_connection(page)
        found(page, row)


@pytest.mark.parametrize("row", TOKEN, ids=str)
def test_refused_tokens_are_found_and_authorizing_mends_them(desk: tuple[Page, Demo], row: Row) -> None:
    page, demo = desk
    with switched(page, demo, *row.orders, **row.switches):
        step = check_step(page, "Token works and can be renewed")
        expect(step).to_contain_text("Needs somebody")
        expect(step).to_contain_text(row.words)
        check_connection(page)
        expect(page.locator('#findings li[data-finding="consent_refused"]')).to_contain_text("Consent refused")
    authorize(page, demo)
    expect(page.locator("#token")).to_contain_text("In order")


def test_a_consent_that_ends_soon_or_has_ended_is_found(desk: tuple[Page, Demo]) -> None:
    page, demo = desk
    for seconds, row in (
        ("864000", Row("Consent", "consent_ends_soon", "Press Authorize before then")),
        ("1", Row("Consent expired", "consent_expired", "The consent has expired")),
    ):
        with switched(page, demo, ("client", {"refresh_token_lifespan": seconds})):
            check_connection(page)  # Reads how long this client's consents last.
            check_connection(page)
            found(page, row)
    check_connection(page)
    assert page.locator("#findings").get_by_text("Consent expired").count()  # From before the lifespan was read again.
    check_connection(page)
    expect(page.get_by_text("Nothing stands in the way.")).to_be_visible()


@pytest.mark.parametrize("switch", ["web_only", "mfa"])
def test_a_login_that_refuses_the_integration_user_is_named(
    desk: tuple[Page, Demo], chromium: Browser, switch: str
) -> None:
    page, demo = desk
    away = Visit(chromium, demo)
    with switched(page, demo, **{switch: True}):
        other = away.sign_in("Security Administrator", at="/sign-in")
        other.goto("/servicenow")
        other.get_by_role("button", name="Authorize again").click()
        log_in(other, demo, INTEGRATION_USER)
        expect(other.get_by_role("button", name="Allow")).to_have_count(0)
        check_connection(page)
        found(page, Row("Last authorization", "authorization_unfinished", "multi-factor authentication"))
        found(page, Row("Last authorization", "authorization_unfinished", "“Web service access only”"))
    away.close()
    authorize(page, demo)


def test_single_sign_on_is_named_and_the_side_door_leads_around_it(desk: tuple[Page, Demo], chromium: Browser) -> None:
    page, demo = desk
    away = Visit(chromium, demo)
    with switched(page, demo, sso=True):
        check_connection(page)
        found(page, Row("Single sign-on", "sso", f"{demo.servicenow}/side_door.do"))
        private = away.sign_in("Security Administrator")
        private.goto(f"{demo.servicenow}/side_door.do")
        log_in(private, demo, INTEGRATION_USER)
        private.goto("/servicenow")
        private.get_by_role("button", name="Authorize again").click()
        expect(private.get_by_role("main")).to_contain_text(INTEGRATION_USER)
        private.get_by_role("button", name="Allow").click()
        settled(private, "/ticketProvisioning", "#steps")
        expect(private.locator("#token")).to_contain_text("In order")
    away.close()


def test_an_authorization_that_failed_is_named(desk: tuple[Page, Demo]) -> None:
    page, demo = desk
    with switched(page, demo, wrong_secret=True):
        page.goto("/servicenow")
        page.get_by_role("button", name="Authorize again").click()
        page.get_by_role("button", name="Allow").click()
        expect(page.get_by_role("main")).to_contain_text("the client secret")
        check_connection(page)
        found(page, Row("Last authorization", "authorization_failed", "check them in turn: the client secret"))
    authorize(page, demo)


def test_connected_but_no_cards_is_mended_from_the_provisioning_page(desk: tuple[Page, Demo]) -> None:
    page, demo = desk
    with switched(page, demo, acl_refuses="incident.read,change_request.read"):
        page.goto("/ticketProvisioning")
        page.get_by_role("button", name="Check all again").click()
        settled(page, "/ticketProvisioning", "#steps")
        page.goto("/")
        expect(page.get_by_text("Provisioning is not complete")).to_be_visible()
        assert page.get_by_role("heading", name="ServiceNow incident management").count() == 0
        assert page.get_by_role("heading", name="ServiceNow change management").count() == 0
        page.get_by_role("link", name="See what to do").click()
        expect(page.locator("#incident")).to_contain_text("Reading records in incident is not allowed")
        expect(page.locator("#incident")).to_contain_text(f"User Administration > Users > {INTEGRATION_USER}")
    page.get_by_role("button", name="Authorize").click()
    settled(page, "/ticketProvisioning", "#steps")
    page.goto("/")
    for name in ("ServiceNow incident management", "ServiceNow change management"):
        expect(page.get_by_role("heading", name=name)).to_be_visible()
