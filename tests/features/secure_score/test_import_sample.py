"""A real tenant's answers, where they are at hand, and an equally messy made-up pair of files otherwise."""

from __future__ import annotations

from pathlib import Path

from app.features.secure_score.import_scores import import_from_files
from app.foundation.database import Database
from dataclasses import replace
from tests.factories.house import House
import time

async def test_x(house: House) -> None:
    folder = Path("/work/shared/data")
    config = replace(house.resources.config, shown_tenant_id="12345678-1234-1234-1234-1234567890abcd")
    for _ in range(2):
        t = time.time()
        report = await import_from_files(house.resources.database, config, scores=folder / "heimdall2-secureScore.json", profiles=folder / "heimdall2-profiles.json")
        print(report); print(time.time() - t)
    from app.features.secure_score.jobs import keep_up
    t = time.time()
    await keep_up.function(house.resources)
    print(time.time() - t)
    from app.features.secure_score.runs import list_runs
    from app.features.secure_score.score_summary import score_card
    from app.features.secure_score.lines import load_lines
    async with house.resources.database.transaction() as s:
        print(await list_runs(s, house.resources.config.tenant_id))
        print(await score_card(s, house.resources.config.tenant_id))
        ls = await load_lines(s, house.resources.config.tenant_id)
        print([l for l in ls if l.regressed_on])
        from sqlalchemy import text
        print((await s.execute(text("select day, kind, count(*) from score_change where tenant_id=:t group by 1,2 order by 1"), {"t": house.resources.config.tenant_id})).all())
