"""Saves which type or model new change requests have, chosen from what the instance offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.core.errors import AppError, InvalidInput
from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.connection.active_connection import NotConnected
from app.features.connection.authorize import ONE_AT_A_TIME
from app.features.connection.connection_view import connection_view
from app.features.connection.gateway import ServiceNowClient
from app.features.connection.preferences import NORMAL_CHANGE, ChangeType, keep_preferences, load_preferences
from app.features.provisioning.field_lines import ask
from app.integrations.servicenow.field_lookup import FoundRecord, list_active_choices, list_change_models
from app.integrations.servicenow.schemas import FieldChoice
from app.resources import Resources

# Those of the base system, for instances that do not let us read the list. docs/facts/servicenow.md#4-2-change-request
KNOWN_TYPES = (
    NORMAL_CHANGE,
    ChangeType("type", "standard", "Standard"),
    ChangeType("type", "emergency", "Emergency"),
)
# More are no choice for people who share.
MOST_OFFERED = 50


@dataclass(frozen=True)
class OfferedTypes:
    """`types_read`: the types are the instance's own; otherwise they are those of the base system."""

    types: Sequence[ChangeType]
    models: Sequence[ChangeType]
    types_read: bool

    @property
    def all(self) -> list[ChangeType]:
        return [*self.types, *self.models]


@dataclass(frozen=True)
class ChangeTypeForm:
    """What may be chosen and what is chosen; `offered` holds the chosen one in any case, also where nothing can be asked."""

    offered: OfferedTypes
    chosen: ChangeType
    may_choose: bool


async def load_change_types(resources: Resources) -> ChangeTypeForm:
    """The form for the change type. An instance that cannot be asked offers the types of the base system."""
    async with resources.database.transaction() as session:
        connection = await connection_view(session)
        preferences = await load_preferences(session, connection.id if connection else None)
    try:
        offered = await offered_change_types(resources)
    except AppError:
        offered = OfferedTypes(KNOWN_TYPES, (), types_read=False)
    chosen = preferences.change_type
    if chosen.key not in {one.key for one in offered.all}:
        models = [chosen] if chosen.column == "chg_model" else []
        types = [chosen] if chosen.column == "type" else []
        offered = OfferedTypes([*offered.types, *types], [*offered.models, *models], types_read=offered.types_read)
    return ChangeTypeForm(offered, chosen, may_choose=bool(preferences.change_types))


async def offered_change_types(resources: Resources) -> OfferedTypes:
    """What the instance offers. Raises NotConnected, InstancePaused or a RemoteError."""

    async def work(client: ServiceNowClient) -> tuple[list[FieldChoice], list[FoundRecord]]:
        choices = await list_active_choices(client, "change_request", ["type"])
        return choices.get("type", []), await list_change_models(client)

    choices, models = await ask(resources, work)
    types = [ChangeType("type", choice.value, choice.label) for choice in choices]
    return OfferedTypes(
        types=types[:MOST_OFFERED] or KNOWN_TYPES,
        models=[ChangeType("chg_model", model.sys_id, model.name) for model in models[:MOST_OFFERED]],
        types_read=bool(types),
    )


async def save_change_type(resources: Resources, viewer: Viewer, key: str, *, may_choose: bool) -> None:
    """New change requests have this type or model; `may_choose`: people may choose another one when they share.

    Raises InvalidInput for one that the instance does not offer, NotConnected, or a RemoteError.
    """
    offered = await offered_change_types(resources)
    wanted = next((one for one in offered.all if one.key == key), None)
    if wanted is None:
        raise InvalidInput(fields={"change_type": T("The instance does not offer this one, or no longer.")})
    async with resources.database.transaction() as session:
        await session.execute(ONE_AT_A_TIME)
        connection = await connection_view(session)
        if connection is None:
            raise NotConnected
        before = await load_preferences(session, connection.id)
        choices = offered.all if may_choose else []
        await keep_preferences(session, connection.id, replace(before, change_type=wanted, change_types=choices))
        await log_action(
            session, viewer, T("Change type changed"), instance=connection.instance_name, column=wanted.column,
            value=wanted.label, may_choose="yes" if may_choose else "no",
        )  # fmt: skip
