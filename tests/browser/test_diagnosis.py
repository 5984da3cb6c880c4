"""Every fault that can be switched on at the ServiceNow sandbox is found by its name, on the page where a person looks.

What no browser can bring about is shown over HTTP, in tests/features/provisioning: an unknown name (DNS), a private
address, TLS, a closed port and a proxy that refuses need another network than this machine's (test_diagnose); no worker
and a queue that is stuck, a worker that is ended or frozen under everybody's feet (test_diagnose); an import that is
missing or stale, another day (test_rows); nothing ever connected, a product without use (test_diagnose); a
consent without a refresh token, a client that the sandbox does not offer (test_rows). Consenting as oneself, the third
line of the original's troubleshooting list, is in tests/browser/test_checklist.py, with the way on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.connecting import (
    Order,
    authorize,
    check_connection,
    check_step,
    log_in,
    order,
    press,
    settled,
    switched,
)
from tests.browser.people import FOLLOWS_MS, INTEGRATION_USER, Visit, ensure_connected, share
from tests.factories.demo import Demo

pytestmark = pytest.mark.thorough


@dataclass(frozen=True)
class Row:
    """A fault and how it is found: the finding's name on the page, its key, and words that only this fault has."""

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


def client(**changes: str) -> tuple[Order, ...]:
    """The client's record is changed."""
    return (("client", changes),)


def fault(name: str, path: str = "/table/sys_user$", **more: object) -> tuple[Order, ...]:
    """The next call there meets this: one that the worker does not make on its own while it follows tickets."""
    return (("faults", {"name": name, "path": path} | more),)


NUMBER = re.compile(r"(INC|CHG)\d{7}")
CALLBACK = "/servicenow/callback"
# What stands in front of everything else is looked for alone.
ALONE = (
    Row("Network: IP filter", "ip_filter", "System Security > IP Address Access Control", {"ip_blocked": True}),
    Row("Instance asleep", "asleep", "Wake it up at developer.servicenow.com", {"api_asleep": True}),
    Row("Instance asleep", "asleep", "Wake it up", {"api_asleep": True, "asleep_with_503": True}),
    Row("Sign-on page before the API", "sso_before_api", "exempt both", {"api_sso": "page"}),
    Row("Sign-on page before the API", "sso_before_api", "exempt both", {"api_sso": "redirect"}),
    Row("Instance unavailable", "gateway", "under maintenance", orders=fault("unavailable")),
    Row("Not ServiceNow", "not_servicenow", "answered that is no ServiceNow instance", orders=fault("strange_page")),
    Row("Role missing", "role_missing.api", "protects its REST API by a role of its own", {"api_acl_active": True},
        user(roles="sn_incident_write,sn_change_write")),
    Row("Rate limit", "rate_limit", "A rate limit of the instance is reached", {"rate_limit_per_hour": 1}),
    Row("Rate limit", "rate_limit", "all of its workers for integrations are taken", orders=fault("semaphore_full")),
)  # fmt: skip
# Of faults that do not hide one another, several are made at once and each is found among the others.
TOGETHER = (
    (
        Row("OAuth client", "client_cross_scope", "tick “Can read”", {"cross_scope_refusal": True}),
        Row("Redirect URL", "redirect_mismatch", "refuses our redirect URL", {"redirect_mismatch": True}),
        Row("Query rules", "query_acl", "range operators", {"range_refused": True}),
        Row("Clocks", "clock", "time service", {"clock_off_seconds": -900}),
        Row("Lists of states", "choices_not_readable", "personalize_choices", orders=user(roles="itil")),
        Row("Release", "release_too_old", "The release is Jakarta", orders=(("family", {"family": "jakarta"}),)),
    ),
    (
        Row("OAuth client", "client_lifespans", "a consent lasts 10 days",
            orders=client(refresh_token_lifespan="864000")),
        Row("Integration user", "user_web_service_only", "is marked “Web service access only”",
            orders=user(web_service_access_only="true")),
        Row("Role missing", "role_missing.incident.read", "Reading records in incident is not allowed",
            {"acl_refuses": "incident.read,change_request.write"}),
        Row("Role missing", "role_missing.change_request.write", "Changing records in change_request is not allowed"),
        Row("Release", "release", "may not read which release", {"properties_readable": False}),
    ),
    (
        Row("Client ID", "client_unknown", "does not know the client ID", {"client_inactive": True}),
        Row("Integration user", "user_inactive", "is not active, or is locked out", {"locked_keeps_tokens": True},
            user(locked_out="true")),
        Row("Role missing", "role_missing.incident.write", "Changing records in incident is not allowed",
            {"acl_refuses": "incident.write,change_request.read"}),
        Row("Role missing", "role_missing.change_request.read", "Reading records in change_request is not allowed"),
        Row("Our id", "correlation_refused", "a query_match rule",
            {"closed_fields": "correlation_id", "strict_queries": True}),
    ),
    (
        Row("OAuth client", "client_inactive", "is not active", orders=client(active="false")),
        Row("Integration user", "user_inactive", "is not active, or is locked out", {"locked_keeps_tokens": True},
            user(active="false")),
        Row("Our id", "correlation_ignored", "it ignores the field", {"closed_fields": "correlation_id"}),
    ),
    (
        Row("Redirect URL", "redirect_mismatch", f"The record holds https://elsewhere.example{CALLBACK}",
            orders=client(redirect_url=f"https://elsewhere.example{CALLBACK}")),
        Row("Integration user", "user_read_only", "has the role snc_read_only, which forbids",
            orders=user(roles="itil,snc_read_only")),
        Row("Role missing", "role_missing.incident.write", "sn_incident_write"),
    ),
    (
        Row("OAuth client", "client_not_visible", "may not see the record", {"oauth_entity_readable": False}),
        Row("Integration user", "user_missing", "is gone, or hidden from itself",
            orders=fault("missing", "/table/sys_user/")),
        Row("Role missing", "role_missing.change_request.write", "sn_change_write",
            orders=user(roles="sn_incident_write,sn_change_read,personalize_choices")),
    ),
    (
        Row("No usable answer", "no_answer", "Open the instance in a browser",
            orders=fault("cancelled_after_commit", "/table/incident/", method="PATCH")),
        Row("Access refused", "refused", "An IP address rule", orders=fault("ip_blocked", "/table/sys_user/")),
    ),
)  # fmt: skip

# Only renewing shows these, which the diagnosis does not do, so that it changes nothing; the provisioning page does.
# Where ServiceNow names no cause, neither do we.
UNNAMED = "no longer renews our access. It says the same for every cause"
TOKEN = (
    Row("Consent refused", "wrong secret or anything else", UNNAMED, {"wrong_secret": True}),
    Row("Consent refused", "wrong secret", "the client ID or the client secret is wrong",
        {"wrong_secret": True, "rfc_token_errors": True}),
    Row("Consent refused", "grant switched off", "switched off the kind of grant",
        {"grants_off": "refresh_token", "rfc_token_errors": True}),
    Row("Consent refused", "consent over", "says that this consent is over",
        {"refresh_tokens_expired": True, "rfc_token_errors": True}),
    Row("Consent refused", "read only", UNNAMED, {"user_read_only": True}),
    Row("Access token", "locked", "refuses even a fresh access token. The integration user may be locked or inactive",
        orders=user(locked_out="true")),
    Row("Consent refused", "inactive", UNNAMED, orders=user(active="false")),
)  # fmt: skip


# Shown by tickets alone: looking leaves nothing behind.
CREATING = (
    Row("Role missing", "role_missing.incident.create", "Creating records in incident is not allowed",
        {"acl_refuses": "incident.create"}),
    Row("Creating refused", "create_refused.change_request", "mandatory: Cab recommendation",
        {"mandatory_on_create": "cab_recommendation"}),
)  # fmt: skip
# No login page tells a program why it refused; what the account's record says is found beside what it may have been.
LOGIN = (
    Row("Integration user", "user_web_service_only", "is marked “Web service access only”",
        orders=user(web_service_access_only="true")),
    Row("Last authorization", "authorization_unfinished", "multi-factor authentication", {"mfa": True}),
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


def ours(page: Page, demo: Demo, table: str) -> list[dict[str, str]]:
    """The sandbox's records of this table, as they are stored."""
    told: dict[str, list[dict[str, str]]] = page.request.get(f"{demo.servicenow}/_sandbox/records").json()
    return told[table]


def found(page: Page, row: Row) -> None:
    """The finding is on the page under its name, needs no opening, and says what it should."""
    finding = page.locator(f'#findings li[data-finding="{row.key}"]').filter(has_text=row.words)
    expect(finding).to_be_visible()
    expect(finding.get_by_role("heading")).to_contain_text(row.name)


def test_a_healthy_connection_has_nothing_to_fix_and_the_page_fills_in_by_itself(desk: tuple[Page, Demo]) -> None:
    page, _ = desk
    page.goto("/servicenow/diagnosis")
    page.get_by_role("button", name="Check now").click()
    expect(page.locator("#diagnosis-result")).to_have_text("Nothing stands in the way.")
    expect(page.locator('#findings li[data-finding="token"]')).to_contain_text("In order")
    assert page.get_by_text("Needs somebody").count() == 0


@pytest.mark.parametrize("row", ALONE, ids=str)
def test_what_stands_in_front_is_found_by_name(desk: tuple[Page, Demo], row: Row) -> None:
    page, demo = desk
    with switched(page, demo, *row.orders, **row.switches):
        check_connection(page)
        found(page, row)


@pytest.mark.parametrize("rows", TOGETHER, ids=lambda rows: " ".join(row.key for row in rows))
def test_each_row_of_the_diagnosis_is_found_by_name(desk: tuple[Page, Demo], rows: tuple[Row, ...]) -> None:
    page, demo = desk
    switches = {name: value for row in rows for name, value in row.switches.items()}
    with switched(page, demo, *(order for row in rows for order in row.orders), **switches):
        check_connection(page)
        for row in rows:
            found(page, row)


@pytest.mark.parametrize("row", TOKEN, ids=str)
def test_refused_tokens_are_found_and_authorizing_fixes_them(desk: tuple[Page, Demo], row: Row) -> None:
    page, demo = desk
    key = "token_refused" if row.name == "Access token" else "consent_refused"
    with switched(page, demo, *row.orders, **row.switches):
        step = check_step(page, "Token works and can be renewed")
        expect(step).to_have_attribute("data-finding", key)
        expect(step).to_contain_text("Needs somebody")
        expect(step).to_contain_text(row.words)
        check_connection(page)
        found(page, Row(row.name, key, row.words))
    authorize(page, demo)
    expect(page.locator("#token")).to_contain_text("In order")


def test_a_token_service_that_does_not_answer_is_told_from_a_refusal(desk: tuple[Page, Demo]) -> None:
    page, demo = desk
    with switched(page, demo, *fault("hibernating", "/oauth_token.do", times=2)):
        step = check_step(page, "Token works and can be renewed")
        expect(step).to_have_attribute("data-finding", "token_service")
        expect(step).to_contain_text("Nothing is lost.")
    expect(check_step(page, "Token works and can be renewed")).to_have_attribute("data-finding", "token")


def test_an_account_that_servicenow_does_not_name_waits_for_a_person_and_is_said_to_be_unknown(
    desk: tuple[Page, Demo],
) -> None:
    page, demo = desk
    with switched(page, demo, *fault("ip_blocked", "/table/sys_user", times=3)):
        authorize(page, demo)
        check_connection(page)
        found(page, Row("Integration user", "user_unconfirmed", "could not be asked who consented"))
        page.goto("/servicenow")
        page.get_by_role("button", name="Confirm the account").click()
        check_connection(page)
        found(page, Row("Integration user", "user_unknown", "we cannot tell who consented"))
    authorize(page, demo)
    expect(page.locator("#account")).to_have_attribute("data-finding", "user")


@pytest.mark.parametrize("row", CREATING, ids=str)
def test_refused_creating_is_found_by_its_tickets_and_sending_again_ends_it(desk: tuple[Page, Demo], row: Row) -> None:
    page, demo = desk
    kind, table = ("Incident", "table_incident") if "incident" in row.key else ("Change request", "table_change")
    with switched(page, demo, **row.switches):
        share(page, kind, f"{kind} that is refused")
        ticket = page.url
        expect(page.get_by_text("This ticket is held")).to_be_visible(timeout=FOLLOWS_MS)
        check_connection(page)
        found(page, row)
        found(page, Row("Tickets", "tickets_held", "wait for a person: 1"))
    page.goto(ticket)
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.get_by_text(NUMBER).first).to_be_visible(timeout=FOLLOWS_MS)
    check_connection(page)
    expect(page.locator(f'#findings li[data-finding="{table}"]')).to_contain_text("was created")


def test_a_ticket_that_is_not_found_again_is_named(desk: tuple[Page, Demo]) -> None:
    page, demo = desk
    share(page, "Change request", "Not found again")
    expect(page.get_by_text(NUMBER).first).to_be_visible(timeout=FOLLOWS_MS)
    with switched(page, demo, unreadable_fields="correlation_id"):
        check_connection(page)
        found(page, Row("Our id", "correlation_hidden", "does not show the integration user the field correlation_id"))
    [newest] = [row for row in ours(page, demo, "change_request") if row["short_description"] == "Not found again"]
    with switched(page, demo, ("records", {"number": newest["number"], "fields": {"correlation_id": "changed"}})):
        check_connection(page)
        found(page, Row("Our id", "correlation_lost", f"{newest['number']} was not found again"))
    order(page, demo, "records", {"number": newest["number"], "fields": {"correlation_id": newest["correlation_id"]}})


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
    expect(page.locator("#diagnosis-result")).to_have_text("Nothing stands in the way.")


@pytest.mark.parametrize("row", LOGIN, ids=str)
def test_a_login_that_refuses_the_integration_user_is_named(
    desk: tuple[Page, Demo], chromium: Browser, row: Row
) -> None:
    page, demo = desk
    away = Visit(chromium, demo)
    with switched(page, demo, *row.orders, **row.switches):
        other = away.sign_in("Security Administrator", fresh=True)
        other.goto("/servicenow")
        other.get_by_role("button", name="Authorize again").click()
        log_in(other, demo, INTEGRATION_USER)
        expect(other.get_by_role("button", name="Allow")).to_have_count(0)
        check_connection(page)
        found(page, Row("Last authorization", "authorization_unfinished", "no browser has come back from ServiceNow"))
        found(page, row)
    away.close()
    authorize(page, demo)


def test_single_sign_on_is_named_and_the_side_door_leads_around_it(desk: tuple[Page, Demo], chromium: Browser) -> None:
    page, demo = desk
    away = Visit(chromium, demo)
    with switched(page, demo, sso=True):
        check_connection(page)
        found(page, Row("Single sign-on", "sso", f"{demo.servicenow}/side_door.do"))
        private = away.sign_in("Security Administrator", fresh=True)
        private.goto(f"{demo.servicenow}/side_door.do")
        log_in(private, demo, INTEGRATION_USER)
        private.goto("/servicenow")
        private.get_by_role("button", name="Authorize again").click()
        expect(private.get_by_role("main")).to_contain_text(INTEGRATION_USER)
        press(private, private.get_by_role("button", name="Allow"))
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


def test_connected_but_no_cards_is_fixed_from_the_provisioning_page(desk: tuple[Page, Demo]) -> None:
    page, demo = desk
    with switched(page, demo, acl_refuses="incident.read,change_request.read"):
        page.goto("/ticketProvisioning")
        press(page, page.get_by_role("button", name="Check all again"))
        settled(page, "/ticketProvisioning", "#steps")
        page.goto("/")
        expect(page.get_by_text("Provisioning is not complete")).to_be_visible()
        assert page.get_by_role("heading", name="ServiceNow incident management").count() == 0
        assert page.get_by_role("heading", name="ServiceNow change management").count() == 0
        page.get_by_role("link", name="See what to do").click()
        expect(page.locator("#incident")).to_contain_text("Reading records in incident is not allowed")
        expect(page.locator("#incident")).to_contain_text(f"User Administration > Users > {INTEGRATION_USER}")
    press(page, page.get_by_role("button", name="Authorize"))
    settled(page, "/ticketProvisioning", "#steps")
    page.goto("/")
    for name in ("ServiceNow incident management", "ServiceNow change management"):
        expect(page.get_by_role("heading", name=name)).to_be_visible()
