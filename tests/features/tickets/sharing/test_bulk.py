"""Several actions become commands: what is left open is decided for each."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.core.errors import InvalidInput
from app.features.connection.preferences import Preferences
from app.features.secure_score.vocabulary import Category
from app.features.tickets.sharing.bulk import BulkChoice, commands_for_each, request_for
from app.features.tickets.types import TicketKind
from app.features.tickets.views.bulk_share import preview
from tests.factories.tickets import an_action

TODAY = date(2026, 11, 28)


def choice(**changes: Any) -> BulkChoice:
    known: dict[str, Any] = {"kind": TicketKind.INCIDENT, "priority": None, "due_date": None, "category": None}
    return BulkChoice(**{**known, **changes})


def test_priority_and_day_follow_from_each_actions_impact() -> None:
    request = request_for(an_action(score_impact=5.0), choice(), TODAY)
    assert (request.priority, request.due_date) == (2, TODAY + timedelta(days=14))


def test_what_is_chosen_holds_for_all() -> None:
    day = date(2030, 12, 31)
    request = request_for(an_action(), choice(priority=5, due_date=day), TODAY)
    assert (request.priority, request.due_date) == (5, day)


def test_the_day_follows_from_the_chosen_priority() -> None:
    decided = Preferences(due_days={1: 1, 2: 2, 3: 3, 4: 4})
    assert request_for(an_action(), choice(priority=1, preferences=decided), TODAY).due_date.day == 29
    assert request_for(an_action(), choice(priority=5, preferences=decided), TODAY).due_date == date(2026, 12, 2)


def test_the_chosen_category_is_for_actions_without_one() -> None:
    chosen = choice(category=Category.APPS)
    assert request_for(an_action(category=None), chosen, TODAY).category == "Apps"
    assert request_for(an_action(), chosen, TODAY).category == "Identity"


def test_a_missing_category_is_asked_for_and_no_command_is_made() -> None:
    with pytest.raises(InvalidInput) as refused:
        commands_for_each([an_action(), an_action("odd", category=None)], choice(), TODAY, uuid4())
    assert list(refused.value.fields) == ["category"]


def test_each_command_has_a_key_of_its_own_and_the_batch_in_common() -> None:
    form_key = uuid4()
    commands = commands_for_each([an_action("first"), an_action("second")], choice(), TODAY, form_key)
    assert [command.form_key for command in commands] == [f"{form_key}:first", f"{form_key}:second"]
    assert {command.batch_id for command in commands} == {form_key}
    assert all(command.again for command in commands)


def test_the_preview_shows_the_very_request_that_is_sent() -> None:
    action = an_action()
    (line,) = preview([action], {}, choice(), TODAY)
    (command,) = commands_for_each([action], choice(), TODAY, uuid4())
    assert line.request == command.request
    assert (str(line.priority_name), line.is_open, line.is_done) == ("Moderate", False, False)
