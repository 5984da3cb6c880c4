"""Fixtures of a ServiceNow and a Microsoft sandbox, reset before each test, and clients with valid tokens."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.factories.microsoft import CONTEXT, Microsoft, running_microsoft
from tests.factories.servicenow import Snow, running_snow


@pytest.fixture(scope="module")
def one_snow() -> Iterator[Snow]:
    with running_snow() as snow:
        yield snow


@pytest.fixture
def snow(one_snow: Snow) -> Snow:
    one_snow.instance.reset()
    return one_snow


@pytest.fixture
def api(snow: Snow) -> Iterator[httpx.Client]:
    """The integration user's client."""
    with snow.api() as client:
        yield client


@pytest.fixture(scope="module")
def one_microsoft() -> Iterator[Microsoft]:
    with running_microsoft() as running:
        yield running


@pytest.fixture
def graph(one_microsoft: Microsoft) -> Microsoft:
    one_microsoft.tenant.reset()
    return one_microsoft


@pytest.fixture
def client(graph: Microsoft) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {graph.app_token()}"}
    with httpx.Client(base_url=f"{graph.url}/v1.0/security", headers=headers, verify=CONTEXT) as opened:
        yield opened
