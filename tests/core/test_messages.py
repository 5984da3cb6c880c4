"""Messages keep their values until they are shown, and survive the database."""

from __future__ import annotations

import json
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from app.core.messages import Message, T, use_locale


@given(st.text())
def test_a_message_survives_being_stored(name: str) -> None:
    message = T("Sent to %(instance)s by %(who)s.", instance=name, who=T("an %(role)s", role="operator"))
    stored = json.loads(json.dumps(message.to_json()))
    assert str(Message.from_json(stored)) == str(message) == f"Sent to {name} by an operator."


def test_a_message_without_values_may_hold_a_percent_sign() -> None:
    assert str(T("100%% of the points")) == "100% of the points"


def test_a_day_is_spelled_out_in_the_readers_language_also_after_being_stored() -> None:
    message = T("Regressed on %(day)s.", day=date(2026, 11, 5))
    stored = json.loads(json.dumps(message.to_json()))
    assert str(Message.from_json(stored)) == str(message) == "Regressed on 5 Nov 2026."
    with use_locale("de"):
        assert str(Message.from_json(stored)) == "Regressed on 5 Nov. 2026."
