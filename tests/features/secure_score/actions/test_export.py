"""The exported list: its texts are read in one statement."""

from __future__ import annotations

from app.core.database import Database
from app.features.secure_score.actions.action_rows import load_lines
from app.features.secure_score.actions.export import as_csv, load_texts
from tests.factories.graph_payloads import TENANT, keep, profile, score, snapshot


async def test_texts_of_all_actions_are_read_in_one_go(database: Database) -> None:
    await keep(
        database,
        snapshots=[snapshot(controls=[score("A", description="<p>d</p>")])],
        profiles=[profile("A", remediation="r")],
    )
    async with database.transaction() as session:
        texts = await load_texts(session, TENANT)
        lines = await load_lines(session, TENANT)
    assert texts == {"A": ("<p>d</p>", "r")}
    assert '"d","r","4","10","6","A"' in as_csv(lines, {}, texts)
