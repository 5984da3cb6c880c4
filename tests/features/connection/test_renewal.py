"""A refusal of the token service that may pass is repeated, rarely, and the connection works again by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from app.core import clock
from app.core.clock import SetClock
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected
from app.features.connection.gateway import Lane, call
from app.features.connection.jobs import recover as recover_job
from app.features.connection.models import Connection
from app.features.connection.renewal import renew_now
from app.features.connection.token_errors import NoToken
from app.features.connection.tokens import TOKEN_REFUSED, mark_attention, plan_retry
from app.integrations.servicenow.oauth import NAMED_CAUSES, NOT_RENEWED
from tests.factories.connecting import connections, expire, requests, said, trouble
from tests.factories.system import System


async def refused(system: System) -> Connection:
    """A connection whose renewal is refused, without a final cause."""
    await system.connect()
    await expire(system)
    system.servicenow.instance.switches.refresh_tokens_expired = True
    with pytest.raises(NotConnected):
        await call(system.resources, lambda client: client.whoami(), lane=Lane.INTERACTIVE)
    [connection] = await connections(system)
    assert connection.status == "needs_attention"
    system.servicenow.instance.journal.clear()
    return connection


async def make_due(system: System) -> None:
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(next_renewal_at=clock.now() - timedelta(seconds=1)))


def test_a_refusal_is_repeated_after_1_5_and_30_minutes_and_then_hourly(still_clock: SetClock) -> None:
    connection = Connection(renewal_refusals=0)
    waits = []
    for _ in range(6):
        plan_retry(connection, NOT_RENEWED)
        assert connection.next_renewal_at is not None
        waits.append((connection.next_renewal_at - still_clock.now()) / timedelta(minutes=1))
    assert waits == [1, 5, 30, 60, 60, 60]


@pytest.mark.parametrize("cause", sorted(NAMED_CAUSES))
def test_a_cause_that_is_named_is_final(cause: str) -> None:
    connection = Connection(renewal_refusals=0)
    plan_retry(connection, NAMED_CAUSES[cause])
    assert connection.next_renewal_at is None


@pytest.mark.fact("servicenow 1.5")
async def test_the_clock_asks_again_and_the_connection_works_again_by_itself(system: System) -> None:
    await refused(system)
    await recover_job.function(system.resources)
    assert requests(system, "/oauth_token.do") == []  # Not yet: a minute has to pass.
    system.servicenow.instance.switches.refresh_tokens_expired = False
    await make_due(system)
    await recover_job.function(system.resources)
    assert len(requests(system, "/oauth_token.do")) == 1
    [connection] = await connections(system)
    assert (connection.status, connection.attention, connection.next_renewal_at) == ("connected", None, None)
    assert await call(system.resources, lambda client: client.whoami(), lane=Lane.INTERACTIVE)
    manager = await system.signed_in("manager")
    log = [line["what"] for line in (await manager.get("/servicenow/audit.json")).json()]
    assert "Connection works again" in log


async def test_a_refusal_that_stays_is_asked_for_ever_more_rarely(system: System) -> None:
    await refused(system)
    await make_due(system)
    await recover_job.function(system.resources)
    [connection] = await connections(system)
    assert connection.status == "needs_attention"
    assert connection.renewal_refusals == 2
    assert connection.next_renewal_at is not None
    assert connection.next_renewal_at > clock.now() + timedelta(minutes=4)
    await recover_job.function(system.resources)
    assert len(requests(system, "/oauth_token.do")) == 1


async def test_a_final_cause_that_is_named_later_ends_the_repetition(system: System) -> None:
    await refused(system)
    system.servicenow.instance.switches.rfc_token_errors = True
    with pytest.raises(NotConnected):
        await renew_now(system.resources)
    [connection] = await connections(system)
    assert connection.attention is not None
    assert Message.from_json(connection.attention).code == "oauth.invalid_grant"
    assert connection.next_renewal_at is None


async def test_check_all_again_restores_a_connection_whose_refusal_has_passed(system: System) -> None:
    await refused(system)
    manager = await system.signed_in("manager")
    page = said(await manager.get("/ticketProvisioning"))
    assert "Check all again" in page
    assert "We ask again" in page
    system.servicenow.instance.switches.refresh_tokens_expired = False
    await manager.post("/ticketProvisioning/check")
    await system.work()
    [connection] = await connections(system)
    assert connection.status == "connected"
    assert "ServiceNow is connected." in said(await manager.get("/ticketProvisioning"))


async def test_an_account_that_was_locked_for_a_while_needs_no_new_consent(system: System) -> None:
    connection = await system.connect()
    await mark_attention(system.resources, connection.id, TOKEN_REFUSED)
    system.servicenow.fault("signed_out", path="/api/now/v2/table/sys_user")
    with pytest.raises(NotConnected):
        await renew_now(system.resources)
    assert (await connections(system))[0].status == "needs_attention"
    await renew_now(system.resources)
    assert (await connections(system))[0].status == "connected"


async def test_what_only_a_person_can_repair_is_not_asked_again(system: System) -> None:
    connection = await system.connect()
    await mark_attention(system.resources, connection.id, T("Authorize again."))
    system.servicenow.instance.journal.clear()
    with pytest.raises(NotConnected):
        await renew_now(system.resources)
    assert requests(system, "/oauth_token.do") == []


async def test_an_answer_that_is_lost_while_it_is_asked_again_is_named_when_the_next_one_is_refused(
    system: System,
) -> None:
    await refused(system)
    trouble(system, "dropped", path="/oauth_token.do")
    with pytest.raises(NoToken):
        await renew_now(system.resources)
    with pytest.raises(NotConnected):
        await renew_now(system.resources)
    [connection] = await connections(system)
    assert connection.attention is not None
    assert Message.from_json(connection.attention).code == "oauth.refresh_answer_lost_and_refused"
