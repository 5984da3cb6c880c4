"""What each card of the home page reads is in its topics, so that no card is older than its rows."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text

from app.core.database import Base
from app.features.accounts.permissions import Role
from app.features.tickets.types import TicketKind
from app.web.home_cards import CARDS, TICKETS, Card, HomeData
from tests.factories.connecting import a_worker
from tests.factories.statements import counted
from tests.factories.system import System
from tests.factories.tickets import an_action, refresh_now, share_one
from tests.web.test_home_cards import person

# What the statement of all lists of actions, and the one of the home page's state, read for others.
NOT_SHOWN = {name: {"action_note"} for name in ("review", "top", "categories")} | {
    "results": {"poll_cursor", "instance_throttle", "provisioning_step"},
}
OF_TOPIC = text(
    "SELECT c.relname, encode(t.tgargs, 'escape') FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
    " JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.proname = 'bump_topic'"
)


async def topics_by_table(system: System) -> dict[str, set[str]]:
    topics: dict[str, set[str]] = {"ticket": set(TICKETS), "ticket_tally": set(TICKETS)}
    async with system.resources.database.transaction() as session:
        for table, argument in (await session.execute(OF_TOPIC)).all():
            topics.setdefault(table, set()).add(argument.removesuffix("\\000"))
    return topics


async def tables_read(system: System, card: Card) -> set[str]:
    with counted(system.resources.database) as seen:
        async with system.resources.database.transaction() as session:
            data = HomeData(person(Role.MANAGER), system.resources.config)
            data.kinds = tuple(kind for kind in TicketKind if kind == card.name)
            await card.load(data, session)
    words = {word for statement in seen for word in re.findall(r"\w+", statement)}
    return words & set(Base.metadata.tables)


@pytest.mark.parametrize("is_filled", [True, False])
async def test_every_table_that_a_card_reads_is_of_one_of_its_topics(scored: System, is_filled: bool) -> None:
    await scored.connect()
    if is_filled:
        await a_worker(scored)
        await share_one(scored, TicketKind.CHANGE, action=an_action())
        await refresh_now(scored)
    else:
        async with scored.resources.database.transaction() as session:
            await session.execute(text("TRUNCATE score_snapshot, improvement_action CASCADE"))
    topics = await topics_by_table(scored)
    for card in CARDS:
        read = await tables_read(scored, card) - NOT_SHOWN.get(card.name, set())
        assert bool(read) == (card.name != "connect")
        assert {table for table in read if not topics.get(table, set()) & set(card.topics)} == set(), card.name
