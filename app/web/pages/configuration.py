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
from app.features.accounts.audit import log_action
from app.features.connection.connection_view import ConnectionView
from app.features.connection.preferences import ITEMS, Preferences
from app.features.provisioning.configure import Proposals, current, find_groups, save_columns, save_proposals
from app.features.secure_score.actions.action import Category
from app.features.tickets.polling.state_names import (
    StateNameLine,
    group_choices,
    list_state_names,
    reset_state_names,
    set_state_name,
)
from app.features.tickets.types import PRIORITY_NAMES
from app.resources import Resources
from app.web.dependencies import Db, Manager, Res
from app.web.forms import parse, read_form
from app.web.routing import PageRouter, redirect_to
from app.web.templating import render

router = PageRouter(prefix="/servicenow/settings")
Kinds = Literal["change", "incident"]
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
ITEM_NAMES = {
    "requested_by": T("User ID of the sender"),
    "name": T("Task name"),
    "description": T("Description"),
    "priority": T("Priority"),
    "due_date": T("Due date"),
    "source": T("Recommendation source"),
    "category": T("Recommendation category"),
}


class DefaultsForm(BaseModel):
    """What the share form proposes."""

    kind: Kinds = "change"
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
    """Everything that can be decided; `typed` and `errors` belong to the form named by `form`."""

    connection: ConnectionView
    preferences: Preferences
    states: Mapping[str, Sequence[StateNameLine]]
    groups: Sequence[tuple[str, Message]]
    priorities: Sequence[tuple[int, Message]]
    items: Mapping[str, Message]
    categories: Sequence[tuple[str, Message]]
    form: str = ""
    typed: dict[str, str] = field(default_factory=dict)
    errors: dict[str, Message] = field(default_factory=dict)
    problem: Message | None = None
    saved: str = ""


@dataclass(frozen=True)
class GroupsPage:
    """Names that a text may mean."""

    names: Sequence[str]


@router.get("", name="configuration.page")
async def show(request: Request, _viewer: Manager, resources: Res, saved: str = "") -> Response:
    """Everything that can be decided."""
    return await _show(request, resources, saved=saved)


@router.get("/groups", name="configuration.groups")
async def groups(request: Request, _viewer: Manager, resources: Res, group_name: str = "") -> Response:
    """Names of groups, for the field to offer."""
    try:
        found = await find_groups(resources, group_name)
    except AppError:
        found = []
    return render(request, "servicenow/_groups.html", GroupsPage([group.name for group in found]))


@router.post("/states/{kind}", name="configuration.name_states")
async def name_states(request: Request, viewer: Manager, resources: Res, kind: Kinds) -> Response:
    """Own labels and groups for all states of a kind; one bad line changes none."""
    typed = await read_form(request)
    try:
        async with resources.database.transaction() as session:
            for line in await list_state_names(session, kind):
                label = typed.get(f"label:{line.value}", line.own_label)
                group = typed.get(f"group:{line.value}", line.group)
                if (label, group) != (line.own_label, line.group):
                    await set_state_name(session, kind, line.value, own_label=label, group=group)
                    await log_action(
                        session,
                        viewer,
                        T("State name changed"),
                        kind=kind,
                        renamed=line.label,
                        called=label,
                        group=group,
                    )
    except AppError as error:
        return await _show(request, resources, 422, form=kind, typed=typed, problem=_words(error))
    return redirect_to("configuration.page", saved="states", anchor=kind)


@router.post("/states/{kind}/reset", name="configuration.reset_states")
async def forget_names(viewer: Manager, session: Db, kind: Kinds) -> Response:
    """The instance's own names again."""
    await reset_state_names(session, kind)
    await log_action(session, viewer, T("State names reset"), kind=kind)
    return redirect_to("configuration.page", saved="states", anchor=kind)


@router.post("/defaults", name="configuration.set_defaults")
async def set_defaults(request: Request, viewer: Manager, resources: Res) -> Response:
    """What the share form proposes, and the group that tickets are assigned to."""
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


@router.post("/columns/{kind}", name="configuration.set_columns")
async def set_columns(request: Request, viewer: Manager, resources: Res, kind: Kinds) -> Response:
    """Own columns that take a copy of a data item, checked against the instance."""
    typed = await read_form(request)
    try:
        await save_columns(resources, viewer, kind, {item: typed.get(item, "") for item in ITEMS})
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
    connection, preferences = await current(resources)
    if connection is None:
        return redirect_to("connect.form")
    async with resources.database.transaction() as session:
        states = {kind: await list_state_names(session, kind) for kind in ("change", "incident")}
    page = SettingsPage(
        connection=connection,
        preferences=preferences,
        states=states,
        groups=group_choices(),
        priorities=list(PRIORITY_NAMES.items()),
        items=ITEM_NAMES,
        categories=CATEGORIES,
        form=form,
        typed=typed or {},
        errors=errors or {},
        problem=problem,
        saved=saved,
    )
    return render(request, "servicenow/settings.html", page, status=status)


def _words(error: AppError) -> Message:
    fields = list(error.fields.values()) if isinstance(error, InvalidInput) else []
    return fields[0] if fields else error.message
