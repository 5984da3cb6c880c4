"""The exported list: harmless cells, and texts read in one statement."""

from __future__ import annotations

import pytest

from app.core.database import Database
from app.core.spreadsheet import safe_cell
from app.features.secure_score.actions.action_rows import load_lines
from app.features.secure_score.actions.export import as_csv, load_texts
from tests.factories.graph_payloads import TENANT, keep, profile, score, snapshot


@pytest.mark.fact("microsoft-graph edge-34")
@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+3.24 %", "'+3.24 %"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("  =1", "'  =1"),
        ("plain", "plain"),
        ("-5", "-5"),
        ("3.24", "3.24"),
        ("", ""),
        ("- a list", "'- a list"),
        ("a=b", "a=b"),
        ("\uff1dSUM(A1)", "'\uff1dSUM(A1)"),
        (" \uff0b1", "' \uff0b1"),
        ("\uff0d1", "'\uff0d1"),
        ("\uff20SUM(A1)", "'\uff20SUM(A1)"),
    ],
)
def test_cells_that_a_spreadsheet_would_run_are_defused(cell: str, safe: str) -> None:
    assert safe_cell(cell) == safe


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
    assert ",d,r,A" in as_csv(lines, {}, texts)
