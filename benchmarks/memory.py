"""Memory of the web process under the home page's load, and of a worker process after many deliveries."""

from __future__ import annotations

import asyncio

import psutil
import psycopg

from benchmarks.deliveries import MANY, QUICK_MANY, deliver
from benchmarks.figures import number, say_figure, table
from benchmarks.installation import Installation, memory_mb
from benchmarks.load import Order, drive_apart
from benchmarks.many_tickets import seed
from benchmarks.pages import PUBLISHED, TICKETS

SECONDS, QUICK_SECONDS = 10.0, 1.0


async def of_web(made: Installation, seconds: float) -> tuple[float, float]:
    """MiB before and after."""
    with made.copy() as url:
        await seed(url, TICKETS, 0)
        with made.web(url) as web:
            before = memory_mb(web.process)
            order = Order("127.0.0.1", web.port, "/", made.headers, PUBLISHED, seconds, timeout=10)
            await asyncio.to_thread(drive_apart, order)
            return before, memory_mb(web.process)


def of_worker(made: Installation, tickets: int) -> tuple[float, float]:
    """MiB before and after."""
    with made.copy() as url, psycopg.connect(url, autocommit=True) as rows, made.worker(url) as worker:
        before = memory_mb(worker)
        deliver(made, rows, url, tickets, 0)
        return before, memory_mb(worker)


async def run(made: Installation, *, quick: bool = False) -> None:
    """Print the table and the figures."""
    seconds, tickets = (QUICK_SECONDS, QUICK_MANY) if quick else (SECONDS, MANY)
    web = await of_web(made, seconds)
    worker = await asyncio.to_thread(of_worker, made, tickets)
    kind = "PSS" if hasattr(psutil.Process().memory_full_info(), "pss") else "RSS"
    rows = [
        (f"web, home page for {seconds:.0f} s at {PUBLISHED} connections", number(web[0]), number(web[1])),
        (f"worker, {tickets} deliveries", number(worker[0]), number(worker[1])),
    ]
    print(f"{table((f'process ({kind})', 'MiB before', 'MiB after'), rows)}\n")
    say_figure("memory_web_mb", web[1])
    say_figure("memory_worker_mb", worker[1])
    print()
