"""The only way from a feature to ServiceNow's API: token, pause, slot, hourly budget, outcome, call log. No retry of its own.

`call` is the interface, `call_in_slot` for who keeps its slot from one call to the next; `call_with_token` and `ping` are for
calls without a connection's token. Nothing else in `app` may import the ServiceNow client: a contract in pyproject.toml keeps
that, and says what does not come through here. Why it is built this way: docs/decisions/0006-one-gateway.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select

from app.features.connection.active_connection import NotConnected, usable_connection
from app.features.connection.call_log import keep_calls
from app.features.connection.models import Connection
from app.features.connection.slots import CallUnderWay, InstancePaused, Lane, release_slot, wait_for_slot
from app.features.connection.stored_origin import check_stored_origin
from app.features.connection.token_errors import WrongKeys
from app.features.connection.tokens import TOKEN_REFUSED, LiveToken, live_token, mark_attention, stored_token
from app.integrations.http.errors import RemoteError, Unauthorized
from app.integrations.servicenow.client import PingResponse, ServiceNowClient
from app.integrations.servicenow.client import ping as ping_instance
from app.resources import Resources

__all__ = [
    "InstancePaused",
    "Lane",
    "NotConnected",
    "ServiceNowClient",
    "call",
    "call_in_slot",
    "call_with_token",
    "ping",
]

Returned = TypeVar("Returned")
Work = Callable[[ServiceNowClient], Awaitable[Returned]]


async def call(
    resources: Resources, work: Work[Returned], *, connection_id: UUID | None = None, lane: Lane = Lane.BACKGROUND
) -> Returned:
    """The answer of `work`, called with a client whose token is live; `connection_id` insists on that connection.

    A 401 is believed once: the token is renewed and `work` called a second time from its beginning. So let `work` be one
    request, or repeatable; a request that was refused with 401 was not done.

    Raises InstancePaused and NoToken (nothing was sent), NotConnected (also when renewing is refused: the connection
    then needs attention), and what `work` raises.
    """
    if connection_id is None:
        async with resources.database.transaction() as session:
            connection_id = (await usable_connection(session)).id
    read_token = partial(stored_token, resources, connection_id)
    current = await wait_for_slot(resources, connection_id, lane, read_token=read_token)
    return await _in_slot(resources, current, lambda: _answer(resources, current, work))


async def call_in_slot(resources: Resources, current: CallUnderWay, work: Work[Returned]) -> Returned:
    """As `call`, in a slot that the caller holds and whose token it has read. What came of it is left in `current`.

    The slot stays taken. After a failure the caller ends it with `release_slot`, which records the outcome.
    """
    try:
        answer = await _answer(resources, current, work)
    except WrongKeys:
        raise
    except RemoteError as error:
        current.trouble = error
        raise
    current.answered = True
    return answer


async def call_with_token(resources: Resources, work: Work[Returned], *, origin: str, access_token: str) -> Returned:
    """The answer of `work`, called with a token that no connection holds: just granted, or just revoked.

    Raises InstancePaused when the slot of interactive calls stays taken (nothing was sent), and what `work` raises.
    """
    check_stored_origin(resources, origin)
    client = ServiceNowClient(resources.servicenow, origin, access_token)
    return await _call_beside(resources, origin, lambda: work(client))


async def ping(resources: Resources, origin: str) -> PingResponse:
    """Call the API without any token: who answers there, and what time it is. Raises InstancePaused and RemoteError."""
    check_stored_origin(resources, origin)
    return await _call_beside(resources, origin, lambda: ping_instance(resources.servicenow, origin))


async def _call_beside(resources: Resources, origin: str, request: Callable[[], Awaitable[Returned]]) -> Returned:
    """Make a call without a connection's token, beside those that jobs may be making to the same instance.

    An instance that is connected, or was, has a row: the slot of interactive calls is taken there, so that a consent that
    is given again, or a check, comes on top of at most four other calls. Pauses and the budget are those of that lane.
    Only an instance that was never connected has no row, and nothing else of ours calls it.
    """
    query = select(Connection.id).where(Connection.origin == origin)
    async with resources.database.transaction() as session:
        connection_id = (await session.execute(query)).scalar_one_or_none()
    if connection_id is None:
        try:
            return await request()
        finally:
            await keep_calls(resources)
    current = await wait_for_slot(resources, connection_id, Lane.INTERACTIVE)
    return await _in_slot(resources, current, request)


async def _in_slot(resources: Resources, current: CallUnderWay, request: Callable[[], Awaitable[Returned]]) -> Returned:
    try:
        answer = await request()
        current.answered = True
    except WrongKeys:
        # Trouble of this process alone: calls of those that hold the key do not pause for it.
        raise
    except RemoteError as error:
        current.trouble = error
        raise
    finally:
        # Shielded: a caller that is cancelled gives its slot back, too. The outcome is recorded there: a 429 to a job's
        # call pauses the calls of all jobs (throttle.record_failure).
        await asyncio.shield(release_slot(resources, current))
    return answer


async def _answer(resources: Resources, current: CallUnderWay, work: Work[Returned]) -> Returned:
    # Usually read together with the slot; otherwise it is renewed now, while the slot is held.
    current.live = live = current.live or await live_token(resources, current.connection_id, stale_version=None)
    try:
        return await _ask(resources, current, work, live)
    except Unauthorized:
        current.live = live = await live_token(resources, current.connection_id, stale_version=live.version)
    try:
        return await _ask(resources, current, work, live)
    except Unauthorized as error:
        # A fresh token is refused: by the account's state or by an access policy, which answers 401 as well.
        # docs/facts/servicenow.md#1-9-sso-and-ip-filtering
        await mark_attention(resources, live.connection_id, TOKEN_REFUSED, token_version=live.version)
        raise NotConnected(TOKEN_REFUSED) from error


async def _ask(resources: Resources, current: CallUnderWay, work: Work[Returned], live: LiveToken) -> Returned:
    check_stored_origin(resources, live.origin)
    client = ServiceNowClient(resources.servicenow, live.origin, live.access_token)
    answer = await work(client)
    current.hourly_limit = client.hourly_limit
    return answer
