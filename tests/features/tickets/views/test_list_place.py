"""Places in the list of tickets: what an address says is read back, and anything else is the newest page."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.tickets.views.list_place import NEWEST, OLDEST, Direction, ListPlace

ID = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")


@given(
    st.sampled_from([Direction.BEFORE, Direction.AFTER]),
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.astimezone(UTC)),
    st.uuids(),
)
def test_a_place_is_read_as_it_was_written(direction: Direction, moment: datetime, ticket_id: UUID) -> None:
    place = ListPlace(direction, moment, ticket_id)
    assert ListPlace.read(place.write()) == place


def test_a_place_can_be_read_by_people() -> None:
    place = ListPlace(Direction.BEFORE, datetime(2026, 11, 20, 9, 0, 0, 5, UTC), ID)
    assert place.write() == "before.2026-11-20T09:00:00.000005Z.0f8fad5bd9cb469fa16570867728950e"
    assert (NEWEST.write(), OLDEST.write()) == ("", "oldest")
    assert ListPlace.read("oldest") == OLDEST


@pytest.mark.parametrize(
    "text",
    [
        "", "newest", "before", "before..", "before.2026-13-20T09:00:00.000005Z.0f8fad5bd9cb469fa16570867728950e",
        "before.0000-01-01T09:00:00.000005Z.0f8fad5bd9cb469fa16570867728950e",
        "before.2026-11-20T09:00:00.000005Z.0f8fad5bd9cb469fa16570867728950e\n",
        "before.٢٠٢٦-11-20T09:00:00.000005Z.0f8fad5bd9cb469fa16570867728950e",
        "before.2026-11-20T09:00:00.000005Z.0f8fad5bd9cb469fa16570867728950e'; DROP TABLE ticket; --",
        "x" * 10_000, "\0", "after.\0", "beside.2026-11-20T09:00:00.000005Z.0f8fad5bd9cb469fa16570867728950e",
    ],
)  # fmt: skip
def test_anything_else_is_the_newest_page(text: str) -> None:
    assert ListPlace.read(text) == NEWEST


@given(st.text())
def test_no_text_is_refused(text: str) -> None:
    assert ListPlace.read(text) == (OLDEST if text == "oldest" else NEWEST)
