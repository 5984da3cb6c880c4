"""Saves which type or model new change requests have, chosen from what the instance offers."""

from __future__ import annotations

from dataclasses import replace

from app.core.errors import InvalidInput
from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.connection.active_connection import NotConnected
from app.features.connection.authorize import ONE_AT_A_TIME
from app.features.connection.connection_view import connection_view
from app.features.connection.gateway import ServiceNowClient
from app.features.connection.preferences import keep_preferences, load_preferences
from app.features.provisioning.change_types import OfferedTypes, offered_types
from app.features.provisioning.field_lines import ask
from app.integrations.servicenow.field_lookup import FoundRecord, list_active_choices, list_change_models
from app.integrations.servicenow.schemas import FieldChoice
from app.resources import Resources


async def offered_change_types(resources: Resources) -> OfferedTypes:
    """What the instance offers. Raises NotConnected, InstancePaused or a RemoteError."""

    async def work(client: ServiceNowClient) -> tuple[list[FieldChoice], list[FoundRecord]]:
        choices = await list_active_choices(client, "change_request", ["type"])
        return choices.get("type", []), await list_change_models(client)

    choices, models = await ask(resources, work)
    return offered_types(choices, models)


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
