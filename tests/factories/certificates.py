"""This machine's certificates are read once per run: reading them for each HTTP client takes longer than most tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import httpx
import pytest


@contextmanager
def read_once() -> Iterator[None]:
    """Clients with the same certificate settings share one SSL context."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx._transports.default, "create_ssl_context", cache(httpx.create_ssl_context))
        yield
