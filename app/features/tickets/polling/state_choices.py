"""Reads from the instance which states its tickets can have, where our role allows it. Changes no ticket."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, insert

from app.core import clock
from app.core.logging import get_logger
from app.features.connection.active_connection import NotConnected, active_connection
from app.features.connection.gateway import InstancePaused, ServiceNowClient, call
from app.features.tickets.models import StateChoice
from app.features.tickets.polling.poll import cursor_of
from app.features.tickets.types import TABLES, TicketKind
from app.integrations.http.errors import RemoteError
from app.integrations.servicenow.schemas import FieldChoice
from app.resources import Resources

log = get_logger(__name__)

# Choices change when somebody customises the instance; once a day is often enough.
READ_EVERY = timedelta(hours=24)


async def read_choices(resources: Resources, *, even_if_fresh: bool = False) -> None:
    """Both tables' states, once a day. What may not be read (role `personalize_choices`) leaves what we had."""
    async with resources.database.transaction() as session:
        connection = await active_connection(session)
    if connection is None or connection.status != "connected":
        return
    for kind in TicketKind:
        if not even_if_fresh and not await _is_due(resources, connection.id, kind):
            continue

        async def question(client: ServiceNowClient, kind: TicketKind = kind) -> list[FieldChoice]:
            return await client.choices(TABLES[kind], "state")

        try:
            choices = await call(resources, question, connection_id=connection.id)
        except (NotConnected, InstancePaused, RemoteError) as error:
            log.info("states not readable", kind=kind, why=str(error))
            continue
        await _keep(resources, connection.id, kind, choices)


async def _is_due(resources: Resources, connection_id: UUID, kind: TicketKind) -> bool:
    async with resources.database.transaction() as session:
        read_at = (await cursor_of(session, connection_id, kind)).choices_read_at
    return read_at is None or clock.now() - read_at > READ_EVERY


async def _keep(resources: Resources, connection_id: UUID, kind: TicketKind, choices: Sequence[FieldChoice]) -> None:
    async with resources.database.transaction() as session:
        (await cursor_of(session, connection_id, kind)).choices_read_at = clock.now()
        if not choices:
            return  # Hidden rows look like none.
        await session.execute(
            delete(StateChoice).where(StateChoice.connection_id == connection_id, StateChoice.kind == kind)
        )
        rows = {choice.value: choice.label for choice in choices if choice.value}
        await session.execute(
            insert(StateChoice),
            [
                {"connection_id": connection_id, "kind": kind, "value": value, "label": label}
                for value, label in rows.items()
            ],
        )
