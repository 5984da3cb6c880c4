"""The only way from a feature to ServiceNow's API: token, pause, slot, hourly budget, outcome, call log. No retry of its own.

`call` is the interface. Nothing else in `app` may import the ServiceNow client: a contract in pyproject.toml keeps that.
Why it is built this way: docs/decisions/0006-one-gateway.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from app.features.connection.active_connection import NotConnected, usable_connection
from app.features.connection.call_log import keep_calls
from app.features.connection.slots import CallUnderWay, InstancePaused, Lane, release_slot, wait_for_slot
from app.features.connection.tokens import TOKEN_REFUSED, LiveToken, live_token, mark_attention
from app.integrations.http.errors import RemoteError, Unauthorized
from app.integrations.servicenow.client import ServiceNowClient
from app.resources import Resources

__all__ = ["InstancePaused", "Lane", "NotConnected", "ServiceNowClient", "call", "call_with_token"]

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
    current = await wait_for_slot(resources, connection_id, lane)
    try:
        answer = await _answer(resources, current, work)
        current.answered = True
    except RemoteError as error:
        current.trouble = error
        raise
    finally:
        # Shielded: a caller that is cancelled gives its slot back, too.
        await asyncio.shield(release_slot(resources, current))
    return answer


async def call_with_token(resources: Resources, work: Work[Returned], *, origin: str, access_token: str) -> Returned:
    """The answer of `work`, called with a token that no connection holds: just granted, or just revoked.

    Takes no slot and knows no pause: without a connection nothing else of ours calls this instance.
    """
    try:
        return await work(ServiceNowClient(resources.servicenow, origin, access_token))
    finally:
        await keep_calls(resources)


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
    client = ServiceNowClient(resources.servicenow, live.origin, live.access_token)
    answer = await work(client)
    current.hourly_limit = client.hourly_limit
    return answer
