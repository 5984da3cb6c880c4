"""A job for another client: read from standard input, done and timed, its outcome written to standard output as JSON."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

# Failures of a peer that are reported in words; the others are only counted.
TOLD = 5


def run(work):
    """Do the job that standard input describes. `work` is a dictionary of functions by what they do."""
    job = json.load(sys.stdin)
    started = time.perf_counter()
    outcome = Outcome()
    work[job["what"]](job, outcome)
    told = {
        "seconds": time.perf_counter() - started,
        "results": outcome.results,
        "failures": outcome.failures,
        "told": outcome.told,
    }
    sys.stdout.write(json.dumps(told))


class Outcome:
    """The result that the job asked for, and how often the client failed with which error."""

    def __init__(self):
        self.results = []
        self.failures = 0
        self.told = []

    def attempt(self, step, *arguments):
        """One step; its failure is counted, and is no reason to stop. Any exception of a client is its failure."""
        try:
            return step(*arguments)
        except Exception as error:
            self.failures += 1
            if len(self.told) < TOLD:
                self.told.append(f"{type(error).__name__}: {str(error)[:160]}")
            return None

    def at_once(self, workers, step):
        """Run this many workers in parallel, each with its number."""
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda number: self.attempt(step, number), range(workers)))


def in_chunks(values, size):
    """Split into lists of at most `size` items."""
    return [values[start : start + size] for start in range(0, len(values), size)]
