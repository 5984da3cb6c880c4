"""`python -m benchmarks [PART …] [--quick]`: run these measurements, or all, one after the other."""

from __future__ import annotations

import argparse
import asyncio
import importlib
from pathlib import Path

from app.core.logging import configure_logs

FOLDER = Path(__file__).parent
# Modules with `async def run(*, quick: bool)` that print their tables.
PARTS = [name for name in ("servicenow", "secure_score") if (FOLDER / f"{name}.py").exists()]


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and print tables.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="few records: to see that the measuring works")
    asked = parser.parse_args()
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there is: {', '.join(PARTS)}")
    configure_logs(level="CRITICAL")  # The clients' troubles are what is counted here.
    for name in asked.parts or PARTS:
        print(f"== {name}\n", flush=True)
        asyncio.run(importlib.import_module(f"benchmarks.{name}").run(quick=asked.quick))


if __name__ == "__main__":
    main()
