"""Bodies of answers: one coding at most, unpacked within a limit, and never more memory than that."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.integrations.http.errors import Ambiguous, InvalidResponse, RemoteError
from app.integrations.http.http_types import LARGEST_ANSWER_BYTES, RemoteResponse, Request
from app.integrations.http.response_body import read_body
from app.integrations.http.transport import Transport
from app.integrations.servicenow.client import ServiceNowClient
from tests.factories.servers import serve

MIB = 1024 * 1024
LIMIT = 100_000


async def arriving(body: bytes, size: int = 16_384) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: bytes, coding: str = "", largest: int = LIMIT, size: int = 16_384) -> bytes:
    return await read_body(arriving(body, size), coding, largest)


@pytest.mark.parametrize("coding", ["", "identity", "gzip", "x-gzip", "GZip", "identity, gzip"])
@pytest.mark.parametrize("size", [1, 7, 16_384])
async def test_plain_and_gzip_are_read_however_they_arrive(coding: str, size: int) -> None:
    text = json.dumps({"result": [{"number": f"INC{number}"} for number in range(200)]}).encode()
    packed = gzip.compress(text) if "gzip" in coding.lower() else text
    assert await read(packed, coding, size=size) == text


@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_the_limit_is_met_exactly_and_not_passed_by_one(coding: str) -> None:
    # Of random looking bytes, so that the packed form is not what is small.
    whole = bytes((index * 7919) % 251 for index in range(LIMIT))
    pack = gzip.compress if coding else bytes
    assert await read(pack(whole), coding, largest=LIMIT + 1000) == whole
    assert len(await read(pack(b"a" * LIMIT), coding)) == LIMIT
    with pytest.raises(InvalidResponse, match="larger than we accept"):
        await read(pack(b"a" * (LIMIT + 1)), coding)


@pytest.mark.parametrize(
    "coding", ["gzip, gzip", "deflate", "br", "zstd", "gzip,identity,gzip", "br, gzip", "none", "gzip;q=1"]
)
async def test_a_second_or_an_unknown_coding_is_refused_unread(coding: str) -> None:
    with pytest.raises(InvalidResponse, match="did not ask for"):
        await read(gzip.compress(gzip.compress(b"{}")), coding)


@pytest.mark.parametrize(
    "body",
    [
        b"no gzip at all",
        gzip.compress(b'{"result":[]}')[:-3],
        gzip.compress(b'{"result":[]}') + gzip.compress(b"more"),
        gzip.compress(b'{"result":[]}') + b"trailing",
        gzip.compress(b'{"result":[]}')[:-8] + b"\0" * 8,
        zlib.compress(b'{"result":[]}'),
    ],
    ids=["no gzip", "broken off", "two streams", "more behind it", "wrong checksum", "zlib"],
)
@pytest.mark.parametrize("size", [3, 16_384])
async def test_what_cannot_be_unpacked_is_said_to_be_damaged(body: bytes, size: int) -> None:
    with pytest.raises(InvalidResponse, match="damaged or breaks off"):
        await read(body, "gzip", size=size)


async def test_an_empty_body_needs_no_coding() -> None:
    assert await read(b"", "gzip") == b""


async def test_a_bomb_takes_no_more_memory_than_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 100 * MIB)
    assert len(bomb) < MIB
    tracemalloc.start()
    try:
        with pytest.raises(InvalidResponse, match="larger than we accept"):
            await read(bomb, "gzip", largest=LARGEST_ANSWER_BYTES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * LARGEST_ANSWER_BYTES


@given(st.binary(max_size=400), st.sampled_from(["", "gzip", "identity", "gzip, gzip", "br"]))
async def test_any_bytes_are_read_or_refused_in_our_words(body: bytes, coding: str) -> None:
    try:
        assert await read(body, coding, size=50) == body
    except RemoteError:
        assert coding not in ("", "identity")


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip"])
async def test_a_bomb_over_http_is_one_clean_error_and_a_write_stays_in_doubt(coding: str) -> None:
    packed = gzip.compress(b"\0" * 40 * MIB)
    bomb = gzip.compress(packed) if coding == "gzip, gzip" else packed
    asked: list[bytes] = []

    async def instance(scope: Any, receive: Any, send: Any) -> None:
        asked.append(dict(scope["headers"])[b"accept-encoding"])
        headers = [(b"content-type", b"application/json"), (b"content-encoding", coding.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bomb})

    with serve(instance) as url:
        transport = Transport("servicenow")
        try:
            tracemalloc.start()
            with pytest.raises(InvalidResponse):
                await transport.send(Request("GET", url))
            with pytest.raises(Ambiguous):
                await ServiceNowClient(transport, url, "token").create("incident", {"short_description": "x"})
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            await transport.close()
    assert asked == [b"gzip"] * 2
    assert peak < 4 * LARGEST_ANSWER_BYTES


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")))
def test_any_body_is_json_or_a_remote_error(body: bytes) -> None:
    told = ""
    try:
        RemoteResponse(200, {"content-type": "application/json"}, body).json()
    except InvalidResponse as error:
        told = str(error)
    assert len(told) < 300


@pytest.mark.parametrize("body", [b"[" * 200_000, b"1" * 5_000, b'{"a":' * 100_000, b'"\xff"', b"\xfe\xff\xd8"])
def test_json_that_breaks_python_is_a_remote_error(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        RemoteResponse(200, {"content-type": "application/json" * 5_000}, body).json()


def test_an_answer_too_large_for_this_machines_memory_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(_body: bytes) -> object:
        raise MemoryError

    monkeypatch.setattr("app.integrations.http.http_types.json.loads", no_memory)
    with pytest.raises(InvalidResponse, match="larger than we accept"):
        RemoteResponse(200, {}, b"{}").json()


async def test_a_token_that_is_no_ascii_is_refused_in_our_words() -> None:
    transport = Transport("servicenow")
    try:
        with pytest.raises(RemoteError):
            await transport.send(
                Request("GET", "http://127.0.0.1:9/", headers={"Authorization": "Bearer t\u00f6k\ud800"})
            )
    finally:
        await transport.close()
