"""Fixed values for columns of new tickets, and the type of change requests: a page per ticket kind for administrators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response

from app.core.errors import AppError, InvalidInput
from app.core.messages import Message
from app.features.provisioning.field_form import FieldForm, FieldLine, FormRequest, load_form, one_line
from app.features.provisioning.field_lines import TypedValue
from app.features.provisioning.save_change_type import save_change_type
from app.features.provisioning.save_field_values import MOST_VALUES, save_field_values
from app.features.tickets.types import KINDS, KindSpec, TicketKind
from app.resources import Resources
from app.web.dependencies import Manager, Res
from app.web.forms import read_form
from app.web.rate_limits import limited
from app.web.routing import PageRouter, redirect_to
from app.web.templating import render

router = PageRouter(prefix="/servicenow/settings/fields")
# Labels that a link brings along: as many as a refusal is read for.
MOST_NEEDED = 20
# A line of a reference has four; one form may hold some lines too many, which is told and not answered with 400.
MOST_FIELDS = 4 * 2 * MOST_VALUES
Needed = Annotated[list[str], Query(default_factory=list, max_length=MOST_NEEDED)]


@dataclass(frozen=True)
class FieldValuesPage:
    """`saved` says which form was just saved."""

    spec: KindSpec
    kinds: Sequence[KindSpec]
    form: FieldForm
    problem: Message | None = None
    errors: Mapping[str, Message] = field(default_factory=dict)
    saved: str = ""
    most: int = MOST_VALUES


@dataclass(frozen=True)
class FoundPage:
    """The records that fit what was typed for a reference, and that text."""

    line: FieldLine
    seen: str


@router.get("/{kind}", name="field_values.page")
async def show(
    request: Request, _viewer: Manager, resources: Res, kind: TicketKind, needed: Needed, saved: str = ""
) -> Response:
    return await _show(request, resources, kind, FormRequest(needed=needed), saved=saved)


@router.get("/{kind}/records/{column}", name="field_values.records", dependencies=[limited("look_up")])
async def found_records(request: Request, _viewer: Manager, resources: Res, kind: TicketKind, column: str) -> Response:
    """The choices of a reference, for htmx, while a name is typed."""
    values = request.query_params
    search = values.get(f"search:{column}", "").strip()[:100]
    typed = TypedValue(values.get(f"value:{column}", ""), search, search)
    line = await one_line(resources, kind, column, typed)
    if line is None:
        return redirect_to("connect.form")
    return render(request, "servicenow/_found.html", FoundPage(line, search))


@router.post("/{kind}", name="field_values.save")
async def save(request: Request, viewer: Manager, resources: Res, kind: TicketKind) -> Response:
    """Save the lines; or add a line, remove one, or search, and show the form again with all that was typed."""
    fields = await read_form(request, most_fields=MOST_FIELDS)
    do = fields.get("do", "")
    typed = {column: one for column, one in _typed(fields).items() if do != f"remove:{column}"}
    if do != "save":
        needed = [fields["add"]] if do == "add" and fields.get("add") else []
        return await _show(request, resources, kind, FormRequest(needed=needed, typed=typed))
    try:
        await save_field_values(resources, viewer, kind, typed)
    except InvalidInput as error:
        asked = FormRequest(typed=typed, errors=error.fields)
        return await _show(request, resources, kind, asked, status=422, problem=error.message)
    except AppError as error:
        return await _show(request, resources, kind, FormRequest(typed=typed), status=409, problem=error.message)
    return redirect_to("field_values.page", anchor="values", kind=kind.value, saved="values")


@router.post("/change/type", name="field_values.save_type")
async def set_change_type(request: Request, viewer: Manager, resources: Res) -> Response:
    fields = await read_form(request)
    try:
        await save_change_type(
            resources, viewer, fields.get("change_type", ""), may_choose=fields.get("may_choose") == "true"
        )
    except InvalidInput as error:
        return await _show(request, resources, TicketKind.CHANGE, FormRequest(), status=422, errors=error.fields)
    except AppError as error:
        return await _show(request, resources, TicketKind.CHANGE, FormRequest(), status=409, problem=error.message)
    return redirect_to("field_values.page", anchor="type", kind=TicketKind.CHANGE.value, saved="type")


def _typed(fields: Mapping[str, str]) -> dict[str, TypedValue]:
    """The lines of the form, in their order, each with what was typed for it."""
    columns = [name.removeprefix("line:")[:80] for name in fields if name.startswith("line:")]
    return {
        column: TypedValue(*(fields.get(f"{part}:{column}", "") for part in ("value", "search", "seen")))
        for column in columns
    }


async def _show(
    request: Request,
    resources: Resources,
    kind: TicketKind,
    asked: FormRequest,
    *,
    status: int = 200,
    problem: Message | None = None,
    errors: Mapping[str, Message] | None = None,
    saved: str = "",
) -> Response:
    form = await load_form(resources, kind, asked)
    if form is None:
        # Without a connection there is nothing to configure.
        return redirect_to("connect.form")
    page = FieldValuesPage(
        spec=KINDS[kind],
        kinds=list(KINDS.values()),
        form=form,
        problem=problem or form.problem,
        errors=errors or {},
        saved=saved,
    )
    return render(request, "servicenow/fields.html", page, status=status)
