"""`python -m benchmarks [PART …] [--quick] [--write]`: run these measurements, or all, one after the other."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import io
import sys
import time
from contextlib import ExitStack, redirect_stdout
from typing import TextIO

from app.core.logging import configure_logs
from benchmarks.figures import QUICK_NOTE
from benchmarks.measured_document import commit_name, write_part

# Modules with `async def run(installation, *, quick: bool)` that print their tables and figures.
INSTALLED = ("pages", "growth", "deliveries", "browser", "memory")
# Modules with `async def run(*, quick: bool)` that need nothing of the kind.
ALONE = ("polls", "servicenow", "secure_score")
PARTS = [*INSTALLED, *ALONE]


class Both(io.TextIOBase):
    """Keeps what is printed, and prints it."""

    def __init__(self, shown: TextIO) -> None:
        self._shown = shown
        self.kept = ""

    def write(self, text: str) -> int:
        self.kept += text
        self._shown.write(text)
        self._shown.flush()
        return len(text)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and print tables and figures.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="few records: to see that the measuring works")
    parser.add_argument("--write", action="store_true", help="put what is printed into docs/benchmarks.md as well")
    asked = parser.parse_args()
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there is: {', '.join(PARTS)}")
    if asked.quick and asked.write:
        parser.error("quick figures are not for publication")
    configure_logs(level="CRITICAL")  # The clients' troubles are what is counted here.
    measure(asked.parts or PARTS, quick=asked.quick, write=asked.write)


def measure(parts: list[str], *, quick: bool, write: bool) -> None:
    """Run them in this order. What several of them share is started once, and ends with the last of these."""
    commit, installation = commit_name() if write else "", None
    if quick:
        print(f"{QUICK_NOTE}\n", flush=True)
    with ExitStack() as stack:
        for name in parts:
            print(f"== {name}\n", flush=True)
            began = time.monotonic()
            work = importlib.import_module(f"benchmarks.{name}").run
            if name in INSTALLED and installation is None:
                from benchmarks.installation import installed  # noqa: PLC0415 - other parts do without.

                installation = stack.enter_context(installed())
                print(f"(prepared in {time.monotonic() - began:.0f} s)\n", flush=True)
            both = Both(sys.stdout)
            with redirect_stdout(both):
                asyncio.run(work(installation, quick=quick) if name in INSTALLED else work(quick=quick))
            print(f"({name}: {time.monotonic() - began:.0f} s)\n", flush=True)
            if write:
                write_part(name, both.kept, commit)


if __name__ == "__main__":
    main()
