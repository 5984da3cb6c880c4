"""A request body over the limit is refused with 413, with or without a true Content-Length."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.web.middleware import LARGEST_BODY_BYTES
from tests.factories.connecting import said
from tests.factories.system import System

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ADDRESSES = ("/tickets/bulk", "/tickets/selection", "/tickets/new", "/secure-score/actions/tags?action=AdminMFAV2")


class Pieces:
    """A chunked body without a Content-Length; counts the bytes that were read of it."""

    def __init__(self, size: int, piece: bytes) -> None:
        self.size, self.piece, self.taken = size, piece, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.taken < self.size:
            self.taken += len(self.piece)
            yield self.piece


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_body_without_a_length_is_counted_while_it_comes(system: System, address: str) -> None:
    async with await system.signed_in("manager") as browser:
        body = Pieces(60 * LARGEST_BODY_BYTES, b"&f=" + b"a" * 60_000)
        answer = await browser.post(address, content=body, headers=FORM)
    assert answer.status_code == 413
    assert "What was sent is too large" in said(answer)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert body.taken < LARGEST_BODY_BYTES + 2 * len(body.piece)


async def test_many_small_parts_are_counted_as_well(system: System) -> None:
    async with await system.signed_in("sharer") as browser:
        body = Pieces(4 * LARGEST_BODY_BYTES, b"&action=" + b"a" * 1000)
        assert (await browser.post("/tickets/bulk", content=body, headers=FORM)).status_code == 413
    assert body.taken < LARGEST_BODY_BYTES + 2 * len(body.piece)


@pytest.mark.parametrize("length", [str(LARGEST_BODY_BYTES + 1), "99999999999999999999", "-1", "x", "1.5", ""])
async def test_a_length_that_is_too_large_or_none_is_refused_before_anything_is_read(
    system: System, length: str
) -> None:
    async with await system.signed_in("manager") as browser:
        body = Pieces(10, b"a=b")
        answer = await browser.post("/tickets/new", content=body, headers={**FORM, "Content-Length": length})
    assert answer.status_code == 413
    assert body.taken <= len(body.piece)


async def test_a_length_that_is_not_true_does_not_help(system: System) -> None:
    async with await system.signed_in("manager") as browser:
        body = Pieces(4 * LARGEST_BODY_BYTES, b"&f=" + b"a" * 60_000)
        answer = await browser.post("/tickets/bulk", content=body, headers={**FORM, "Content-Length": "10"})
    assert answer.status_code == 413


async def test_what_fits_is_taken(system: System) -> None:
    async with await system.signed_in("manager") as browser:
        body = Pieces(LARGEST_BODY_BYTES - 60_100, b"&f=" + b"a" * 60_000)
        assert (await browser.post("/tickets/bulk", content=body, headers=FORM)).status_code == 422
