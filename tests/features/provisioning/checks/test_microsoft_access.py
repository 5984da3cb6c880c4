"""The doctor asks Microsoft: a wrong tenant, ID, secret or permission and a wrong clock each have a finding."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from app.features.provisioning.checks.microsoft_access import (
    check_entra,
    check_graph,
    check_microsoft_clock,
    evaluate_microsoft_clock,
)
from app.features.provisioning.finding import State
from app.integrations.http.transport import Transport
from app.integrations.microsoft.entra import EntraClient
from app.integrations.microsoft.graph import GraphClient
from app.resources import Resources
from tests.factories.provisioning import diagnose
from tests.factories.system import System


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    opened = Transport("microsoft")
    yield opened
    await opened.close()


def registered(system: System, transport: Transport, **changed: str) -> Resources:
    """The system's resources with another registration: `authority`, `tenant_id`, `client_id`, `client_secret`."""
    settings = system.microsoft.settings
    registration: dict[str, Any] = {
        "authority": system.microsoft.url, "tenant_id": settings.tenant_id,
        "client_id": settings.client_id, "client_secret": settings.client_secret,
    } | changed  # fmt: skip
    return replace(
        system.resources,
        entra=EntraClient(transport, **registration),
        graph=GraphClient(transport, graph_url=system.microsoft.url, **registration),
    )


async def test_what_works_is_good(system: System) -> None:
    checks = (check_entra, check_graph, check_microsoft_clock)
    found = [await check(system.resources) for check in checks]
    assert [(finding.key, finding.state) for finding in found] == [
        ("entra", State.GOOD), ("graph", State.GOOD), ("microsoft_clock", State.GOOD),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "key", "words"),
    [
        ({"client_secret": "wrong"}, "entra_refused", "AADSTS7000215"),
        ({"client_id": str(uuid4())}, "entra_refused", "AADSTS700016"),
        ({"tenant_id": str(uuid4())}, "entra_refused", "AADSTS90002"),
        (
            {"authority": "http://127.0.0.1:9"},
            "entra_unreachable",
            "cannot reach Microsoft’s sign-in service: the connection was refused.",
        ),
    ],
)
async def test_a_registration_that_is_wrong_is_named(
    system: System, transport: Transport, changed: dict[str, str], key: str, words: str
) -> None:
    resources = registered(system, transport, **changed)
    finding = await check_entra(resources)
    assert (finding.key, finding.is_problem) == (key, True)
    assert words in str(finding.meaning)
    assert finding.advice
    if "tenant_id" in changed:  # The sandbox gives tokens for any tenant.
        return
    other = await check_graph(resources)
    assert (other.key, other.state) == ("graph", State.UNKNOWN)
    assert "no token" in str(other.meaning)


async def test_a_missing_permission_is_named(system: System) -> None:
    system.microsoft.fault("forbidden")
    finding = await check_graph(system.resources)
    assert (finding.key, finding.is_problem) == ("graph_refused", True)
    assert "SecurityEvents.Read.All" in str(finding.advice)


async def test_trouble_at_microsoft_needs_no_one_here(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.integrations.microsoft.graph.ATTEMPTS", 1)
    system.microsoft.fault("server_error")
    finding = await check_graph(system.resources)
    assert (finding.key, finding.state) == ("graph_refused", State.NOTE)


async def test_a_secret_that_was_replaced_is_found_while_the_old_token_still_works(system: System) -> None:
    assert not (await check_entra(system.resources)).is_problem
    sent = len(system.microsoft.calls("/token"))
    assert not (await check_entra(system.resources)).is_problem
    assert len(system.microsoft.calls("/token")) == sent + 1


async def test_scores_of_another_tenant_come_from_files(system: System) -> None:
    resources = replace(system.resources, config=replace(system.resources.config, shown_tenant_id=str(uuid4())))
    calls = len(system.microsoft.calls())
    assert "come from files" in str((await check_graph(resources)).meaning)
    assert len(system.microsoft.calls()) == calls


@pytest.mark.parametrize(
    ("ahead", "state", "words"),
    [
        (0.2, State.GOOD, "difference: 0 s"),
        (-60.0, State.GOOD, "difference: 60 s"),
        (61.0, State.PROBLEM, "is 61 s off"),
        (-400.0, State.PROBLEM, "is 400 s off"),
        (None, State.UNKNOWN, "names no time"),
    ],
)
def test_a_clock_that_is_off_is_found_before_sign_ins_fail(ahead: float | None, state: State, words: str) -> None:
    finding = evaluate_microsoft_clock(ahead)
    assert finding.state is state
    assert words in str(finding.meaning)


async def test_a_clock_without_an_answer_is_unknown(system: System, transport: Transport) -> None:
    finding = await check_microsoft_clock(registered(system, transport, authority="http://127.0.0.1:9"))
    assert (finding.key, finding.state) == ("microsoft_clock", State.UNKNOWN)


async def test_the_diagnosis_asks_without_a_connection_too(system: System) -> None:
    found = await diagnose(system)
    assert list(found)[:5] == ["not_connected", "settings", "entra", "graph", "microsoft_clock"]
