"""What this process counts, for Prometheus. Counts only: reads no row and answers no request.

Every metric of the product is declared here or in features/operation/stored_metrics.py, so that alerts and dashboards
have one list to agree with. Names and units follow https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

PREFIX = "security_center_"
# What `GET /metrics` is labeled as: https://prometheus.io/docs/instrumenting/exposition_formats/
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Pages take milliseconds, and a database that does not answer is given up after five seconds.
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# A call to ServiceNow may take 35 s, and a job may make many.
CALL_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

# Of our own, because the library's default one is shared with whatever else is imported.
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

REQUESTS = Counter(
    PREFIX + "requests", "Requests answered, by route, method and status.", ("route", "method", "status"),
    registry=REGISTRY,
)  # fmt: skip
REQUEST_SECONDS = Histogram(
    PREFIX + "request_seconds", "Time from a request to the end of its answer.", ("route",),
    buckets=REQUEST_BUCKETS, registry=REGISTRY,
)  # fmt: skip
JOBS = Counter(
    PREFIX + "jobs", "Job runs, by task and outcome: done, or raised.", ("task", "outcome"), registry=REGISTRY
)
JOB_SECONDS = Histogram(
    PREFIX + "job_seconds", "Time that a job took.", ("task",), buckets=CALL_BUCKETS, registry=REGISTRY
)
CALLS = Counter(
    PREFIX + "calls", "Calls to ServiceNow and Microsoft, by status class, or by error.", ("system", "outcome"),
    registry=REGISTRY,
)  # fmt: skip
CALL_SECONDS = Histogram(
    PREFIX + "call_seconds", "Time that a call took.", ("system",), buckets=CALL_BUCKETS, registry=REGISTRY
)
DELIVERIES = Counter(
    PREFIX + "deliveries", "Attempts at delivering a ticket or a note, by outcome: delivered, deferred, retried, held.",
    ("outcome",), registry=REGISTRY,
)  # fmt: skip
POLLS = Counter(
    PREFIX + "polls", "Polls of a table of ServiceNow, by outcome: read, or failed.", ("kind", "outcome"),
    registry=REGISTRY,
)  # fmt: skip
EVENT_LOOP_HELD = Counter(
    PREFIX + "event_loop_held", "How often the event loop was held for so long that it was logged.", registry=REGISTRY
)


def count_request(route: str, method: str, status: int, seconds: float) -> None:
    """`route` is a route's name, never an address: each value of a label is a series of its own."""
    REQUESTS.labels(route, method, str(status)).inc()
    REQUEST_SECONDS.labels(route).observe(seconds)


def count_call(system: str, outcome: str | int, seconds: float) -> None:
    """`outcome` is the status of the answer, or the name of the error. 429 stands for itself: it is what throttles us."""
    if isinstance(outcome, int):
        outcome = "429" if outcome == 429 else f"{outcome // 100}xx"
    CALLS.labels(system, outcome).inc()
    CALL_SECONDS.labels(system).observe(seconds)


@contextmanager
def measured_job(task: str) -> Iterator[None]:
    """Count the job that runs in the block. A job that raises is `raised`, whether or not it is tried again."""
    started, outcome = time.monotonic(), "raised"
    try:
        yield
        outcome = "done"
    finally:
        JOBS.labels(task, outcome).inc()
        JOB_SECONDS.labels(task).observe(time.monotonic() - started)


def process_metrics() -> bytes:
    """What this process has counted since it started, in Prometheus's text format."""
    return generate_latest(REGISTRY)
