""" "Manage ServiceNow configuration": state names, defaults for new tickets, own columns, re-provision and remove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, StringConstraints

from app.core.errors import AppError, InvalidInput
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected
from app.features.connection.connection_view import ConnectionView
from app.features.connection.preferences import Preferences
from app.features.provisioning.configure import (
    Proposals,
    find_groups,
    forget_state_names,
    load_configuration,
    save_columns,
    save_proposals,
    save_sender_named,
    save_state_names,
)
from app.features.secure_score.vocabulary import Category
from app.features.tickets.polling.state_names import StateNameLine, category_choices, list_state_names
from app.features.tickets.ticket_fields import copied_fields
from app.features.tickets.types import DEFAULT_KIND, KINDS, PRIORITY_NAMES, KindSpec, TicketKind
from app.resources import Resources
from app.web.dependencies import Db, Manager, Res
from app.web.forms import parse, read_form
from app.web.rate_limits import limited
from app.web.routing import PageRouter, redirect_to
from app.web.templating import render

router = PageRouter(prefix="/servicenow/settings")
# The form refuses what is no number at all; the feature checks the limits again and names the field.
Days = Annotated[int, Field(ge=0, le=3650)]
Priority = Annotated[int, Field(ge=1, le=5)]
CATEGORIES = [
    (category.value, name)
    for category, name in (
        (Category.IDENTITY, T("Identity")),
        (Category.DATA, T("Data")),
        (Category.DEVICES, T("Devices")),
        (Category.APPS, T("Apps")),
        (Category.INFRASTRUCTURE, T("Infrastructure")),
    )
]


class DefaultsForm(BaseModel):
    """What the share form proposes."""

    kind: TicketKind = DEFAULT_KIND
    priority_high: Priority
    priority_moderate: Priority
    priority_low: Priority
    due_1: Days
    due_2: Days
    due_3: Days
    due_4: Days
    due_5: Days
    category: Literal["", "Identity", "Data", "Devices", "Apps", "Infrastructure"] = ""
    group_name: Annotated[str, StringConstraints(max_length=80)] = ""
    after_done: Literal["new", "reopen"] = "new"


@dataclass(frozen=True)
class SettingsPage:
    """All settings of the connection; `typed` and `errors` belong to the form named by `form`."""

    connection: ConnectionView
    preferences: Preferences
    states: Mapping[str, Sequence[StateNameLine]]
    groups: Sequence[tuple[str, Message]]
    priorities: Sequence[tuple[int, Message]]
    items: Mapping[str, Message]
    categories: Sequence[tuple[str, Message]]
    kinds: Sequence[KindSpec]
    kind_choices: Sequence[tuple[str, Message]]
    default_kind: TicketKind = DEFAULT_KIND
    form: str = ""
    typed: dict[str, str] = field(default_factory=dict)
    errors: dict[str, Message] = field(default_factory=dict)
    problem: Message | None = None
    saved: str = ""


@dataclass(frozen=True)
class GroupsPage:
    """Names of groups that match what was typed, for the field's list."""

    names: Sequence[str]


@router.get("", name="configuration.page")
async def show(request: Request, _viewer: Manager, resources: Res, saved: str = "") -> Response:
    return await _show(request, resources, saved=saved)


@router.get("/groups", name="configuration.groups", dependencies=[limited("look_up")])
async def groups(request: Request, _viewer: Manager, resources: Res, group_name: str = "") -> Response:
    try:
        found = await find_groups(resources, group_name)
    except AppError:
        # The field works without proposals; saving says what is wrong.
        found = []
    return render(request, "servicenow/_groups.html", GroupsPage([group.name for group in found]))


@router.post("/states/{kind}", name="configuration.name_states")
async def name_states(request: Request, viewer: Manager, resources: Res, kind: TicketKind) -> Response:
    typed = await read_form(request)
    try:
        async with resources.database.transaction() as session:
            await save_state_names(session, viewer, kind, typed)
    except AppError as error:
        return await _show(request, resources, 422, form=kind, typed=typed, problem=_first_sentence(error))
    return redirect_to("configuration.page", saved="states", anchor=kind)


@router.post("/states/{kind}/reset", name="configuration.reset_states")
async def forget_names(viewer: Manager, session: Db, kind: TicketKind) -> Response:
    await forget_state_names(session, viewer, kind)
    return redirect_to("configuration.page", saved="states", anchor=kind)


@router.post("/defaults", name="configuration.set_defaults")
async def set_defaults(request: Request, viewer: Manager, resources: Res) -> Response:
    typed = await read_form(request)
    form = parse(typed, DefaultsForm)
    if form.values is None:
        return await _show(request, resources, 422, form="defaults", typed=typed, errors=form.errors)
    values = form.values
    wanted = Proposals(
        kind=values.kind,
        priorities={"high": values.priority_high, "moderate": values.priority_moderate, "low": values.priority_low},
        due_days={1: values.due_1, 2: values.due_2, 3: values.due_3, 4: values.due_4, 5: values.due_5},
        category=values.category,
        group_name=values.group_name,
        after_done=values.after_done,
    )
    try:
        await save_proposals(resources, viewer, wanted)
    except InvalidInput as error:
        return await _show(request, resources, 422, form="defaults", typed=typed, errors=error.fields)
    except AppError as error:
        return await _show(request, resources, 409, form="defaults", typed=typed, problem=error.message)
    return redirect_to("configuration.page", saved="defaults", anchor="defaults")


@router.post("/sender", name="configuration.name_sender")
async def name_sender(request: Request, viewer: Manager, session: Db) -> Response:
    """Any other value than "yes" leaves the name out: in doubt, less is sent."""
    try:
        await save_sender_named(session, viewer, named=(await read_form(request)).get("named") == "yes")
    except NotConnected:
        return redirect_to("connect.form")
    return redirect_to("configuration.page", saved="sender", anchor="sender")


@router.post("/columns/{kind}", name="configuration.set_columns")
async def set_columns(request: Request, viewer: Manager, resources: Res, kind: TicketKind) -> Response:
    typed = await read_form(request)
    try:
        await save_columns(resources, viewer, kind, {item: typed.get(item, "") for item in copied_fields()})
    except InvalidInput as error:
        return await _show(request, resources, 422, form=f"columns-{kind}", typed=typed, errors=error.fields)
    except AppError as error:
        return await _show(request, resources, 409, form=f"columns-{kind}", typed=typed, problem=error.message)
    return redirect_to("configuration.page", saved="columns", anchor=f"columns-{kind}")


async def _show(
    request: Request,
    resources: Resources,
    status: int = 200,
    *,
    form: str = "",
    typed: dict[str, str] | None = None,
    errors: dict[str, Message] | None = None,
    problem: Message | None = None,
    saved: str = "",
) -> Response:
    connection, preferences = await load_configuration(resources)
    if connection is None:
        # Without a connection there is nothing to configure.
        return redirect_to("connect.form")
    async with resources.database.transaction() as session:
        states = {kind.value: await list_state_names(session, kind) for kind in TicketKind}
    page = SettingsPage(
        connection=connection,
        preferences=preferences,
        states=states,
        groups=category_choices(),
        priorities=list(PRIORITY_NAMES.items()),
        items={name: field.sent_as for name, field in copied_fields().items()},
        categories=CATEGORIES,
        kinds=list(KINDS.values()),
        kind_choices=[(kind.value, spec.title) for kind, spec in KINDS.items()],
        form=form,
        typed=typed or {},
        errors=errors or {},
        problem=problem,
        saved=saved,
    )
    return render(request, "servicenow/settings.html", page, status=status)


def _first_sentence(error: AppError) -> Message:
    fields = list(error.fields.values()) if isinstance(error, InvalidInput) else []
    return fields[0] if fields else error.message
