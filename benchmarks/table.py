"""Lines of a measurement as a table for people and for docs/benchmarks.md. Measures nothing."""

from __future__ import annotations

from dataclasses import dataclass

OURS = "ours"


@dataclass(frozen=True)
class Line:
    """One client at one task. `wrong` counts results that are not true and that were not reported."""

    task: str
    latency_ms: int
    client: str
    requests: int
    failures: int
    wrong: int
    seconds: float


HEADINGS = ("task", "latency", "client", "requests", "failures", "wrong", "seconds", "requests to ours", "time to ours")


def as_markdown(lines: list[Line]) -> str:
    """The table, each client's requests and time as ratios to ours at the same task."""
    ours = {(line.task, line.latency_ms): line for line in lines if line.client == OURS}
    rows = [HEADINGS, tuple("---" if n < 3 else "---:" for n in range(len(HEADINGS)))]
    tasks = list(dict.fromkeys(line.task for line in lines))
    for line in sorted(lines, key=lambda line: (tasks.index(line.task), line.latency_ms)):
        base = ours.get((line.task, line.latency_ms), line)
        rows.append(
            (
                line.task,
                f"{line.latency_ms} ms",
                line.client,
                str(line.requests),
                str(line.failures),
                str(line.wrong),
                f"{line.seconds:.2f}",
                _ratio(line.requests, base.requests),
                _ratio(line.seconds, base.seconds),
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _ratio(value: float, base: float) -> str:
    if not base:
        return "–"
    return f"{value / base:.1f}" if value >= base else f"{value / base:.2f}"
