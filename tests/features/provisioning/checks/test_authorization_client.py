"""The client's record in the Application Registry, evaluated by its fields."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.features.provisioning.checks.authorization import evaluate_client
from app.features.provisioning.finding import State
from app.integrations.servicenow.probes import OAuthClient
from tests.factories.connecting import connections, said
from tests.factories.provisioning import check_context, diagnose, provisioned
from tests.factories.system import System

pytestmark = pytest.mark.thorough


def client_record(system: System, **changes: str) -> None:
    """Change the client's record, as its administrator would."""
    store = system.servicenow.instance.store
    record = store.find("oauth_entity", client_id=system.servicenow.settings.client_id)
    assert record is not None
    store.put("oauth_entity", record | changes)


async def test_the_clients_record_is_evaluated_by_its_fields(system: System) -> None:
    await system.connect()
    client_record(system, redirect_url="https://elsewhere.example/servicenow/callback")
    finding = (await diagnose(system))["redirect_mismatch"]
    assert finding.is_problem
    assert "The record holds https://elsewhere.example/servicenow/callback" in str(finding.meaning)
    assert "http://security-center.test/servicenow/callback" in str(finding.advice)
    client_record(system, redirect_url="http://security-center.test/servicenow/callback/")
    assert (await diagnose(system))["redirect_mismatch"].is_problem  # A slash at its end is another address.
    client_record(system, active="false")
    found = await diagnose(system)
    assert found["client_inactive"].is_problem
    assert "Tick Active" in str(found["client_inactive"].advice)
    assert found["client_unknown"].is_problem


@pytest.mark.fact("servicenow 2.3")
async def test_a_query_rule_on_the_clients_record_is_no_cross_scope_refusal(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.change({"strict_queries": True, "closed_fields": "client_id"})
    found = await diagnose(system)
    assert "client_cross_scope" not in found
    assert found["client_query_refused"].state is State.NOTE
    assert "query_match" in str(found["client_query_refused"].message)


@pytest.mark.fact("servicenow trap-26")
async def test_a_short_consent_is_said_and_its_end_is_known(system: System) -> None:
    store = system.servicenow.instance.store
    record = store.find("oauth_entity", client_id=system.servicenow.settings.client_id)
    assert record is not None
    store.put("oauth_entity", record | {"refresh_token_lifespan": "864000"})
    found = await provisioned(system)
    assert found["client"].finding is not None
    assert found["client"].finding.key == "client_lifespans"
    assert "a consent lasts 10 days" in str(found["client"].finding.meaning)
    [connection] = await connections(system)
    assert connection.refresh_expires_at is not None
    assert (connection.refresh_expires_at - connection.connected_at).days == 10
    assert "The consent ends in 9 days" in said(await (await system.signed_in("viewer")).get("/ticketProvisioning"))


OURS = "https://security.example/servicenow/callback"
RECORD = OAuthClient("Connector", active=True, redirect_urls=(OURS,), access_seconds=1800, refresh_seconds=8_640_000)


@pytest.mark.fact("servicenow 1.4")
@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({}, "client", "lasts 100 days"),
        ({"refresh_seconds": 0, "access_seconds": 0}, "client", "lasts 100 days"),
        ({"redirect_urls": ()}, "client", "holds our redirect URL"),
        ({"redirect_urls": ("https://x.example", OURS)}, "client", "is active"),
        ({"active": False}, "client_inactive", "“Connector” is not active"),
        ({"redirect_urls": (f"{OURS}/",)}, "redirect_mismatch", f"holds {OURS}/ and not"),
        ({"refresh_seconds": 864_000}, "client_lifespans", "10 days"),
        ({"refresh_seconds": 30 * 86_400}, "client", "lasts 30 days"),
        ({"access_seconds": 299}, "client_lifespans", "299 seconds"),
        ({"access_seconds": 300}, "client", "is active"),
    ],
)
def test_each_field_of_the_record_has_its_finding(changes: dict[str, Any], key: str, words: str) -> None:
    finding = evaluate_client(check_context(), replace(RECORD, **changes))
    assert finding.key == key
    assert words in str(finding.meaning)
