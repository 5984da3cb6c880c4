"""The home page's fragments: rights without a person, and the moment at which a consent has a day less."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import clock
from app.core.clock import SetClock
from app.features.accounts.permissions import Role, Viewer
from app.features.connection.connection_view import WARN_DAYS, days_left
from app.web.home_cards import CARDS, TICKETS
from app.web.home_fragments import nameless, next_day_of
from tests.web.test_home_cards import person

NOON = datetime.fromisoformat("2026-11-20T12:00:00+00:00")
TOPICS = {*TICKETS, "connection", "poll", "score", "plans"}


@pytest.mark.parametrize("role", list(Role))
def test_a_card_is_made_for_the_rights_alone(role: Role) -> None:
    viewer = Viewer(uuid4(), "oid", "tid", "Robin Doe", "robin@contoso.example", role, "10.0.0.1")
    assert nameless(viewer) == Viewer(UUID(int=0), "", "", "", "", role)
    assert nameless(viewer) == nameless(person(role))


@given(seconds=st.integers(-3 * 86_400, 3 * WARN_DAYS * 86_400))
def test_the_days_that_are_left_change_at_no_other_moment(seconds: int) -> None:
    before = clock.use(still := SetClock(NOON))
    try:
        end = NOON + timedelta(seconds=seconds)
        until, days = next_day_of(end), days_left(end)
        if until is None:
            assert seconds <= 0
            return
        assert NOON <= until <= end
        if days is not None and days <= WARN_DAYS:
            still.move((until - NOON).total_seconds() - 0.001)
            assert until == NOON or days_left(end) == days
    finally:
        clock.use(before)


def test_every_card_names_topics_that_there_are() -> None:
    assert {topic for card in CARDS for topic in card.topics} <= TOPICS
    assert [card.name for card in CARDS if not card.topics] == ["connect"]
