"""Whether creating is allowed is shown by tickets: what refused them is found by name, and the first that arrives ends it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.features.connection.connection_view import connection_view
from app.features.connection.models import Connection
from app.features.provisioning.diagnose import walk
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.grant import check_consent
from app.features.provisioning.look import Look
from app.features.tickets import mend
from app.features.tickets.models import Ticket
from app.features.tickets.ticket import Kind
from app.foundation import clock
from app.foundation.clock import SetClock
from app.foundation.text import T
from tests.factories.connecting import said
from tests.factories.house import House
from tests.factories.tickets import read_ticket, run_due_and_waiting, share_one


async def walked(house: House) -> dict[str, Finding]:
    return {finding.key: finding async for finding in walk(house.resources)}


@pytest.mark.parametrize(
    ("kind", "table", "role"),
    [(Kind.INCIDENT, "incident", "sn_incident_write"), (Kind.CHANGE, "change_request", "sn_change_write")],
)
async def test_a_refused_create_is_a_missing_role_until_the_first_ticket_arrives(
    house: House, kind: Kind, table: str, role: str
) -> None:
    await house.connect()
    house.snow.instance.switches.acl_refuses = f"{table}.create"
    ticket_id = await share_one(house, kind)
    key = f"role_missing.{table}.create"
    before = await walked(house)
    assert key not in before  # Nothing could know it yet ...
    assert before[f"table_{kind.value}"].state is State.UNKNOWN  # ... nor that it works.
    assert "Only the first ticket proves it" in str(before[f"table_{kind.value}"].meaning)
    await run_due_and_waiting(house, rounds=3)
    assert (await read_ticket(house, ticket_id)).delivery == "held"

    finding = (await walked(house))[key]
    assert finding.is_problem
    assert "ACL Exception Insert Failed" in str(finding.meaning)
    assert "(1 held)" in str(finding.meaning)
    assert role in str(finding.advice)
    assert "send the held tickets again" in str(finding.advice)
    assert "m365.integration" in str(finding.screen)
    assert role in str(finding.message)

    house.snow.instance.switches.acl_refuses = ""
    async with house.resources.database.transaction() as session:
        await mend.retry(session, house.resources.queue, ticket_id, by="Somebody")
    await run_due_and_waiting(house)
    found = await walked(house)
    assert key not in found
    assert found[f"table_{kind.value}"].state is State.GOOD
    assert "was created" in str(found[f"table_{kind.value}"].meaning)


async def _held(house: House, ticket_id: Any, sentence: str, **changes: Any) -> None:
    """The ticket as it stands after ServiceNow has refused its creation with these words."""
    now = clock.now()
    known = {"delivery": "held", "refusals": 2, "sent_at": now, "attempted_at": now, "landing_until": None}
    problem = T("ServiceNow refused: %(reason)s", reason=sentence).to_json()
    async with house.resources.database.transaction() as session:
        await session.execute(update(Ticket).where(Ticket.id == ticket_id).values(problem=problem, **(known | changes)))


RULE = "Operation Failed – Data Policy Exception: The following fields are mandatory: Assignment group"


async def test_a_business_rule_is_told_from_a_missing_role(house: House) -> None:
    await house.connect()
    house.snow.instance.switches.mandatory_on_create = "assignment_group"
    first = await share_one(house, Kind.INCIDENT)
    await run_due_and_waiting(house, rounds=3)
    finding = (await walked(house))["create_refused.incident"]
    assert finding.is_problem  # None has ever arrived.
    assert "Assignment group" in str(finding.meaning)
    assert "Data Policies" in str(finding.screen)
    assert "m365.integration" in str(finding.message)

    async with house.resources.database.transaction() as session:
        await mend.give_up(session, house.resources.queue, first, by="Somebody")
    house.snow.instance.switches.mandatory_on_create = ""
    await share_one(house, Kind.INCIDENT)
    await house.work()
    assert "create_refused.incident" not in await walked(house)
    await _held(house, await share_one(house, Kind.INCIDENT), RULE)
    # Others arrive, so the table's card need not be hidden.
    assert not (await walked(house))["create_refused.incident"].is_problem


@pytest.mark.parametrize(
    "changes",
    [{"sent_at": None}, {"refusals": 0}, {"landing_until": clock.now()}, {"delivery": "given_up"}],
    ids=["never sent", "not refused", "may have landed", "given up"],
)
async def test_what_was_not_refused_on_creating_proves_nothing(house: House, changes: dict[str, Any]) -> None:
    await house.connect()
    await _held(house, await share_one(house, Kind.INCIDENT), RULE, **changes)
    assert "create_refused.incident" not in await walked(house)


async def test_a_new_consent_makes_old_refusals_history(house: House) -> None:
    await house.connect()
    await _held(house, await share_one(house, Kind.INCIDENT), RULE)
    async with house.resources.database.transaction() as session:
        await session.execute(update(Connection).values(connected_at=clock.now() + timedelta(seconds=1)))
    assert "create_refused.incident" not in await walked(house)


@pytest.mark.parametrize(
    ("seconds", "key", "words", "on_the_page"),
    [
        (172_800, "consent_ends_soon", "in 2 days", "The consent ends in 2 days."),
        (86_400, "consent_ends_soon", "less than two days", "The consent ends in 1 day."),
        (86_399, "consent_ends_soon", "less than two days", "The consent ends within a day."),
        (1, "consent_ends_soon", "less than two days", "The consent ends within a day."),
        (0, "consent_expired", "has expired", "The consent has ended."),
        (-1, "consent_expired", "has expired", "The consent has ended."),
    ],
)
async def test_a_consent_is_over_when_its_moment_has_come_and_not_a_day_before(
    house: House, still_clock: SetClock, seconds: int, key: str, words: str, on_the_page: str
) -> None:
    await house.connect()
    async with house.resources.database.transaction() as session:
        ends = still_clock.now() + timedelta(seconds=seconds)
        await session.execute(update(Connection).values(refresh_expires_at=ends))
    async with house.resources.database.transaction() as session:
        connection = await connection_view(session)
    assert connection is not None
    finding = await check_consent(Look(house.resources, connection))
    assert finding.key == key
    assert words in str(finding.meaning)
    assert on_the_page in said(await (await house.signed_in("manager")).get("/servicenow"))
