"""The log lines of a block, with the fields that are bound to them."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.testing import capture_logs

Line = MutableMapping[str, Any]


@contextmanager
def logged_lines() -> Iterator[list[Line]]:
    """Every line that the product logs while the block runs; ids and other bound fields stand in them."""
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines


def of_event(lines: list[Line], event: str) -> list[Line]:
    return [line for line in lines if line["event"] == event]
