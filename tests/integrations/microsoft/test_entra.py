"""What Entra ID may legitimately answer, with its keys and clocks, and what may stand in its place."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from app.integrations.http.errors import (
    Ambiguous,
    Forbidden,
    InvalidResponse,
    RemoteError,
    ServerError,
    Unauthorized,
    Unreachable,
)
from app.integrations.http.http_types import RemoteResponse, Request
from app.integrations.microsoft.entra import EntraClient, SignInEnded
from app.integrations.microsoft.graph import GraphClient
from app.integrations.microsoft.schemas import Identity, RoleClaims
from tests.factories.scripted import answer

AUTHORITY, TENANT, CLIENT = "https://login.microsoftonline.com", "aaaaaaaa-0000-0000-0000-000000000000", "client"
OLD = RSAKey.generate_key(2048, {"use": "sig", "kid": "old"})
NEW = RSAKey.generate_key(2048, {"use": "sig", "kid": "new"})
HTML = RemoteResponse(200, {"content-type": "text/html"}, b"<html>Please sign in to the proxy</html>")
MINUTE = 60


class Directory:
    """Entra ID with scripted keys and answers. `on_token` and `on_discovery` replace what it says at these endpoints."""

    def __init__(self, key: RSAKey = OLD, **claims: Any) -> None:
        now = int(time.time())
        usual: dict[str, Any] = {
            "iss": f"{AUTHORITY}/{TENANT}/v2.0", "aud": CLIENT, "nonce": "n", "tid": TENANT, "oid": "person",
            "iat": now, "nbf": now, "exp": now + 3600,
        }  # fmt: skip
        self.claims, self.key = usual | claims, key
        self.keys: list[Any] = [key.as_dict(private=False)]
        self.on_token: RemoteResponse | None = None
        self.on_discovery: RemoteResponse | Exception | None = None
        self.asked: list[str] = []
        transport: Any = self
        self.client = EntraClient(
            transport, authority=AUTHORITY, tenant_id=TENANT, client_id=CLIENT, client_secret="made up"
        )
        self.graph = GraphClient(
            transport, graph_url="https://graph.microsoft.com", authority=AUTHORITY, tenant_id=TENANT,
            client_id=CLIENT, client_secret="made up",
        )  # fmt: skip

    async def send(self, request: Request) -> RemoteResponse:
        self.asked.append(request.url.rpartition("/")[2])
        if request.url.endswith("openid-configuration"):
            if isinstance(self.on_discovery, Exception):
                raise self.on_discovery
            names = ("authorization_endpoint", "token_endpoint", "end_session_endpoint")
            found = {"issuer": f"{AUTHORITY}/{TENANT}/v2.0", "jwks_uri": f"{AUTHORITY}/keys"}
            return self.on_discovery or answer(200, found | {name: f"{AUTHORITY}/{name}" for name in names})
        if request.url.endswith("/keys"):
            return answer(200, {"keys": self.keys})
        token = jwt.encode({"alg": "RS256", "kid": self.key.kid}, self.claims, self.key)
        return self.on_token or answer(200, {"id_token": token})

    async def redeem(self) -> Identity:
        return await self.client.redeem(code="c", redirect_uri="https://here/", code_verifier="v", nonce="n")

    async def read_graph(self) -> None:
        async for _ in self.graph.scores(top=1):
            pass


def unreachable(why: str) -> Unreachable:
    error = Unreachable()
    error.why = why
    return error


def refusal(number: int, error: str, status: int = 400) -> RemoteResponse:
    return answer(status, {"error": error, "error_description": f"AADSTS{number}: …", "error_codes": [number]})


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (9002327, "invalid_request", "single-page application"),
        (50011, "invalid_client", "adds PUBLIC_URL followed by /sign-in/callback"),
        (700025, "invalid_client", "platform Web"),
        (7000215, "invalid_client", "Value, not its Secret ID"),
        (7000222, "invalid_client", "makes a new one"),
        (90002, "invalid_request", "ENTRA_TENANT_ID"),
    ],
)
@pytest.mark.fact("microsoft-graph 2.3")
async def test_a_refused_code_names_what_an_administrator_has_to_change(number: int, error: str, words: str) -> None:
    directory = Directory()
    directory.on_token = refusal(number, error, 401 if error == "invalid_client" else 400)
    with pytest.raises(Forbidden, match=words) as refused:
        await directory.redeem()
    assert f"AADSTS{number}" in str(refused.value)
    assert "sign in again" not in str(refused.value).lower()


async def test_a_code_that_is_over_is_the_persons_to_repeat() -> None:
    directory = Directory()
    directory.on_token = refusal(54005, "invalid_grant")
    with pytest.raises(Unauthorized, match="Sign in again"):
        await directory.redeem()


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (700016, "unauthorized_client", "ENTRA_CLIENT_ID and ENTRA_TENANT_ID"),
        (90002, "invalid_request", "ENTRA_TENANT_ID"),
        (7000112, "unauthorized_client", "Enabled for users to sign-in"),
        (53003, "invalid_grant", "workload identities"),
        (7000215, "invalid_client", "Value, not its Secret ID"),
        (12345, "something_new", "gave this application no token"),
    ],
)
@pytest.mark.fact("microsoft-graph 2.3")
async def test_an_import_that_fails_at_the_token_service_says_what_fixes_it(
    number: int, error: str, words: str
) -> None:
    directory = Directory()
    directory.on_token = refusal(number, error)
    with pytest.raises(RemoteError, match=words) as refused:
        await directory.read_graph()
    assert f"AADSTS{number}" in str(refused.value)
    assert "sign in again" not in str(refused.value).lower()


async def test_a_passing_trouble_of_microsofts_is_tried_again() -> None:
    directory = Directory()
    for directory.on_token in (refusal(90033, "temporarily_unavailable"), answer(503, "<html>"), refusal(50033, "x")):
        with pytest.raises(ServerError, match="few minutes"):
            await directory.redeem()
        with pytest.raises(ServerError, match="nothing was read") as refused:
            await directory.read_graph()
        assert refused.value.retry.allowed


@pytest.mark.fact("microsoft-graph 2.3")
async def test_a_tenant_that_discovery_does_not_know_is_told_with_its_setting() -> None:
    directory = Directory()
    directory.on_discovery = refusal(90002, "invalid_tenant")
    with pytest.raises(Forbidden, match=r"AADSTS90002.*ENTRA_TENANT_ID"):
        await directory.redeem()


@pytest.mark.parametrize("where", ["on_discovery", "on_token"])
@pytest.mark.parametrize("status", [200, 403])
async def test_a_proxys_web_page_is_told_as_one(where: str, status: int) -> None:
    directory = Directory()
    setattr(directory, where, RemoteResponse(status, HTML.headers, HTML.body))
    with pytest.raises(RemoteError, match="proxy may stand in between") as refused:
        await directory.redeem()
    assert refused.value.code == "microsoft.not_microsoft"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (Unreachable(), "no connection could be made. You are not signed in. Try again in a minute"),
        (unreachable("tls"), "could not prove that it is itself"),
        (Ambiguous(), "broke before an answer came, so you are not signed in"),
    ],
    ids=["unreachable", "tls", "broken"],
)
async def test_while_microsoft_cannot_be_reached_nothing_is_promised_that_does_not_happen(
    error: RemoteError, says: str
) -> None:
    directory = Directory()
    directory.on_discovery = error
    with pytest.raises(type(error), match=says) as told:
        await directory.redeem()
    assert "we will" not in str(told.value).lower()


@pytest.mark.parametrize("apart", [-4 * MINUTE, 4 * MINUTE])
async def test_clocks_may_differ_by_nearly_five_minutes(apart: int) -> None:
    now = int(time.time()) + apart
    assert (await Directory(iat=now, nbf=now, exp=now + 3600).redeem()).oid == "person"


@pytest.mark.parametrize(("iat", "exp"), [(6 * MINUTE, 66 * MINUTE), (-70 * MINUTE, -6 * MINUTE)])
async def test_a_clock_that_is_further_off_is_named(iat: int, exp: int) -> None:
    now = int(time.time())
    with pytest.raises(Unauthorized, match="server’s clock"):
        await Directory(iat=now + iat, nbf=now + iat, exp=now + exp).redeem()


async def test_case_makes_no_other_tenant() -> None:
    capitals: dict[str, Any] = {"tid": TENANT.upper(), "iss": f"{AUTHORITY}/{TENANT.upper()}/v2.0"}
    assert (await Directory(**capitals).redeem()).tid == TENANT
    with pytest.raises(Unauthorized, match="another tenant"):
        await Directory(tid=TENANT.replace("a", "b")).redeem()


async def test_a_key_that_was_rolled_over_is_fetched_once_and_not_in_a_stream() -> None:
    directory = Directory()
    await directory.redeem()
    directory.key, directory.keys = NEW, [OLD.as_dict(private=False), NEW.as_dict(private=False)]
    assert (await directory.redeem()).oid == "person"
    directory.key = RSAKey.generate_key(2048, {"kid": "of another"})
    directory.asked.clear()
    for _ in range(3):
        with pytest.raises(Unauthorized, match="could not be verified"):
            await directory.redeem()
    assert "keys" not in directory.asked


@pytest.mark.parametrize(
    "others",
    [
        [{"kty": "EC", "crv": "unheard of", "kid": "x"}, {"kty": "RSA", "kid": "half"}, "no key", None],
        [ECKey.generate_key("P-256").as_dict(private=False)],
        [{"kty": "post-quantum", "kid": "y"}],
    ],
    ids=["broken", "of another kind", "unknown"],
)
async def test_keys_that_cannot_be_used_hide_no_other(others: list[Any]) -> None:
    directory = Directory()
    directory.keys = [*others, OLD.as_dict(private=False)]
    assert "alg" not in directory.keys[-1]
    assert (await directory.redeem()).oid == "person"
    directory = Directory()
    directory.keys = [other for other in others if not isinstance(other, dict)]
    with pytest.raises(InvalidResponse, match="keys are not readable"):
        await directory.redeem()


async def test_people_get_in_with_the_known_keys_while_discovery_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    directory = Directory()
    await directory.redeem()
    directory.on_discovery = Unreachable()
    # Not `time.monotonic` itself: the event loops of other threads count by it, and their timers would be hours late.
    hours_later = SimpleNamespace(monotonic=lambda: time.monotonic() + 2 * 3600)
    monkeypatch.setattr("app.integrations.microsoft.entra.time", hours_later)
    assert (await directory.redeem()).oid == "person"
    hours_later.monotonic = lambda: time.monotonic() + 30 * 3600
    with pytest.raises(Unreachable):
        await directory.redeem()


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, RoleClaims.ABSENT),
        ({"groups": ["a"] * 150}, RoleClaims.ABSENT),
        ({"wids": []}, RoleClaims.SENT),
        ({"wids": ["b79fbf4d-3ef9-4689-8143-76b194e85509"]}, RoleClaims.SENT),
        ({"roles": ["SecurityCenter.View"]}, RoleClaims.SENT),
        ({"_claim_names": {"groups": "src1"}}, RoleClaims.OVERAGE),
        ({"hasgroups": True}, RoleClaims.OVERAGE),
        ({"hasgroups": True, "wids": ["b79fbf4d-3ef9-4689-8143-76b194e85509"]}, RoleClaims.SENT),
    ],
    ids=str,
)
@pytest.mark.fact("microsoft-graph 2.3", "microsoft-graph edge-54")
async def test_an_absent_role_claim_is_told_from_an_empty_one(claims: dict[str, Any], expected: RoleClaims) -> None:
    assert (await Directory(**claims).redeem()).role_claims == expected


async def test_role_template_ids_are_read_in_any_case() -> None:
    [wid] = (await Directory(wids=["194AE4CB-B126-40B2-BD5B-6091B380977D"]).redeem()).wids
    assert wid == "194ae4cb-b126-40b2-bd5b-6091b380977d"


@pytest.mark.parametrize("issuer", ["https://evil.example/v2.0", f"https://evil.example/{TENANT}/v2.0", AUTHORITY, "x"])
async def test_discovery_that_names_another_issuer_is_not_believed(issuer: str) -> None:
    """The document and the token agree with one another, and not with where the document was asked for."""
    directory = Directory(iss=issuer)
    names = ("authorization_endpoint", "token_endpoint", "end_session_endpoint")
    found = {"issuer": issuer, "jwks_uri": f"{AUTHORITY}/keys"} | {name: f"{AUTHORITY}/{name}" for name in names}
    directory.on_discovery = answer(200, found)
    with pytest.raises(InvalidResponse, match="names itself otherwise"):
        await directory.redeem()
    assert set(directory.asked) == {"openid-configuration"}  # Neither keys nor a token from there.


@pytest.mark.parametrize(
    ("claims", "accepted"),
    [
        ({"azp": CLIENT}, True),
        ({"aud": [CLIENT]}, True),
        ({"aud": [CLIENT, "other"], "azp": CLIENT}, True),
        ({"azp": "other"}, False),
        ({"aud": ["other", CLIENT], "azp": "other"}, False),
        ({"aud": ["other", CLIENT]}, False),
        ({"aud": [CLIENT], "azp": None}, False),
        ({"aud": "other", "azp": CLIENT}, False),
        ({"aud": []}, False),
    ],
    ids=str,
)
async def test_a_token_is_for_us_alone(claims: dict[str, Any], accepted: bool) -> None:
    directory = Directory(**claims)
    if accepted:
        assert (await directory.redeem()).oid == "person"
    else:
        with pytest.raises(Unauthorized, match="could not be verified"):
            await directory.redeem()


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"iat": -365 * 24 * 3600}, "server’s clock"),
        ({"iat": -66 * MINUTE}, "server’s clock"),
        ({"exp": 25 * 3600}, "could not be verified"),
        ({"exp": 10**30}, "could not be verified"),
        ({"exp": float("inf")}, "could not be verified"),
        ({"exp": float("nan")}, "."),
        ({"iat": float("nan")}, "."),
        ({"iat": float("-inf")}, "."),
    ],
    ids=str,
)
async def test_times_that_no_fresh_token_has_are_refused(claims: dict[str, float], words: str) -> None:
    changed: dict[str, Any] = {name: int(time.time()) + value for name, value in claims.items()}
    with pytest.raises(Unauthorized, match=words):
        await Directory(**changed).redeem()


async def test_a_refresh_token_brings_the_same_person_without_a_nonce() -> None:
    directory = Directory(wids=["b79fbf4d-3ef9-4689-8143-76b194e85509"])
    del directory.claims["nonce"]
    assert (await directory.client.refresh(refresh_token="r", oid="person")).wids
    with pytest.raises(Unauthorized, match="could not be verified") as refused:
        await directory.client.refresh(refresh_token="r", oid="another")
    assert not isinstance(refused.value, SignInEnded)


@pytest.mark.parametrize(
    ("number", "error", "ended"),
    [
        (50057, "invalid_grant", True),
        (50173, "invalid_grant", True),
        (50076, "interaction_required", True),
        (65001, "consent_required", True),
        (7000215, "invalid_client", False),
        (700016, "unauthorized_client", False),
        (90033, "temporarily_unavailable", False),
        (90033, "invalid_grant", False),
    ],
)
async def test_only_what_concerns_the_person_ends_a_sign_in(number: int, error: str, ended: bool) -> None:
    directory = Directory()
    directory.on_token = refusal(number, error)
    with pytest.raises(RemoteError) as refused:
        await directory.client.refresh(refresh_token="r", oid="person")
    assert isinstance(refused.value, SignInEnded) == ended


@pytest.mark.parametrize("error", [[], {}, {"a": []}, None, 1e308, True, "invalid_grant" * 100])
async def test_an_error_of_another_kind_than_a_word_ends_no_sign_in(error: object) -> None:
    directory = Directory()
    directory.on_token = answer(400, {"error": error, "error_codes": error, "error_description": error})
    with pytest.raises(RemoteError) as refused:
        await directory.client.refresh(refresh_token="r", oid="person")
    assert not isinstance(refused.value, SignInEnded)


async def test_discovery_is_read_once() -> None:
    directory = Directory()
    await directory.redeem()
    assert len([url for url in directory.asked if url.endswith("openid-configuration")]) == 1
