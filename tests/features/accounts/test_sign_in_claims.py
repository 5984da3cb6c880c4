"""Which of Entra ID's tokens let a person in, and with which role."""

from __future__ import annotations

import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import select

from app.core.database import Database
from app.features.accounts.models import Person
from app.features.accounts.permissions import role_of
from app.features.accounts.sign_in import _remember
from app.integrations.http.errors import RemoteError, Unauthorized
from app.integrations.http.http_types import RemoteResponse
from app.integrations.microsoft.entra import EntraClient
from app.integrations.microsoft.schemas import Identity
from tests.factories.scripted import answer
from tests.factories.system import System

AUTHORITY, TENANT, CLIENT = "https://login.microsoftonline.com", "aaaaaaaa-0000-0000-0000-000000000000", "client"
ISSUER = f"{AUTHORITY}/{TENANT}/v2.0"
KEY = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": "one"})


class Directory:
    """Entra ID with one key, that issues the claims it is given."""

    def __init__(self, claims: dict[str, Any], issuer: str = ISSUER) -> None:
        now = int(time.time())
        usual: dict[str, Any] = {
            "iss": ISSUER, "aud": CLIENT, "nonce": "n", "tid": TENANT, "oid": "person", "iat": now, "nbf": now, "exp": now + 3600,
        }  # fmt: skip
        full = {name: value for name, value in (usual | claims).items() if value is not ...}
        self.token = jwt.encode({"alg": "RS256", "kid": "one"}, full, KEY)
        self.issuer = issuer

    async def send(self, request: Any) -> RemoteResponse:
        if request.url.endswith("openid-configuration"):
            base = f"{AUTHORITY}/{TENANT}"
            names = ("authorization_endpoint", "token_endpoint", "end_session_endpoint")
            return answer(
                200, {"issuer": self.issuer, "jwks_uri": f"{base}/keys"} | {name: f"{base}/{name}" for name in names}
            )
        if request.url.endswith("/keys"):
            return answer(200, {"keys": [KEY.as_dict(private=False)]})
        return answer(200, {"id_token": self.token})


async def redeem(claims: dict[str, Any], issuer: str = ISSUER) -> Identity:
    transport: Any = Directory(claims, issuer)
    client = EntraClient(transport, authority=AUTHORITY, tenant_id=TENANT, client_id=CLIENT, client_secret="made up")
    return await client.redeem(code="c", redirect_uri="https://here/", code_verifier="v", nonce="n")


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"tid": "bbbbbbbb-0000-0000-0000-000000000000"}, "tenant"),
        ({"tid": ...}, "tenant"),
        ({"oid": ...}, "oid"),
        ({"iss": f"{AUTHORITY}/bbbbbbbb-0000-0000-0000-000000000000/v2.0"}, "issuer"),
        ({"iss": f"{AUTHORITY}/{{tenantid}}/v2.0"}, "issuer"),
        ({"iss": f"https://sts.windows.net/{TENANT}/"}, "issuer"),
        ({"aud": "another application"}, "aud"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": ...}, "nonce"),
        ({"exp": 1}, "expired"),
        ({"exp": ...}, "exp"),
        ({"iat": 9_999_999_999}, "iat"),
    ],
    ids=str,
)
@pytest.mark.fact("microsoft-graph edge-54")
async def test_tokens_of_others_or_without_what_counts_are_refused(claims: dict[str, Any], why: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        await redeem(claims)
    assert refused.value.why == why


@pytest.mark.fact("microsoft-graph edge-54")
async def test_an_issuer_template_is_refused() -> None:
    """What the endpoints for several tenants say; ours is the one of a single tenant."""
    with pytest.raises(RemoteError):
        await redeem({}, issuer=f"{AUTHORITY}/{{tenantid}}/v2.0")


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"roles": []},
        {"roles": "SecurityCenter.Manage"},
        {"_claim_names": {"groups": "src1"}, "hasgroups": True},
        {"wids": None},
    ],
    ids=str,
)
@pytest.mark.fact("microsoft-graph edge-54")
async def test_without_roles_or_with_too_many_groups_there_is_no_role(system: System, claims: dict[str, Any]) -> None:
    identity = await redeem(claims)
    assert role_of(identity.roles | identity.wids, system.resources.config) is None


@pytest.mark.fact("microsoft-graph edge-54")
async def test_a_guest_is_a_person_like_others_and_needs_a_role() -> None:
    identity = await redeem({"idp": "https://sts.windows.net/other/", "preferred_username": "guest@other.example"})
    assert (identity.tid, identity.oid, identity.email) == (TENANT, "person", "guest@other.example")
    assert identity.roles == identity.wids == frozenset()


@pytest.mark.fact("microsoft-graph edge-54")
async def test_people_are_known_by_tenant_and_object_id_not_by_address(database: Database) -> None:
    for email in ("before@contoso.example", "after@contoso.example"):
        identity = Identity("oid", TENANT, "Name", email, frozenset(), frozenset())
        async with database.transaction() as session:
            await _remember(session, identity)
    async with database.transaction() as session:
        [person] = (await session.execute(select(Person))).scalars()
        await _remember(session, Identity("oid", "another tenant", "Name", person.email, frozenset(), frozenset()))
    async with database.transaction() as session:
        assert len((await session.execute(select(Person))).scalars().all()) == 2
    assert person.email == "after@contoso.example"


@pytest.mark.fact("microsoft-graph edge-55")
async def test_the_name_of_the_session_at_entra_id_is_kept() -> None:
    assert (await redeem({"sid": "session-1"})).sid == "session-1"


async def test_claims_of_any_size_and_kind_become_bounded_texts() -> None:
    odd = await redeem({
        "name": "Lee\0" + "x" * 3_000, "email": ["a"], "preferred_username": "lee\u202e@contoso.example",
        "roles": [f"role-{number}" for number in range(500)] + [{"a": 1}], "wids": "no list", "sid": "s" * 500,
    })  # fmt: skip
    assert (odd.name[:4], len(odd.name), odd.email) == ("Leex", 255, "lee@contoso.example")
    assert (len(odd.roles), odd.wids, odd.sid) == (200, frozenset(), "")


@pytest.mark.parametrize("oid", ["x" * 5_000, ["a"], {"a": 1}, ""])
async def test_an_id_that_is_none_signs_no_one_in(oid: object) -> None:
    with pytest.raises(RemoteError):
        await redeem({"oid": oid})
