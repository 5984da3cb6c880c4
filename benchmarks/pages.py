"""Pages of a real web process beside the bare page, alternately in one run: requests per second at 1, 16 and 64 connections.

A signed-in Security Administrator, 1,580 tickets, everything warm. What is divided are two measurements that followed one
another; the figure is the median of these ratios.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from benchmarks.figures import number, say_figure, table
from benchmarks.installation import Installation, Server, running, wait_until
from benchmarks.load import LoadOutcome, Order, drive_apart
from benchmarks.many_tickets import seed
from tests.factories.servers import free_port
from tests.factories.servicenow import CONTEXT

TICKETS = 1_580
CONNECTIONS, QUICK_CONNECTIONS = (1, 16, 64), (16, 64)
PUBLISHED = 16
ROUNDS, SECONDS = 3, 2.5
WARM_SECONDS = 0.3
TIMEOUT_SECONDS = 2.0
CARD = "/cards/incident"
# An open page asks for each of its two ticket cards four times a minute (data-refresh in templates/home/_ticket_card.html).
CARDS_PER_SECOND_OF_A_PAGE = 2 / 15


@dataclass(frozen=True)
class Page:
    """What is asked for; `size` is that of its answer, which the bare page it is compared with has as well."""

    name: str
    path: str
    size: int
    etag: str = ""
    expect: tuple[int, ...] = (200,)


@dataclass
class Measured:
    """All rounds of one page at one number of connections; `ratios` to the bare page just before."""

    ratios: list[float] = field(default_factory=list)
    outcomes: list[LoadOutcome] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def row(self, connections: int, name: str) -> tuple[str, ...]:
        middle = statistics.median
        got = self.outcomes
        errors = sum(sum(one.errors.values()) for one in got)
        ratio = number(middle(self.ratios)) if self.ratios else ""
        return (
            name, str(connections), number(middle(one.rate for one in got)), ratio,
            number(middle(one.p50 for one in got)), number(middle(one.p95 for one in got)),
            str(sum(one.timeouts for one in got)), str(errors), f"{middle(self.busy) * 1000:.0f}",
        )  # fmt: skip


HEADINGS = (
    "page", "connections", "requests/s", "of bare", "p50 ms", "p95 ms", "time-outs", "errors", "µs of its process",
)  # fmt: skip


@contextmanager
def bare_server(made: Installation) -> Iterator[Server]:
    """The bare page's process."""
    port = free_port()
    with running(made.log("bare"), made.environment, "benchmarks.bare_page", str(port)) as process:
        server = Server(port, process)
        wait_until(lambda: _status(f"{server.url}/bare") == 200, "the bare page answers")
        yield server


def _status(url: str) -> int:
    try:
        return httpx.get(url, timeout=5, verify=CONTEXT).status_code
    except httpx.TransportError:
        return 0


def measure(
    server: Server, page: Page, headers: dict[str, str], connections: int, seconds: float
) -> tuple[LoadOutcome, float]:
    """The outcome, and how many milliseconds of processor time the server's process took for each answer."""
    before = sum(server.process.cpu_times()[:2])
    outcome = drive_apart(
        Order(
            "127.0.0.1",
            server.port,
            page.path,
            headers,
            connections,
            seconds,
            timeout=TIMEOUT_SECONDS,
            warm_seconds=WARM_SECONDS,
            etag=page.etag,
            expect=page.expect,
        )
    )
    return outcome, (sum(server.process.cpu_times()[:2]) - before) * 1000 / max(outcome.all_answers, 1)


def pages_of(web: Server, headers: dict[str, str]) -> list[Page]:
    """Home and the card, with and without an ETag. Without that of the answer there is no page that is not changed."""
    with httpx.Client(base_url=web.url, headers=headers, timeout=60, verify=CONTEXT) as browser:
        home, card = browser.get("/").raise_for_status(), browser.get(CARD).raise_for_status()
    found = [
        Page("home", "/", len(home.content)),
        Page("card, sent each time", CARD, len(card.content)),
    ]
    if etag := card.headers.get("etag", ""):
        # Its text may change by itself meanwhile: then it is sent once, and asked for by its new ETag.
        found.append(Page("card, not changed", CARD, len(card.content), etag, (304, 200)))
    return found


def compare(
    web: Server, bare: Server, headers: dict[str, str], connection_counts: Sequence[int], *, rounds: int, seconds: float
) -> dict[tuple[str, int], Measured]:
    """Measure each page by turns with the bare page of its size."""
    found: dict[tuple[str, int], Measured] = {}
    for connections in connection_counts:
        for _ in range(rounds):
            for page in pages_of(web, headers):
                beside = Page(f"bare page of {page.size:,} bytes", f"/bare?bytes={page.size}", page.size)
                minimum, used = measure(bare, beside, {}, connections, seconds)
                line = found.setdefault((beside.name, connections), Measured())
                line.outcomes.append(minimum)
                line.busy.append(used)
                outcome, used = measure(web, page, headers, connections, seconds)
                line = found.setdefault((page.name, connections), Measured())
                line.outcomes.append(outcome)
                line.busy.append(used)
                line.ratios.append(outcome.rate / minimum.rate if minimum.rate else 0.0)
    return found


def is_unchanged(measured: Measured) -> bool:
    """Whether nearly every answer was a 304."""
    statuses = [one.statuses for one in measured.outcomes]
    unchanged = sum(one.get("304", 0) for one in statuses)
    return unchanged >= 0.9 * sum(sum(one.values()) for one in statuses)


def sizing(found: dict[tuple[str, int], Measured]) -> str:
    """What one web process carries on this machine."""
    rows: list[tuple[str, ...]] = []
    for name, seconds in (("home", 0.0), ("card, sent each time", 1.0), ("card, not changed", 1.0)):
        if (name, PUBLISHED) in found:
            rate = statistics.median(one.rate for one in found[name, PUBLISHED].outcomes)
            open_pages = f"{rate / CARDS_PER_SECOND_OF_A_PAGE:,.0f}" if seconds else ""
            rows.append((name, f"{rate:,.0f}", f"{rate * 3600:,.0f}", open_pages))
    headings = ("one web process, 16 connections", "requests/s", "requests/h", "open home pages it refreshes")
    return table(headings, rows)


async def run(made: Installation, *, quick: bool = False) -> None:
    """Print the table, the figures and what one process carries."""
    with made.copy() as url:
        await seed(url, TICKETS, 0)
        with made.web(url) as web, bare_server(made) as bare:
            rounds, seconds = (1, 0.5) if quick else (ROUNDS, SECONDS)
            counts = QUICK_CONNECTIONS if quick else CONNECTIONS
            found = await asyncio.to_thread(compare, web, bare, made.headers, counts, rounds=rounds, seconds=seconds)
    print(
        f"Pages with {TICKETS:,} tickets, median of {rounds} × {seconds} s;"
        f" no answer within {TIMEOUT_SECONDS:.0f} s is a time-out:\n"
    )
    print(table(HEADINGS, [one.row(connections, name) for (name, connections), one in found.items()], words=1))
    generator = statistics.median(one.processor_ms for line in found.values() for one in line.outcomes)
    print(f"\nThe load generator itself took {generator * 1000:.0f} µs for each request, in a process of its own.\n")
    print(f"{sizing(found)}\n")
    say_figure("home_of_bare", statistics.median(found["home", PUBLISHED].ratios))
    unchanged = found.get(("card, not changed", PUBLISHED))
    if unchanged is None:
        print("No figure card_304_of_bare: the card came without an ETag, so nothing could be asked for with one.")
    elif not is_unchanged(unchanged):
        print("No figure card_304_of_bare: the card was sent again although nothing had changed.")
    else:
        say_figure("card_304_of_bare", statistics.median(unchanged.ratios))
    say_figure("card_200_of_bare", statistics.median(found["card, sent each time", PUBLISHED].ratios))
    print()
