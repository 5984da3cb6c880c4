"""Run the journeys in every world and print one line for each: `python -m tests.worlds [--seed N] [--world JSON]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

from app.core.logging import configure_logs
from tests.factories.certificates import read_once
from tests.factories.database import fresh_database, running_test_server
from tests.factories.system import open_system, running_sandbox
from tests.worlds.covering import all_worlds
from tests.worlds.journeys import live
from tests.worlds.parameters import World


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.worlds", description=__doc__)
    asked.add_argument("--seed", type=int, default=int(time.time()) % 100_000, help="which worlds are drawn")
    asked.add_argument("--world", default="", help="one world, as a failed run prints it")
    options = asked.parse_args()
    worlds = [json.loads(options.world)] if options.world else all_worlds(options.seed)
    print(f"{len(worlds)} worlds, seed {options.seed}", flush=True)
    configure_logs(level="CRITICAL")
    logging.disable(logging.CRITICAL)
    wrong = asyncio.run(run(worlds))
    print(f"{wrong} of {len(worlds)} worlds came out wrong")
    return 1 if wrong else 0


async def run(worlds: list[World]) -> int:
    """Run all worlds over one database server and one sandbox; return how many came out wrong."""
    wrong = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        read_once(),
        running_test_server(Path(folder) / "postgres") as server,
        running_sandbox() as (microsoft, servicenow),
    ):
        for number, world in enumerate(worlds, 1):
            microsoft.tenant.reset()
            with fresh_database(server) as url:
                async with open_system(url, microsoft, servicenow) as system:
                    verdicts = await live(system, world)
            is_wrong = any(verdict.wrong for verdict in verdicts)
            wrong += is_wrong
            print(f"{number:3}  {' | '.join(map(str, verdicts))}", flush=True)
            if is_wrong or len(worlds) == 1:
                print(f"     make worlds WORLD='{json.dumps(world, sort_keys=True)}'", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
