"""Field indexes give the same IDs as a full scan."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from sandbox.servicenow.field_index import OrderedIndex, ValueIndex
from sandbox.servicenow.text_folding import fold

words = st.text("abAä1", max_size=2)


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.one_of(st.none(), words)), max_size=30), words)
def test_an_index_says_what_a_walk_would_say(changes: list[tuple[str, str | None]], value: str) -> None:
    truth: dict[str, str] = {}
    value_index, ordered_index = ValueIndex(), OrderedIndex()
    for sys_id, new in changes:
        if new is None:
            truth.pop(sys_id, None)
            value_index.remove(sys_id)
            ordered_index.remove(sys_id)
        else:
            truth[sys_id] = new
            value_index.put(sys_id, new)
            ordered_index.put(sys_id, new)
    assert sorted(value_index.ids(value)) == sorted(i for i, v in truth.items() if fold(v) == fold(value))
    assert value_index.count(value) == len(value_index.ids(value)) == len(value_index.ids_of_any([value, value]))
    compare: dict[str, Callable[[str], bool]] = {
        "<": lambda v: v < value, "<=": lambda v: v <= value, ">": lambda v: v > value, ">=": lambda v: v >= value,
    }  # fmt: skip
    for operator, fits in compare.items():
        found = ordered_index.ids(*ordered_index.bounds(operator, value))
        assert sorted(found) == sorted(i for i, v in truth.items() if fits(v))
