"""The list of ticket fields: each is checked, kept, shown and sent as it says, and a new one appears everywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from app.core.messages import Message, T
from app.features.connection.preferences import Preferences
from app.features.tickets.form_controls import ControlType, FormControl
from app.features.tickets.models import Ticket
from app.features.tickets.sharing.record import Links, compose_record
from app.features.tickets.ticket_fields import (
    FIELDS,
    RecordLine,
    Shown,
    TicketField,
    TicketRequest,
    column_labels,
    copied_fields,
    exchanged_items,
    form_values,
    problems_of,
    shown_fields,
    stored_request,
    stored_values,
    typed_fields,
)
from app.features.tickets.types import TicketKind
from app.web.task_form import fields_of, task_form
from app.web.templating import environment
from tests.factories.tickets import LATER, SENDER, an_ask

TODAY = date(2026, 11, 28)


@dataclass(frozen=True)
class RequestWithReason(TicketRequest):
    """TicketRequest with one attribute more."""

    reason: str = ""


def _reason(request: TicketRequest, _requester: object = None) -> str:
    return cast(RequestWithReason, request).reason


REASON = TicketField(
    name="reason",
    label=T("Reason"),
    sent_as=T("Business reason"),
    limit=80,
    value=_reason,
    columns={"justification": T("Justification")},
    fills_column=True,
    line=RecordLine(T("Business reason"), _reason),
    control=FormControl(ControlType.TEXT, T("Reason"), str, default="", hint=T("In one sentence."), max_length=80),
)
WITH_REASON = (*FIELDS, REASON)


def test_a_field_that_is_added_to_the_list_is_in_form_record_page_exchange_page_and_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = an_ask()
    typed = form_values(asked) | {"reason": "An audit asks for it.", "form_key": str(uuid4())}

    # The form shows it, and parses it.
    html = environment.get_template("tickets/_task_fields.html").render(
        page=SimpleNamespace(form=fields_of(typed, fields=WITH_REASON))
    )
    assert 'name="reason"' in html
    assert 'value="An audit asks for it."' in html
    assert "In one sentence." in html
    form: Any = task_form(WITH_REASON).model_validate(typed)
    assert form.reason == "An audit asks for it."
    without: Any = task_form(WITH_REASON).model_validate({name: typed[name] for name in typed if name != "reason"})
    assert without.reason == ""

    # The record carries it in its text, in its own column, and in a column that an administrator has chosen.
    request = RequestWithReason(**vars(asked), reason=form.reason)
    chosen = Preferences(columns={"change": {"reason": "u_reason"}})
    fields = compose_record(request, SENDER, Links("https://portal.example/t"), "0" * 32, chosen, WITH_REASON).fields
    assert "Business reason: An audit asks for it." in fields["description"].split("\n")
    assert fields["justification"] == fields["u_reason"] == "An audit asks for it."
    assert str(column_labels(WITH_REASON)["justification"]) == "Justification"
    assert copied_fields(WITH_REASON)["reason"].limit == 80

    # The ticket keeps it, its page shows it, and editing starts from it.
    assert stored_values(request, WITH_REASON)["reason"] == "An audit asks for it."
    assert ("Reason", "An audit asks for it.") in [
        (str(shown.label), shown.value) for shown in shown_fields(request, WITH_REASON)
    ]
    assert form_values(request, WITH_REASON)["reason"] == "An audit asks for it."

    # The data-exchange page names it.
    monkeypatch.setitem(environment.globals, "exchanged_items", partial(exchanged_items, WITH_REASON))
    assert "<li>Business reason</li>" in environment.get_template("servicenow/_data_exchange.html").render()


@pytest.mark.fact("microsoft-graph edge-50", "servicenow 9", "microsoft-graph 3.4")
def test_the_seven_data_items_of_microsofts_connector_are_sent() -> None:
    assert [str(item) for item in exchanged_items()] == [
        "User ID that initiates the ticket creation",
        "Task name",
        "Task description",
        "Priority",
        "Due date",
        "Recommendation source (User or Microsoft recommendation)",
        "Recommendation category (Devices, Data, Apps, Identity, Infrastructure)",
    ]
    assert list(copied_fields()) == [
        "requested_by", "name", "description", "priority", "due_date", "source", "category",
    ]  # fmt: skip


def test_every_field_is_a_column_of_the_ticket_and_an_attribute_of_the_request() -> None:
    attributes = set(TicketRequest.__dataclass_fields__) - {"kind"}
    assert {one.name for one in FIELDS if not one.is_of_requester} == attributes
    assert attributes < set(Ticket.__table__.columns.keys())


@pytest.mark.parametrize("kind", list(TicketKind))
def test_a_value_is_within_its_limit(kind: TicketKind) -> None:
    request = an_ask(
        kind, name="n" * 400, description="d" * 20_000, category="Infrastructure", change_type=f"chg_model:{'a' * 32}"
    )
    for one in FIELDS:
        assert 0 < len(one.value(request, SENDER)) <= one.limit, one.name


def test_a_request_survives_form_and_ticket() -> None:
    asked = an_ask(TicketKind.INCIDENT)
    typed = form_values(asked)
    assert typed == {
        "kind": "incident",
        "name": "Require multifactor authentication",
        "description": "Administrators first.",
        "priority": "2",
        "due_date": "2030-12-31",
        "category": "Identity",
        "change_type": "",
    }
    form = task_form().model_validate(typed | {"form_key": str(uuid4())})
    assert form.request(replace(asked, name="proposed", kind=TicketKind.CHANGE)) == asked
    ticket = Ticket(**stored_values(asked))
    assert stored_request(ticket) == asked


def test_a_ticket_keeps_texts_without_what_cannot_be_sent() -> None:
    kept = stored_values(an_ask(name=" one\r\ntwo\0 ", description="a\r\nb\x07"))
    assert (kept["name"], kept["description"]) == ("one two", "a\nb")


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"name": " \n"}, "name", "This is required."),
        ({"description": "\0"}, "description", "This is required."),
        ({"priority": 0}, "priority", "Choose one of the list."),
        ({"priority": 5}, "priority", "A change request has no priority Planning."),
        ({"due_date": TODAY - timedelta(days=1)}, "due_date", "This day has passed."),
        ({"due_date": date(2037, 1, 1)}, "due_date", "This day is more than 10 years away."),
    ],
)
def test_a_problem_is_said_beside_its_field(changes: dict[str, Any], field: str, sentence: str) -> None:
    problems = problems_of(an_ask(TicketKind.CHANGE, **changes), TODAY)
    assert list(problems) == [field]
    assert str(problems[field]).startswith(sentence)


def test_a_request_without_a_problem_has_none() -> None:
    assert problems_of(an_ask(due_date=TODAY), TODAY) == {}
    assert problems_of(an_ask(due_date=date(2036, 12, 31)), TODAY) == {}


def test_the_page_shows_what_was_asked_in_words_and_days() -> None:
    shown = {str(one.label): one for one in shown_fields(an_ask())}
    assert list(shown) == [
        "Name", "Description", "Priority", "Due date", "Recommendation source", "Recommendation category",
    ]  # fmt: skip
    assert (shown["Priority"].value, shown["Due date"].value) == ("High", LATER)
    assert (shown["Due date"].is_day, shown["Name"].is_day) == (True, False)
    assert [label for label, one in shown.items() if one.shown is Shown.TEXT] == ["Description"]


def test_every_select_offers_what_its_field_takes() -> None:
    controls = dict(typed_fields())
    assert [value for value, _ in controls["priority"].choices] == ["1", "2", "3", "4", "5"]
    first = controls["priority"].choices[0][1]
    assert isinstance(first, Message)
    assert str(first) == "1 - Critical"
