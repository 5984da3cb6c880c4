"""Read the choice list of the field `state` from the instance, once a day and per table. Changes no ticket."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, insert

from app.core import clock
from app.core.logging import get_logger
from app.core.unforeseen import is_unforeseen, kind_of
from app.features.connection.active_connection import NotConnected, active_connection
from app.features.connection.gateway import InstancePaused, ServiceNowClient, call
from app.features.connection.models import ConnectionStatus
from app.features.tickets.models import StateChoice
from app.features.tickets.polling.poll_plan import cursor_of
from app.features.tickets.types import TABLES, TicketKind
from app.integrations.http.errors import RemoteError
from app.integrations.servicenow.schemas import FieldChoice
from app.resources import Resources

log = get_logger(__name__)

# Choices change when an administrator customizes the instance, which is rare, and each read counts against its limits.
READ_EVERY = timedelta(hours=24)


async def read_choices(resources: Resources, *, even_if_fresh: bool = False) -> None:
    """Store the states that both tables list. A list that cannot be read leaves the stored one as it is."""
    async with resources.database.transaction() as session:
        connection = await active_connection(session)
    if connection is None or connection.status != ConnectionStatus.CONNECTED:
        return
    for kind in TicketKind:
        if not even_if_fresh and not await _is_due(resources, connection.id, kind):
            continue

        # Needs the role personalize_choices on many instances (docs/facts/servicenow.md#3-6-roles-for-the-integration-user).
        # The rows are those of docs/facts/servicenow.md#4-4-choices, which names the vendor's page.
        async def fetch(client: ServiceNowClient, kind: TicketKind = kind) -> list[FieldChoice]:
            return await client.choices(TABLES[kind], "state")

        try:
            choices = await call(resources, fetch, connection_id=connection.id)
        except (NotConnected, InstancePaused, RemoteError) as error:
            log.info("ticket.state_choices.not_read", kind=kind, error=type(error).__name__, reason=str(error.message))
            continue
        try:
            await _store(resources, connection.id, kind, choices)
        except Exception as error:
            if not is_unforeseen(error):
                raise
            # The list as it was is better than none, and the other table has its own.
            log.exception("ticket.state_choices.not_stored", kind=kind, error=kind_of(error))


async def _is_due(resources: Resources, connection_id: UUID, kind: TicketKind) -> bool:
    async with resources.database.transaction() as session:
        read_at = (await cursor_of(session, connection_id, kind)).choices_read_at
    return read_at is None or clock.now() - read_at > READ_EVERY


async def _store(resources: Resources, connection_id: UUID, kind: TicketKind, choices: Sequence[FieldChoice]) -> None:
    async with resources.database.transaction() as session:
        (await cursor_of(session, connection_id, kind)).choices_read_at = clock.now()
        # Without the role some instances answer an empty list instead of 403 (docs/facts/servicenow.md#trap-36).
        if not choices:
            return
        await session.execute(
            delete(StateChoice).where(StateChoice.connection_id == connection_id, StateChoice.kind == kind)
        )
        # By value, because one is listed once for each language and for each value that it depends on.
        labels = {choice.value: choice.label for choice in choices if choice.value}
        await session.execute(
            insert(StateChoice),
            [
                {"connection_id": connection_id, "kind": kind, "value": value, "label": label}
                for value, label in labels.items()
            ],
        )
