"""A ServiceNow stand-in, as new for each test."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

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
    """The integration user's own client."""
    with snow.api() as client:
        yield client
