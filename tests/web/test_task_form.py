"""The form of one ticket: its rows, what is hidden in it, and how it is parsed."""

from __future__ import annotations

from types import SimpleNamespace
from uuid import uuid4

import pytest

from app.core.messages import T
from app.features.accounts.permissions import Role, Viewer
from app.features.tickets.ticket_fields import TicketSource, form_values, typed_fields
from app.features.tickets.types import TicketKind
from app.web.forms import parse
from app.web.task_form import Fields, TaskForm, fields_of, requester_of
from app.web.templating import environment
from tests.factories.tickets import an_ask


def rendered(form: Fields) -> str:
    return environment.get_template("tickets/_task_fields.html").render(page=SimpleNamespace(form=form))


def test_priority_and_due_date_share_a_row() -> None:
    rows = [[shown.name for shown in row] for row in fields_of({}).rows]
    assert rows == [["name"], ["description"], ["priority", "due_date"], ["category"]]


def test_a_fixed_value_is_hidden_and_wins_over_what_was_typed() -> None:
    html = rendered(fields_of({"category": "Apps"}, fixed={"category": "Data"}))
    assert '<input type="hidden" name="category" value="Data">' in html
    assert "Choose a category" not in html


@pytest.mark.parametrize("offers_empty", [True, False])
def test_the_empty_choice_is_offered_where_nothing_is_chosen_yet(offers_empty: bool) -> None:
    assert ("Choose a category" in rendered(fields_of({}, offers_empty=offers_empty))) is offers_empty


def test_values_and_sentences_come_back() -> None:
    form = fields_of({"name": "Mine <b>", "priority": "2"}, {"due_date": T("This day has passed.")})
    html = rendered(form)
    assert 'value="Mine &lt;b&gt;"' in html
    assert '<option value="2" selected>2 - High</option>' in html
    assert '<p class="field-error" id="due_date-error">This day has passed.</p>' in html
    assert html.count("field-error") == 1


@pytest.mark.parametrize("name", ["kind", "name", "description", "priority", "due_date", "category", "form_key"])
def test_every_field_is_required(name: str) -> None:
    typed = form_values(an_ask()) | {"form_key": str(uuid4())}
    assert parse(typed, TaskForm).values is not None
    assert list(parse(typed | {name: ""}, TaskForm).errors) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [("kind", "problem"), ("name", "n" * 401), ("priority", "high"), ("due_date", "2026-02-30"), ("category", "Other")],
)
def test_what_the_form_cannot_hold_is_refused(name: str, value: str) -> None:
    typed = form_values(an_ask()) | {"form_key": str(uuid4()), name: value}
    assert list(parse(typed, TaskForm).errors) == [name]


def test_the_source_is_not_the_forms_to_say() -> None:
    typed = form_values(an_ask(TicketKind.INCIDENT)) | {"form_key": str(uuid4()), "source": "Microsoft recommendation"}
    form = parse(typed, TaskForm).values
    assert form is not None
    assert form.request(an_ask(source=TicketSource.USER)) == an_ask(TicketKind.INCIDENT, source=TicketSource.USER)


def test_the_signed_in_person_is_the_requester_with_the_address_of_the_browser() -> None:
    viewer = Viewer(uuid4(), "an oid", "a tid", "Megan Bowen", "megan@contoso.example", Role.SHARER, "192.0.2.1")
    requester = requester_of(viewer)
    assert (requester.person_id, requester.oid, requester.address) == (viewer.person_id, "an oid", "192.0.2.1")
    assert requester.name == requester.display_name == "Megan Bowen"


def test_the_form_says_before_sending_what_becomes_of_a_long_name_and_a_long_description() -> None:
    fields = {name: control for name, control in typed_fields() if control.counted}
    assert {name: control.counted for name, control in fields.items()} == {"name": 160, "description": 3000}
    html = rendered(fields_of({}))
    for name, control in fields.items():
        assert str(control.hint) in html  # For those without a script.
        assert f'data-count-of="field-{name}" data-limit="{control.counted}"' in html
        assert f'data-over="{control.over}"' in html
