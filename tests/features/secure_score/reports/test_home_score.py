"""The score of the home page, read along with something else, is what the pages of the score read by themselves."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.features.provisioning.home_state import home_state
from app.features.secure_score.reports.home_score import home_score, score_columns, score_of
from app.features.secure_score.reports.no_score import why_no_score
from app.features.secure_score.reports.score_summary import score_card
from app.features.secure_score.sync.runs import list_runs
from tests.factories.statements import counted
from tests.factories.system import System

CHANGES = (
    "",
    "UPDATE score_snapshot SET points = points + 0.123456789012345, max_points = 300",
    "UPDATE score_snapshot SET points = NULL, max_points = NULL",
    "TRUNCATE score_snapshot CASCADE",
    "UPDATE import_run SET status = 'failed', problem = '{\"message\": \"Broken.\"}'",
    "UPDATE import_run SET status = 'running', heard_at = '2020-01-01T00:00:00Z'",
    "TRUNCATE import_run",
)


@pytest.mark.parametrize("is_connected", [True, False])
async def test_it_is_the_same_by_itself_and_with_the_state(scored: System, *, is_connected: bool) -> None:
    if is_connected:
        await scored.connect()
    config = scored.resources.config
    for change in CHANGES:
        async with scored.resources.database.transaction() as session:
            await session.execute(text(change or "SELECT 1"))
        async with scored.resources.database.transaction() as session:
            alone = await home_score(session, config)
            assert alone.card == await score_card(session, config.shown_tenant_id)
            assert alone.why_none == await why_no_score(session, config)
            assert alone.run == next(iter(await list_runs(session, config.shown_tenant_id, limit=1)), None)
            with counted(scored.resources.database) as seen:
                state = await home_state(session, (), score_columns(config.shown_tenant_id))
            assert len(seen) == (1 if is_connected else 2)
            assert score_of(config, state.also) == alone
