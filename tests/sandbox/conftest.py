"""One set of certificates for all clients: every address here is plain http, and loading them takes longer than a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.factories.servicenow import CONTEXT


@pytest.fixture(autouse=True, scope="session")
def certificates_loaded_once() -> Iterator[None]:
    def loaded(*_: Any, **__: Any) -> Any:
        return CONTEXT

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx._transports.default, "create_ssl_context", loaded)
        yield
