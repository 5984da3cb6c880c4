"""Graph's lists are read item by item: any JSON, however large, within bounds."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.integrations.http.errors import InvalidResponse, RemoteError
from app.integrations.microsoft import list_reader
from app.integrations.microsoft.list_reader import CHUNK_BYTES, MOST_ITEMS, ListReader

MIB = 1024 * 1024
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def read(body: bytes) -> tuple[list[dict[str, Any]], object]:
    reader = ListReader(body)
    items = [item for portion in reader.portions() for item in portion]
    return items, reader.next_link


@given(st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=3), max_size=6), st.booleans(), st.booleans())
def test_what_json_reads_is_read_alike_whatever_the_order(items: list[Any], last: bool, ascii_only: bool) -> None:
    around = {"@odata.context": "x", "@odata.nextLink": "https://graph/next?a=%2F", "number": 12.5e3}
    whole = {**around, "value": items} if last else {"value": items, **around}
    text = json.dumps(whole, ensure_ascii=ascii_only, indent=1)
    assert json.dumps(read(text.encode(errors="surrogatepass"))) == json.dumps((items, around["@odata.nextLink"]))


@given(JSON)
def test_any_other_json_is_a_list_or_a_remote_error(value: object) -> None:
    for whole in (value, {"value": value}, {"value": [value]}):
        told = ""
        try:
            read(json.dumps(whole).encode())
        except InvalidResponse as error:
            told = str(error)
        assert len(told) < 200


@given(st.binary(max_size=100), st.integers(0, 60))
def test_any_bytes_are_a_list_or_a_remote_error(body: bytes, at: int) -> None:
    good = b'{"value": [{"id": "a"}, {"id": "b", "n": 1.5}], "more": 12}'
    for hostile in (body, good[:at] + body, good[:at] + body + good[at:]):
        told = ""
        try:
            read(hostile)
        except RemoteError as error:
            told = str(error)
        assert len(told) < 200


@pytest.mark.parametrize(
    "body",
    [
        b'{"value":[]} more',
        b'{"value":[],"value":[]}',
        b'{"value":[{}]',
        b'{"value":[{},]}',
        b'{"value":[{"a":' + b"[" * 100_000,
        b'{"value":[{"a":' + b"9" * 5_000 + b"}]}",
        b'{"value":[' + b"{}," * MOST_ITEMS + b"{}]}",
        b"{" + b",".join(b'"m%d":1' % number for number in range(100)) + b',"value":[]}',
        b"",
    ],
)
def test_what_is_not_one_whole_list_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        read(body)


def test_values_across_the_borders_of_chunks_are_read_whole() -> None:
    for shift in range(12):
        filler = "x" * (CHUNK_BYTES - 30 + shift)
        items = [{"a": filler}, {"n": 1234567890}, {"t": "äöü😀" * 9}]
        text = json.dumps({"value": items, "count": 4711}, ensure_ascii=False)
        assert read(text.encode())[0] == items


def test_an_item_that_is_too_large_is_refused_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_reader, "LONGEST_ITEM", 2 * CHUNK_BYTES)
    good = {"id": "good"}
    body = json.dumps({"value": [good, {"text": "y" * 9 * CHUNK_BYTES}]}).encode()
    with pytest.raises(InvalidResponse, match="larger than we accept"):
        read(body)


@pytest.mark.thorough
def test_the_objects_of_a_large_answer_never_exist_all_at_once() -> None:
    """Twenty-four megabytes of the smallest objects would be some six hundred of Python's."""
    item = b'{"controlScores":[' + b",".join([b"{}"] * 100_000) + b"]}"
    body = b'{"value":[' + b",".join([item] * 80) + b"]}"
    assert len(body) > 22 * MIB
    read_items = 0
    tracemalloc.start()
    try:
        for portion in ListReader(body).portions():
            read_items += len(portion)
            del portion
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read_items == 80
    assert peak < 160 * MIB
