"""Fixtures of a ServiceNow and a Microsoft sandbox, reset before each test, and clients with valid tokens."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.factories.microsoft import CONTEXT, SandboxMicrosoft, running_microsoft
from tests.factories.servicenow import SandboxServiceNow, running_servicenow


@pytest.fixture(scope="module")
def one_servicenow() -> Iterator[SandboxServiceNow]:
    with running_servicenow() as servicenow:
        yield servicenow


@pytest.fixture
def servicenow(one_servicenow: SandboxServiceNow) -> SandboxServiceNow:
    one_servicenow.instance.reset()
    return one_servicenow


@pytest.fixture
def api(servicenow: SandboxServiceNow) -> Iterator[httpx.Client]:
    """The integration user's client."""
    with servicenow.api() as client:
        yield client


@pytest.fixture(scope="module")
def one_microsoft() -> Iterator[SandboxMicrosoft]:
    with running_microsoft() as running:
        yield running


@pytest.fixture
def graph(one_microsoft: SandboxMicrosoft) -> SandboxMicrosoft:
    one_microsoft.tenant.reset()
    return one_microsoft


@pytest.fixture
def client(graph: SandboxMicrosoft) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {graph.app_token()}"}
    with httpx.Client(base_url=f"{graph.url}/v1.0/security", headers=headers, verify=CONTEXT) as opened:
        yield opened
