"""Many tickets are those of any other share, as far as pages can tell."""

from __future__ import annotations

import psycopg

from benchmarks.growth import MOVE, searches
from benchmarks.many_tickets import seed
from tests.factories.database import fresh_database


async def test_tickets_and_their_actions_are_made(postgres: str) -> None:
    with fresh_database(postgres) as url:
        await seed(url, 200, 300)
        await seed(url, 10, 0)
        with psycopg.connect(url, autocommit=True) as rows:
            found = rows.execute("SELECT kind, delivery, state_label, count(*) FROM ticket GROUP BY 1, 2, 3").fetchall()
            assert {(kind, label): number for kind, _, label, number in found} == {
                ("incident", "Closed"): 75, ("incident", "In Progress"): 15, ("incident", "New"): 15,
                ("change", "Closed"): 75, ("change", "Implement"): 15, ("change", "New"): 15,
            }  # fmt: skip
            assert {delivery for _, delivery, _, _ in found} == {"shared"}
            assert rows.execute(
                "SELECT count(DISTINCT connection_id), count(DISTINCT number) FROM ticket"
            ).fetchall() == [(1, 210)]
            of_actions = "SELECT count(*), count(DISTINCT ticket_id), count(DISTINCT control_id) FROM ticket_action"
            assert rows.execute(of_actions).fetchall() == [(300, 200, 300)]
            # The second call's tickets are older than all of the first, so that the newest stay the same.
            newest = rows.execute("SELECT number FROM ticket ORDER BY created_at DESC LIMIT 1").fetchall()
            assert newest == [("CHG0000001",)]


async def test_searches_find_what_is_there_and_a_change_moves_the_newest_incident(postgres: str) -> None:
    with fresh_database(postgres) as url:
        await seed(url, 40, 0)
        with psycopg.connect(url, autocommit=True) as rows:
            one, many, word, nothing = searches(rows)
            hits = [
                rows.execute(
                    "SELECT count(*) FROM ticket WHERE name || ' ' || number ILIKE %s", [f"%{text}%"]
                ).fetchone()
                for text in (one, many, word, nothing)
            ]
            assert hits == [(1,), (20,), (8,), (0,)]
            states = []
            for _ in range(3):
                rows.execute(MOVE)
                states += rows.execute("SELECT state FROM ticket WHERE number = 'INC0000002'").fetchall()
            assert len({state for (state,) in states}) == 2
            assert states[0] == states[2]
