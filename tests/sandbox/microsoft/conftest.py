"""A Microsoft stand-in, as new for each test, and a client with the application's own token."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.factories.microsoft import CONTEXT, FakeMicrosoft, running_microsoft


@pytest.fixture(scope="module")
def one_microsoft() -> Iterator[FakeMicrosoft]:
    with running_microsoft() as running:
        yield running


@pytest.fixture
def graph(one_microsoft: FakeMicrosoft) -> FakeMicrosoft:
    one_microsoft.tenant.reset()
    return one_microsoft


@pytest.fixture
def client(graph: FakeMicrosoft) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {graph.app_token()}"}
    with httpx.Client(base_url=f"{graph.url}/v1.0/security", headers=headers, verify=CONTEXT) as opened:
        yield opened
