"""Loose values of Graph's JSON: unknown is None and never 0, and everything can be stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.secure_score.sync.json_values import (
    as_stored_json,
    flag,
    moment,
    number,
    objects,
    texts,
    whole,
    words,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.fact("microsoft-graph edge-12")
@given(JSON)
def test_every_number_is_finite_and_not_negative_or_unknown(value: object) -> None:
    found = number(value)
    assert found is None or 0 <= found < float("inf")
    counted = whole(value)
    assert counted is None or counted >= 0


@pytest.mark.fact("microsoft-graph edge-13")
@pytest.mark.parametrize(
    ("sent", "read"),
    [("false", False), ("true", True), ("False", False), (" TRUE ", True), (False, False), (True, True), ("", None),
     ("no", None), (0, None), (None, None)],
)  # fmt: skip
def test_on_is_a_word(sent: object, read: bool | None) -> None:
    assert flag(sent) is read


@pytest.mark.fact("microsoft-graph edge-20")
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2026-11-17T04:34:13.123456Z", datetime(2026, 11, 17, 4, 34, 13, 123456, UTC)),
        ("2026-11-17T04:34:13.1234567Z", datetime(2026, 11, 17, 4, 34, 13, 123456, UTC)),
        ("2026-11-17T04:34:13+02:00", datetime(2026, 11, 17, 2, 34, 13, tzinfo=UTC)),
        ("2026-11-17T04:34:13", datetime(2026, 11, 17, 4, 34, 13, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-14:00", None),
        (None, None), ("", None), ("soon", None), (0, None),
    ],
)  # fmt: skip
def test_times_of_any_precision_or_none(sent: object, read: datetime | None) -> None:
    assert moment(sent) == read


@given(JSON)
def test_every_value_from_graph_can_be_stored(value: object) -> None:
    written = as_stored_json({"member": value})
    assert "\\u0000" not in written
    assert "NaN" not in written.replace('"NaN', "")
    json.loads(written).get("member")
    written.encode()


@pytest.mark.fact("microsoft-graph edge-13")
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("3", 3),
        (3, 3),
        (3.0, 3),
        ("3.5", None),
        (0, 0),
        ("0", 0),
        (None, None),
        (-1, None),
        (2**62, 2**62),
        (2**70, None),
    ],
)
def test_a_count_is_an_integer_that_the_database_holds(sent: object, read: int | None) -> None:
    assert whole(sent) == read


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("plain", "plain"), ("two\r\nlines", "two\nlines"), ("nul \x00", "nul \ufffd"), ("half \ud800", "half \ufffd"),
        (" blank ", " blank "), (None, ""), (7, ""), (["text"], ""),
    ],
)  # fmt: skip
def test_a_text_is_one_that_the_database_holds(sent: object, read: str) -> None:
    assert words(sent) == read


@pytest.mark.parametrize(("sent", "read"), [(["a", 1, None, "b"], ["a", "b"]), ("ab", []), (None, []), ({"a": 1}, [])])
def test_of_a_list_of_texts_only_the_texts_are_read(sent: object, read: list[str]) -> None:
    assert texts(sent) == read


@pytest.mark.parametrize(("sent", "read"), [([{"a": 1}, "x", None], [{"a": 1}]), ({"a": 1}, []), ("x", []), (None, [])])
def test_of_a_list_of_objects_only_the_objects_are_read(sent: object, read: list[dict[str, int]]) -> None:
    assert objects(sent) == read


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": "x\x00y"}, {"a": "x\ufffdy"}),
        ({"n\x00": [float("nan"), float("inf"), 1.5]}, {"n\ufffd": [None, None, 1.5]}),
        ({"deep": [{"half": "\ud800"}]}, {"deep": [{"half": "\ufffd"}]}),
        ({"plain": ["é", 1, True, None]}, {"plain": ["é", 1, True, None]}),
    ],
)
def test_what_jsonb_refuses_is_replaced_and_the_rest_is_kept(value: object, written: object) -> None:
    assert json.loads(as_stored_json(value)) == written
