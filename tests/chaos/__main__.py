"""Let every accident happen to a running product, and print what became of it: `python -m tests.chaos [--only NAME]`.

For each: throughput before, the best throughput of a window that begins within 30 s after the end, and how many accepted
shares were lost, doubled or stuck. The exit status is 1 if any was.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from app.core.logging import configure_logs
from tests.chaos.accidents import ACCIDENTS, Accident
from tests.chaos.stage import Stage, staged
from tests.factories.certificates import read_once
from tests.factories.system import running_sandbox

WINDOW_SECONDS = 8.0
RECOVERY_SECONDS = 30.0
GOAL = 0.95
DRAIN_SECONDS = 90.0
WARM_UP_SECONDS = 4.0


@dataclass(frozen=True)
class Outcome:
    """`share` is the throughput after the accident as a share of the one before; `after_seconds` when it was reached."""

    accident: Accident
    before: float
    share: float
    after_seconds: float
    accepted: int
    lost: int
    doubled: int
    stuck: int


async def measure(stage: Stage, accident: Accident) -> Outcome:
    """One accident, from the baseline to the last ticket."""
    sharing = asyncio.create_task(stage.keep_sharing())
    accepted = len(stage.accepted)
    try:
        await asyncio.sleep(WARM_UP_SECONDS)
        before = await stage.throughput(WINDOW_SECONDS)
        await accident.happen(stage)
        best, reached = await recovery(stage, before)
    finally:
        sharing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sharing
    await stage.drain(DRAIN_SECONDS)
    lost, doubled, stuck = stage.outcome()
    return Outcome(accident, before, best, reached, len(stage.accepted) - accepted, lost, doubled, stuck)


async def recovery(stage: Stage, before: float) -> tuple[float, float]:
    """The best window that begins within RECOVERY_SECONDS, as a share of `before`, and when it began."""
    started, best, reached = time.monotonic(), 0.0, 0.0
    counts = [(time.monotonic(), stage.arrived)]
    while time.monotonic() - started < RECOVERY_SECONDS + WINDOW_SECONDS:
        await asyncio.sleep(0.5)
        now = (time.monotonic(), stage.arrived)
        counts.append(now)
        begun = next((one for one in reversed(counts) if now[0] - one[0] >= WINDOW_SECONDS), None)
        if begun is None:
            continue
        share = (now[1] - begun[1]) / (now[0] - begun[0]) / before if before else 0.0
        if share > best:
            best, reached = share, begun[0] - started
        if best >= GOAL:
            break
    return best, reached


async def run(chosen: list[Accident]) -> int:
    """Let the accidents happen one after the other; return the exit status."""
    outcomes = []
    with tempfile.TemporaryDirectory() as folder, read_once(), running_sandbox() as (microsoft, servicenow):
        for accident in chosen:
            # Each with tables of its own, so that one accident does not spoil the next.
            own = Path(folder) / accident.name
            own.mkdir()
            async with staged(microsoft, servicenow, own) as stage:
                outcome = await measure(stage, accident)
            outcomes.append(outcome)
            print(line(outcome), flush=True)
    print_figures(outcomes)
    return 1 if any(one.lost or one.doubled or one.stuck for one in outcomes) else 0


def line(one: Outcome) -> str:
    """A row of the table in docs/reliability.md."""
    return (
        f"| {one.accident.title} | {one.before:.0f} | {one.share:.2f} | {one.after_seconds:.0f} s "
        f"| {one.accepted} | {one.lost} | {one.doubled} | {one.stuck} |"
    )


def print_figures(outcomes: list[Outcome]) -> None:
    """A line for each figure, for those who compare runs."""
    for one in outcomes:
        name = f"chaos_{one.accident.name}"
        print(f"figure {name}_throughput {one.share:.2f}")
        for what in ("lost", "doubled", "stuck"):
            print(f"figure {name}_{what} {getattr(one, what)}")


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    asked.add_argument("--only", default="", help="the name of one accident")
    options = asked.parse_args()
    chosen = [one for one in ACCIDENTS if options.only in ("", one.name)]
    if not chosen:
        print(f"No accident has this name; there are {', '.join(one.name for one in ACCIDENTS)}.", file=sys.stderr)
        return 2
    configure_logs(level="CRITICAL")
    logging.disable(logging.CRITICAL)
    print("| accident | tickets/s before | after, as a share | reached after | accepted | lost | doubled | stuck |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    return asyncio.run(run(chosen))


if __name__ == "__main__":
    sys.exit(main())
