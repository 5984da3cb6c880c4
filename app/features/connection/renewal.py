"""Renew the access token when it is asked for, and after a refusal that may pass: the connection then works again by itself.

A refusal that names no final cause is repeated rarely, by the clock and whenever a person has the connection checked.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.exc import DBAPIError

from app.core import clock
from app.core.errors import AppError
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.features.accounts.audit import log_action
from app.features.connection.active_connection import NotConnected, active_connection
from app.features.connection.call_log import keep_calls
from app.features.connection.gateway import InstancePaused, ServiceNowClient, call_with_token
from app.features.connection.models import Connection, ConnectionStatus
from app.features.connection.token_errors import NoToken, RefreshAnswerLost
from app.features.connection.tokens import (
    LOCK_WAIT,
    LOST_AND_REFUSED,
    TOKEN_REFUSED,
    LiveToken,
    is_lock_timeout,
    live_token,
    plan_retry,
    refreshed,
    still_good,
    store_tokens,
    to_the_end,
    was_answer_lost_before,
)
from app.integrations.http.errors import RemoteError, Unauthorized
from app.resources import Resources

log = get_logger(__name__)


async def renew_now(resources: Resources) -> None:
    """Refresh the access token although it may live: the only way to know that this works.

    Also where a refusal is on record that may pass. Raises NotConnected and NoToken, as `gateway.call` does.
    """
    if await recover(resources):
        return
    try:
        live = await live_token(resources, None)
        await live_token(resources, live.connection_id, stale_version=live.version)
    finally:
        await keep_calls(resources)


async def recover_if_due(resources: Resources) -> None:
    """Ask again after a refusal that may pass, if it is time; all steps are checked once the connection works again."""
    async with resources.database.transaction() as session:
        connection = await active_connection(session)
    due = connection.next_renewal_at if connection is not None else None
    if connection is None or due is None or due > clock.now():
        return
    try:
        recovered = await recover(resources)
    except (NotConnected, NoToken, InstancePaused):
        return  # Said on every page; the next time is planned.
    if recovered:
        async with resources.database.transaction() as session:
            # By name: provisioning lies above this feature and is not imported here.
            await resources.queue.defer(session, "provisioning.start", connection_id=str(connection.id))


async def recover(resources: Resources) -> bool:
    """Ask again after a refusal that may pass; True when the connection works again, False when there is none on record.

    Raises NotConnected while ServiceNow goes on refusing, NoToken and InstancePaused when it could not be asked.
    """
    async with resources.database.transaction() as session:
        connection = await active_connection(session)
    if connection is None or not _may_recover(connection):
        return False
    try:
        return await to_the_end(_recover(resources, connection.id))
    except DBAPIError as error:
        if is_lock_timeout(error):
            raise NoToken from error
        raise
    finally:
        await keep_calls(resources)


def _may_recover(connection: Connection) -> bool:
    return connection.status == ConnectionStatus.NEEDS_ATTENTION and connection.next_renewal_at is not None


async def _recover(resources: Resources, connection_id: UUID) -> bool:
    failed: AppError | None = None
    live: LiveToken | None = None
    async with resources.database.transaction() as session:
        # The row's lock makes refreshes single: docs/decisions/0004-one-refresh-at-a-time.md
        await session.execute(LOCK_WAIT)
        connection = await session.get(Connection, connection_id, with_for_update=True)
        if connection is None or not _may_recover(connection):
            return False  # Authorized again or removed meanwhile, or another process was faster.
        try:
            store_tokens(resources, connection, await refreshed(resources, connection, tries=1))
        except Unauthorized as error:
            sentence = LOST_AND_REFUSED if was_answer_lost_before(connection, error) else error.message
            _still_refused(connection, sentence)
            failed = NotConnected(sentence)
        except NoToken as error:
            # Nothing was said of the grant, so the sentence that stands remains.
            if isinstance(error, RefreshAnswerLost):
                # A rotated token may have been spent by it, and the next refusal then has this cause.
                connection.refresh_answer_lost_at = clock.now()
            plan_retry(connection, _attention(connection))
            failed = error
        else:
            live = still_good(resources, connection)
    if failed is not None:
        raise failed
    if live is None:
        raise NoToken
    return await _use(resources, live)


async def _use(resources: Resources, live: LiveToken) -> bool:
    """The connection works again if the API takes the new token: an access policy or a locked account refuse it there."""
    refused = False
    try:
        await call_with_token(resources, ServiceNowClient.whoami, origin=live.origin, access_token=live.access_token)
    except Unauthorized:
        refused = True
    except RemoteError as error:
        # It said nothing of the token; what it did say, the next call meets as well.
        log.info("connection.recovery.not_tried", outcome=type(error).__name__)
    async with resources.database.transaction() as session:
        connection = await session.get(Connection, live.connection_id, with_for_update=True)
        if connection is None or not _may_recover(connection) or connection.token_version != live.version:
            return False
        if refused:
            _still_refused(connection, TOKEN_REFUSED)
        else:
            connection.status, connection.status_changed_at = ConnectionStatus.CONNECTED, clock.now()
            connection.attention = connection.next_renewal_at = None
            connection.renewal_refusals = 0
            await log_action(session, None, T("Connection works again"), instance=connection.instance_name)
            log.info("connection.recovered", connection=str(connection.id))
    if refused:
        raise NotConnected(TOKEN_REFUSED)
    return True


def _still_refused(connection: Connection, sentence: Message) -> None:
    if sentence.code != _attention(connection).code:
        connection.attention, connection.status_changed_at = sentence.to_json(), clock.now()
    plan_retry(connection, sentence)


def _attention(connection: Connection) -> Message:
    return Message.from_json(connection.attention) if connection.attention else Message("")
