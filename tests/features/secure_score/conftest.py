"""The stand-in for Graph is shared by the tests of a module; each finds it as new."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import pytest

from tests.factories.microsoft import Microsoft
from tests.factories.servicenow import Snow


@pytest.fixture(autouse=True)
def graph_as_new(request: pytest.FixtureRequest) -> Iterator[None]:
    """Put back what a test changed at the stand-in, where it used it at all."""
    if "house" not in request.fixturenames:
        yield
        return
    both: tuple[Microsoft, Snow] = request.getfixturevalue("strangers")
    tenant = both[0].tenant
    page_size, scores, updates = tenant.page_size, tenant.scores, deepcopy(tenant.updates)
    yield
    tenant.page_size, tenant.scores, tenant.updates = page_size, scores, updates
    tenant.faults.clear()
