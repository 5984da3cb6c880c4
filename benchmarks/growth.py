"""Whether pages take longer with more tickets: two web processes over two databases, asked by turns.

One database has 1,000 tickets and as many tickets' actions, the other 1,000,000 and 300,000; both have 1,000 improvement
actions. One connection asks for a page of the one and then of the other. *Changed*: before each request one ticket takes
another state and every topic's version rises, so that nothing can be answered from what was kept. *Warm*: nothing changes.
"""

from __future__ import annotations

import asyncio
import http.client
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import psycopg

from benchmarks.figures import number, say_figure, table
from benchmarks.installation import Installation, Server, import_actions
from benchmarks.load import percentile
from benchmarks.many_tickets import seed

SMALL = (1_000, 1_000)
LARGE = (1_000_000, 300_000)
QUICK_LARGE = (10_000, 3_000)
ACTIONS, QUICK_ACTIONS, DAYS = 1_000, 200, 30
READS, WARM_READS = 100, 60
LEAST_READS, QUICK_READS = 10, 5
# A page that takes longer than that in all is asked less often.
PAGE_SECONDS = 25.0
# One ticket of the newest takes the other of two states; then each topic counts as changed.
MOVE = """
UPDATE ticket SET (state, state_label) = (SELECT s, l FROM (VALUES ('1', 'New'), ('2', 'In Progress')) v (s, l)
    WHERE s <> ticket.state ORDER BY s LIMIT 1)
WHERE id = (SELECT id FROM ticket WHERE kind = 'incident' ORDER BY created_at DESC, id LIMIT 1)
"""


@dataclass
class Size:
    """One database and its web process: a connection of each that stays open."""

    rows: psycopg.Connection[Any]
    web: Server
    headers: dict[str, str]
    _browser: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self._browser = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=60)

    def change(self) -> None:
        """Change what every page shows."""
        with self.rows.transaction():
            self.rows.execute(MOVE)
            if self.rows.execute("SELECT to_regclass('page_version')").fetchone() != (None,):
                self.rows.execute("UPDATE page_version SET version = version + 1")

    def read(self, path: str) -> float:
        """Milliseconds until the whole page is here. Raises RuntimeError when the answer is not 200."""
        began = time.perf_counter()
        self._browser.request("GET", path, headers=self.headers)
        answer = self._browser.getresponse()
        answer.read()
        took = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            raise RuntimeError(f"{path} was answered {answer.status}")
        return took

    def close(self) -> None:
        self._browser.close()
        self.rows.close()


def searches(rows: psycopg.Connection[Any]) -> list[str]:
    """A number that one ticket has, the beginning of half of all numbers, a word of many names, and what no ticket has."""
    found = rows.execute(
        "SELECT number, name FROM ticket WHERE kind = 'incident' ORDER BY created_at LIMIT 1"
    ).fetchone()
    assert found is not None
    return [found[0], found[0][:6], found[1].split()[0], "zzqx nothing"]


def by_turns(
    sizes: tuple[Size, Size], paths: list[str], reads: int, *, changed: bool
) -> tuple[list[float], list[float]]:
    """Times of both sizes, asked by turns; each of the paths equally often."""
    times: tuple[list[float], list[float]] = ([], [])
    for size in sizes:
        for path in paths:
            size.read(path)
    began = time.monotonic()
    for number_of_read in range(reads):
        if number_of_read >= LEAST_READS and time.monotonic() - began > PAGE_SECONDS:
            break
        path = paths[number_of_read % len(paths)]
        for size, into in zip(sizes, times, strict=True):
            if changed:
                size.change()
            into.append(size.read(path))
    return times


def measure(sizes: tuple[Size, Size], reads: int, warm_reads: int) -> tuple[list[tuple[str, ...]], dict[str, float]]:
    """Rows of the table, and how much slower each page is at the large size."""
    found = searches(sizes[0].rows)
    pages = {
        "home": ["/"],
        "card": ["/cards/incident"],
        "tickets": ["/tickets"],
        "search": [f"/tickets?q={quote(word)}" for word in found],
        "actions": ["/secure-score/actions"],
    }
    rows: list[tuple[str, ...]] = []
    ratios: dict[str, float] = {}
    for name, paths in pages.items():
        for changed in (True, False):
            small, large = by_turns(sizes, paths, reads if changed else warm_reads, changed=changed)
            ratio = percentile(large, 0.95) / percentile(small, 0.95)
            if changed:
                ratios[name] = ratio
            rows.append(_row(name, changed, small, large, ratio))
    for word, path in zip(found, pages["search"], strict=True):
        small, large = by_turns(sizes, [path], max(reads // 4, QUICK_READS), changed=True)
        rows.append(_row(f"search for “{word}”", True, small, large, percentile(large, 0.95) / percentile(small, 0.95)))  # noqa: FBT003
    return rows, ratios


def _row(name: str, changed: bool, small: list[float], large: list[float], ratio: float) -> tuple[str, ...]:  # noqa: FBT001
    middles = percentile(large, 0.5) / percentile(small, 0.5)
    return (
        name, "changed" if changed else "warm", str(len(small)), number(percentile(small, 0.5)),
        number(percentile(large, 0.5)), number(middles), number(percentile(small, 0.95)), number(percentile(large, 0.95)),
        number(ratio),
    )  # fmt: skip


async def run(made: Installation, *, quick: bool = False) -> None:
    """Print the table and the figures."""
    large = QUICK_LARGE if quick else LARGE
    template = import_actions(made, QUICK_ACTIONS if quick else ACTIONS, 3 if quick else DAYS)
    with ExitStack() as stack:
        opened = []
        for tickets, actions in (SMALL, large):
            url = stack.enter_context(made.copy(template))
            began = time.monotonic()
            await seed(url, tickets, actions)
            seconds = time.monotonic() - began
            print(f"{tickets:,} tickets and {actions:,} tickets' actions, made in {seconds:.0f} s.")
            size = Size(psycopg.connect(url, autocommit=True), stack.enter_context(made.web(url)), made.headers)
            stack.callback(size.close)
            opened.append(size)
        small_and_large = (opened[0], opened[1])
        reads, warm_reads = (QUICK_READS, QUICK_READS) if quick else (READS, WARM_READS)
        rows, ratios = await asyncio.to_thread(measure, small_and_large, reads, warm_reads)
    headings = (
        "page", "state", "requests", f"p50 ms at {SMALL[0]:,}", f"at {large[0]:,}", "ratio", f"p95 ms at {SMALL[0]:,}",
        f"at {large[0]:,}", "ratio",
    )  # fmt: skip
    print(f"\n{table(headings, rows, words=2)}\n")
    say_figure("growth_home_1m", ratios["home"])
    say_figure("growth_card_1m", ratios["card"])
    say_figure("growth_tickets_1m", ratios["tickets"])
    say_figure("growth_search_1m", ratios["search"])
    say_figure("growth_actions_300k", ratios["actions"])
    print()
