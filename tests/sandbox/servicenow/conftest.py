"""A ServiceNow stand-in, as new for each test."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.factories.servicenow import FakeServiceNow, running_servicenow


@pytest.fixture(scope="module")
def one_snow() -> Iterator[FakeServiceNow]:
    with running_servicenow() as servicenow:
        yield servicenow


@pytest.fixture
def servicenow(one_snow: FakeServiceNow) -> FakeServiceNow:
    one_snow.instance.reset()
    return one_snow


@pytest.fixture
def api(servicenow: FakeServiceNow) -> Iterator[httpx.Client]:
    """The integration user's own client."""
    with servicenow.api() as client:
        yield client
