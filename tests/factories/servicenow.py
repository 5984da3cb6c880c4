"""The ServiceNow sandbox for tests, and a browser that consents in it. Secrets are made for each run."""

from __future__ import annotations

import re
import secrets
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from sandbox.request_journal import JournalEntry
from sandbox.servicenow.application import create_app
from sandbox.servicenow.instance import SandboxInstance
from sandbox.servicenow.instance_settings import ServiceNowSandbox
from tests.factories.servers import serve

CALLBACK = "http://127.0.0.1:1/servicenow/callback"
INTEGRATION_USER = "m365.integration"
# Made once: loading the certificates for every client would take longer than most tests.
CONTEXT = ssl.create_default_context()
# Nothing takes that long, unless the machine is busy with other things.
PATIENCE = 60


class ServiceNowCalls:
    """Calls to a running sandbox over HTTP, in this or another process."""

    url: str

    @property
    def settings(self) -> ServiceNowSandbox:
        """Its client and passwords."""
        raise NotImplementedError

    def authorize_path(self, **changes: str) -> str:
        """An authorization request, with some parameters changed; an empty value leaves one out."""
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.settings.redirect_uris[0],
            "state": "abc123",
        } | changes
        return f"/oauth_auth.do?{urlencode({name: value for name, value in asked.items() if value})}"

    def browser(self) -> httpx.Client:
        """A new browser without cookies."""
        return httpx.Client(base_url=self.url, follow_redirects=True, verify=CONTEXT, timeout=PATIENCE)

    def code(self, user: str = INTEGRATION_USER, **changes: str) -> str:
        """Log in, allow, and give the code that is sent back."""
        with self.browser() as browser:
            answer = consent(browser, self.authorize_path(**changes), user, self.settings.password)
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]

    def grant(self, **form: str) -> httpx.Response:
        """Call the token endpoint."""
        credentials = {"client_id": self.settings.client_id, "client_secret": self.settings.client_secret}
        return httpx.post(f"{self.url}/oauth_token.do", data=credentials | form, verify=CONTEXT, timeout=PATIENCE)

    def tokens(self, user: str = INTEGRATION_USER, code: str = "") -> dict[str, Any]:
        """Tokens for a user, by the whole code flow, or for a code that is there already."""
        code = code or self.code(user)
        answer = self.grant(grant_type="authorization_code", code=code, redirect_uri=self.settings.redirect_uris[0])
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def api(self, user: str = INTEGRATION_USER) -> httpx.Client:
        """A client with a token in its header that keeps no cookies."""
        headers = {"Authorization": f"Bearer {self.tokens(user)['access_token']}", "Accept": "application/json"}
        address = f"{self.url}/api/now/v2/table"
        return httpx.Client(base_url=address, headers=headers, verify=CONTEXT, timeout=PATIENCE)

    def control(self, what: str, /, **order: Any) -> dict[str, Any]:
        """Call the control API; fails when the sandbox refuses."""
        answer = httpx.post(f"{self.url}/_sandbox/{what}", json=order, verify=CONTEXT, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def fault(self, name: str, **more: Any) -> None:
        """Order a fault: see `sandbox.faults.Fault` for count, probability and place."""
        self.control("faults", name=name, **more)


@dataclass
class SandboxServiceNow(ServiceNowCalls):
    """A sandbox that runs in this process, so that tests can read its store."""

    url: str
    instance: SandboxInstance

    @property
    def settings(self) -> ServiceNowSandbox:
        """Its client and passwords."""
        return self.instance.settings

    def consented(self, user: str = INTEGRATION_USER) -> str:
        """A code as the consent page makes one, without walking through the pages."""
        code, account = secrets.token_urlsafe(64), self.instance.store.find("sys_user", user_name=user)
        assert account is not None, f"there is no {user}"
        redirect_uri = self.settings.redirect_uris[0]
        self.instance.issue(
            "code", code, account["sys_id"], self.settings.client_id, 60, redirect_uri=redirect_uri, challenge=""
        )
        return code

    def records(self, table: str = "incident") -> list[dict[str, str]]:
        """The stored rows, without access rules."""
        return list(self.instance.store.rows(table))

    def calls(self, method: str = "", path: str = "", table: str = "") -> list[JournalEntry]:
        """The requests received so far, oldest first."""
        return [
            entry
            for entry in self.instance.journal
            if (not method or entry.method == method) and path in entry.path and (not table or entry.table == table)
        ]


def make(api: httpx.Client, table: str = "incident", **fields: Any) -> dict[str, Any]:
    """A record made through the Table API."""
    answer = api.post(f"/{table}", json={"short_description": "made by a test"} | fields)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["result"]
    return found


def rows(api: httpx.Client, table: str = "incident", **params: str) -> list[dict[str, Any]]:
    """A list from the Table API."""
    answer = api.get(f"/{table}", params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["result"]
    return found


def consent(browser: httpx.Client, start: str, user: str, password: str, decision: str = "authorize") -> httpx.Response:
    """From the authorization request to the redirect that carries the decision, which is not followed."""
    page = log_in(browser, start, user, password)
    form = {name: field(page.text, name) for name in ("sysparm_ck", "query")}
    data = {**form, "oauth_auth_check_action": decision}
    return browser.post(page.url.join("/oauth_auth.do"), data=data, follow_redirects=False)


def log_in(browser: httpx.Client, start: str, user: str, password: str) -> httpx.Response:
    """From any address that leads to the local login form, through it."""
    page = browser.get(start)
    form = {"goto": field(page.text, "goto"), "user_name": user, "user_password": password}
    return browser.post(page.url.join("/login.do"), data=form)


def field(html: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found, f"no field {name} in {html[:400]}"
    return found[1].replace("&amp;", "&").replace("&#39;", "'")


@contextmanager
def running_servicenow(redirect_uri: str = CALLBACK, **settings: Any) -> Iterator[SandboxServiceNow]:
    """A sandbox with fresh secrets. Each is an instance of its own: run two for a second one on another address."""
    made = ServiceNowSandbox(
        client_id=secrets.token_hex(16),
        client_secret=secrets.token_urlsafe(16),
        redirect_uris=(redirect_uri,),
        password=secrets.token_urlsafe(12),
        **settings,
    )
    app = create_app(made)
    with serve(app) as url:
        yield SandboxServiceNow(url, app.instance)
