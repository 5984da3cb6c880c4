"""The stand-in for Graph is shared by the tests of a module; each finds it as new."""

from __future__ import annotations

import pytest

from tests.factories.microsoft import FakeMicrosoft
from tests.factories.servicenow import FakeServiceNow


@pytest.fixture(autouse=True)
def graph_as_new(request: pytest.FixtureRequest) -> None:
    """Put back what an earlier test changed at the stand-in, where this one uses it at all."""
    if "system" in request.fixturenames:
        both: tuple[FakeMicrosoft, FakeServiceNow] = request.getfixturevalue("fakes")
        both[0].tenant.reset()
