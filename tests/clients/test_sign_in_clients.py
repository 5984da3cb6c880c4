"""Clients that others wrote sign in at the sandboxes: authlib, Microsoft's MSAL, and openid-client, a certified one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from benchmarks.peer import ROOT, Done, do, environment
from tests.factories.certificates import for_loopback
from tests.factories.microsoft import MANAGER, SandboxMicrosoft, running_microsoft
from tests.factories.servicenow import CALLBACK, INTEGRATION_USER, SandboxServiceNow, consent, running_servicenow

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(
        environment() is None and not os.environ.get("CI"), reason="no .venv-clients; `make clients` lays it"
    ),
]
needs_node = pytest.mark.skipif(
    not (ROOT / "node_modules" / "openid-client").exists() and not os.environ.get("CI"), reason="`make setup` lays it"
)
SCOPE = "openid profile offline_access"


@pytest.fixture(scope="module")
def servicenow() -> Iterator[SandboxServiceNow]:
    with running_servicenow() as running:
        yield running


@pytest.fixture(scope="module")
def entra() -> Iterator[SandboxMicrosoft]:
    with running_microsoft() as running:
        yield running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return for_loopback(tmp_path_factory.mktemp("tls") / "loopback.pem")


@pytest.fixture(scope="module")
def secure_entra(certificate: Path) -> Iterator[SandboxMicrosoft]:
    """MSAL speaks to https only."""
    with running_microsoft(certificate=certificate) as running:
        yield running


def good(done: Done) -> list[dict[str, Any]]:
    assert (done.failures, done.told) == (0, [])
    return done.results


def pick(url: str, verify: Any = True) -> httpx.Response:
    """What a browser does at Entra with this authorization address: pick the manager's account."""
    asked = urlsplit(url)
    address = asked._replace(path=asked.path.replace("authorize", "pick"), query="").geturl()
    return httpx.post(address, data={**dict(parse_qsl(asked.query)), "oid": MANAGER.oid}, verify=verify)


@pytest.mark.parametrize(
    ("auth_method", "verifier"),
    [("client_secret_basic", ""), ("client_secret_post", "v" * 64), ("none", "v" * 64)],
    ids=["basic", "secret and PKCE in the body", "public client with PKCE"],
)
def test_authlib_connects_to_servicenow_and_works_on_tickets(
    servicenow: SandboxServiceNow, auth_method: str, verifier: str
) -> None:
    servicenow.instance.reset()
    servicenow.control("switches", public_client=auth_method == "none", properties_readable=False)
    filled = servicenow.control("fill", table="incident", count=257, fields={"correlation_display": "pages"})
    job = {
        "url": servicenow.url, "authorization_endpoint": f"{servicenow.url}/oauth_auth.do",
        "token_endpoint": f"{servicenow.url}/oauth_token.do", "client_id": servicenow.settings.client_id,
        "client_secret": "" if auth_method == "none" else servicenow.settings.client_secret, "redirect_uri": CALLBACK,
        "auth_method": auth_method, "scope": "useraccount", "verifier": verifier,
    }  # fmt: skip
    (asked,) = good(do("authlib", what="authorize", **job))
    start = asked["url"].removeprefix(servicenow.url)
    with servicenow.browser() as browser:
        answer = consent(browser, start, INTEGRATION_USER, servicenow.settings.password)
    first, again = good(do("authlib", what="fetch", state=asked["state"], callback=answer.headers["location"], **job))
    assert again["refresh_token"] == first["refresh_token"]
    query = {"query": "correlation_display=pages", "closed": "sys_properties"}
    (worked,) = good(do("authlib", what="work_on_tickets", token=again, **query, **job))
    assert worked == {"found": len(filled["sys_ids"]), "state": "2", "statuses": [404, 403]}
    servicenow.control("clock", seconds=1801)
    assert good(do("authlib", what="expired", token=again, **job)) == [{"status": 200, "refreshed": 1}]


@pytest.mark.parametrize("auth_method", ["client_secret_basic", "client_secret_post"])
def test_authlib_signs_in_at_entra_and_refreshes(entra: SandboxMicrosoft, auth_method: str) -> None:
    base = f"{entra.url}/{entra.settings.tenant_id}/oauth2/v2.0"
    job = {
        "authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token",
        "client_id": entra.settings.client_id, "client_secret": entra.settings.client_secret, "scope": SCOPE,
        "redirect_uri": entra.settings.redirect_uris[0], "auth_method": auth_method,
    }  # fmt: skip
    (asked,) = good(do("authlib", what="authorize", **job))
    callback = pick(asked["url"]).headers["location"]
    first, again = good(do("authlib", what="fetch", state=asked["state"], callback=callback, **job))
    assert first["id_token"]
    assert again["id_token"]
    assert again["refresh_token"] != first["refresh_token"]


def msal_job(entra: SandboxMicrosoft, certificate: Path, **changes: Any) -> dict[str, Any]:
    return {
        "url": entra.url, "tenant": entra.settings.tenant_id, "client_id": entra.settings.client_id,
        "client_secret": entra.settings.client_secret, "certificate": str(certificate),
        "redirect_uri": entra.settings.redirect_uris[0], "scopes": ["User.Read"], "response_mode": "query",
        "prompt": "select_account",
    } | changes  # fmt: skip


def test_msal_signs_in_and_refreshes_silently(secure_entra: SandboxMicrosoft, certificate: Path) -> None:
    job = msal_job(secure_entra, certificate)
    (flow,) = good(do("MSAL", what="authorize", **job))
    callback = pick(flow["auth_uri"], verify=_trusting(certificate)).headers["location"]
    answer = dict(parse_qsl(urlsplit(callback).query))
    first, again = good(do("MSAL", what="fetch", flow=flow, answer=answer, **job))
    assert first["id_token_claims"]["oid"] == MANAGER.oid
    assert (again["username"], again["token_source"]) == (MANAGER.email, "identity_provider")
    assert again["access_token"]


def test_msal_tells_a_cancel_as_the_error_it_is(secure_entra: SandboxMicrosoft, certificate: Path) -> None:
    job = msal_job(secure_entra, certificate)
    (flow,) = good(do("MSAL", what="authorize", **job))
    asked = urlsplit(flow["auth_uri"])
    address = asked._replace(path=asked.path.replace("authorize", "pick"), query="").geturl()
    form = {**dict(parse_qsl(asked.query)), "answer": "cancel"}
    back = httpx.post(address, data=form, verify=_trusting(certificate)).headers["location"]
    done = do("MSAL", what="fetch", flow=flow, answer=dict(parse_qsl(urlsplit(back).query)), **job)
    told = done.results[0]
    assert (told["error"], told["error_description"].split(":")[0]) == ("access_denied", "AADSTS65004")


def test_msal_as_an_application_reads_graph_to_the_end(secure_entra: SandboxMicrosoft, certificate: Path) -> None:
    job = msal_job(secure_entra, certificate)
    (read,) = good(do("MSAL", what="as_application", **job))
    assert read == {"found": len(secure_entra.tenant.profiles), "missing": 404}
    (told,) = good(do("MSAL", what="as_application", **job | {"client_secret": "wrong"}))
    assert (told["error"], told["error_codes"]) == ("invalid_client", [7000215])


@needs_node
@pytest.mark.parametrize("pkce", [True, False], ids=["PKCE", "no PKCE"])
@pytest.mark.parametrize("basic", [True, False], ids=["Basic", "body"])
def test_openid_client_accepts_every_answer_of_a_sign_in(entra: SandboxMicrosoft, pkce: bool, basic: bool) -> None:
    job = openid_job(entra, pkce=pkce, basic=basic)
    (asked,) = good(do("openid-client", what="authorize", **job))
    callback = pick(asked["address"]).headers["location"]
    (person,) = good(do("openid-client", what="fetch", callback=callback, **job | asked))
    assert person == {"name": MANAGER.name, "oid": MANAGER.oid, "again": MANAGER.oid}


@needs_node
def test_openid_client_is_told_login_required_and_a_wrong_nonce(entra: SandboxMicrosoft) -> None:
    silent = openid_job(entra, more={"prompt": "none"})
    (asked,) = good(do("openid-client", what="authorize", **silent))
    callback = httpx.get(asked["address"]).headers["location"]
    refused = do("openid-client", what="fetch", callback=callback, **silent | asked)
    assert "login_required" in refused.told[0]
    job = openid_job(entra)
    (asked,) = good(do("openid-client", what="authorize", **job))
    callback = pick(asked["address"]).headers["location"]
    changed = job | asked | {"nonce": secrets.token_hex(8)}
    told = do("openid-client", what="fetch", callback=callback, **changed).told[0]
    assert "OAUTH_JWT_CLAIM_COMPARISON_FAILED" in told


def openid_job(entra: SandboxMicrosoft, **changes: Any) -> dict[str, Any]:
    return {
        "url": entra.url, "tenant": entra.settings.tenant_id, "client_id": entra.settings.client_id,
        "client_secret": entra.settings.client_secret, "redirect_uri": entra.settings.redirect_uris[0], "scope": SCOPE,
        "pkce": True, "basic": False, "more": {},
    } | changes  # fmt: skip


def _trusting(certificate: Path) -> Any:
    context = httpx.create_ssl_context()
    context.load_verify_locations(certificate)
    return context
