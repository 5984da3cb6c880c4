"""Pages over a catalog of the largest size, in which no two controls share a name of anything."""

from __future__ import annotations

import time
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from app.features.accounts.home_layout import keep_cards
from app.features.accounts.models import Person
from app.features.secure_score.actions.action_list import MOST_OPTIONS
from app.features.secure_score.reports.listed_categories import MOST_CATEGORIES
from app.features.secure_score.sync.json_values import MOST_OBJECTS
from tests.factories.hostile import LARGEST_ANSWER
from tests.factories.hostile_catalog import keep_hostile_catalog, long_name
from tests.factories.system import System

pytestmark = pytest.mark.thorough

# Far above what a page takes, with coverage measured too: the growth it is here to find took more than 14 seconds without.
MOST_SECONDS = 10.0
CHOSEN = urlencode([(kind, long_name(kind, number)) for number in range(12) for kind in ("category", "tier")])
PAGES = (
    "/",
    "/secure-score",
    "/secure-score?include=planned&include=achievable&include=licence",
    "/secure-score/actions",
    "/secure-score/actions?group=category",
    "/secure-score/actions?group=tier&page=50",
    f"/secure-score/actions?{CHOSEN}",
    "/secure-score/actions/C7",
    "/secure-score/actions/C7?tab=history",
    "/secure-score/history",
    f"/secure-score/history?{urlencode({'category': long_name('category', 4321)})}",
    "/secure-score/trends",
    f"/secure-score/trends?{urlencode({'category': long_name('category', 4321)})}",
    "/secure-score/imports",
)


async def test_no_page_grows_with_the_names_of_the_catalog(system: System) -> None:
    await keep_hostile_catalog(system.resources.database, system.resources.config.tenant_id)
    sizes, seconds, pages = {}, {}, {}
    async with await system.signed_in("manager") as browser:
        async with system.resources.database.transaction() as session:
            person_id = (await session.execute(select(Person.id))).scalar_one()
            await keep_cards(session, person_id, ["score", "review", "top", "categories", "imports"])
        for path in (*PAGES, "/secure-score/actions.csv"):
            began = time.process_time()
            answer = await browser.get(path)
            seconds[path] = time.process_time() - began
            assert answer.status_code == 200, path
            sizes[path], pages[path] = len(answer.content), answer.text
    # The file holds every action, so it grows with them alone.
    assert sizes.pop("/secure-score/actions.csv") < MOST_OBJECTS * 3_000
    assert {path: size for path, size in sizes.items() if size >= LARGEST_ANSWER} == {}
    assert {path: spent for path, spent in seconds.items() if spent >= MOST_SECONDS} == {}
    rest = f"{MOST_OBJECTS - MOST_CATEGORIES} smaller categories are summed here."
    assert rest in pages["/"]
    assert rest in pages["/secure-score"]
    assert f"{MOST_OPTIONS} of {MOST_OBJECTS} are listed. Search finds the others." in pages["/secure-score/actions"]
    for name in ("history", "trends"):
        assert f"{MOST_CATEGORIES} of {MOST_OBJECTS} categories are listed." in pages[f"/secure-score/{name}"]
