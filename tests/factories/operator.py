"""What an operator has when something went wrong: the commands, the metrics, and the accidents of docs/operation.md."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.factories.connecting import database_url
from tests.factories.logged import Line, of_event
from tests.factories.system import PUBLIC_URL, System

ROOT = Path(__file__).resolve().parents[2]
METRICS_TOKEN = "a-token-for-metrics-only"
SPAN = re.compile(r"`([^`]+)`")
METRIC = re.compile(r"(?P<name>\w+)(\{(?P<labels>[^}]*)\})?( (?P<sign>==|>) (?P<value>[\d.]+))?")
FIELD, PART = re.compile(r'(\w+)=([^" ]+)'), re.compile(r'(\w+)="([^"]+)"')
LABEL = re.compile(r'(\w+)="([^"]*)"')
# A command on a clock that is so many seconds ahead.
AHEAD = """
import sys
from datetime import UTC, datetime, timedelta
from app.core import clock
class Ahead(clock.SystemClock):
    def now(self):
        return datetime.now(UTC) + timedelta(seconds=float(sys.argv[1]))
clock.use(Ahead())
from app.__main__ import main
sys.exit(main(sys.argv[2:]))
"""

Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Accident:
    """The signs that the document names: log lines, metrics, and what each command prints."""

    log: tuple[str, ...]
    not_logged: tuple[str, ...]
    metrics: tuple[str, ...]
    commands: Mapping[str, tuple[str, ...]]


def documented_accidents() -> dict[str, Accident]:
    """By heading: every piece of code in the items "Log", "Not in the log", "Metrics" and "`python -m app …`" is a sign."""
    chapter = (ROOT / "docs" / "operation.md").read_text().partition("\n## Accidents\n")[2].partition("\n## ")[0]
    found = {}
    for part in chapter.split("\n### ")[1:]:
        title, _, body = part.partition("\n")
        items = dict(re.findall(r"^- ([^:]+): (.*?)(?=^- |^\s*$|\Z)", body, flags=re.MULTILINE | re.DOTALL))
        signs = {
            name.removeprefix("`python -m app ").rstrip("`"): tuple(SPAN.findall(text)) for name, text in items.items()
        }
        log, not_logged, metrics = signs.pop("Log"), signs.pop("Not in the log", ()), signs.pop("Metrics")
        found[title] = Accident(log, not_logged, metrics, signs)
    return found


def is_logged(sign: str, lines: list[Line]) -> bool:
    """Whether a line has this event and these fields, written as `event field=value`, or `field="a part of it"`."""
    event, _, fields = sign.partition(" ")
    exact, parts = dict(FIELD.findall(fields)), dict(PART.findall(fields))
    return any(
        all(str(line.get(name)) == value for name, value in exact.items())
        and all(part in str(line.get(name)) for name, part in parts.items())
        for line in of_event(lines, event)
    )


def has_moved(sign: str, before: Mapping[Series, float], after: Mapping[Series, float]) -> bool:
    """Whether the metric is as the sign compares it; one without a comparison has to have risen."""
    parsed = METRIC.fullmatch(sign)
    assert parsed, sign
    labels = set(LABEL.findall(parsed["labels"] or ""))

    def total(values: Mapping[Series, float]) -> float | None:
        chosen = [value for (name, own), value in values.items() if name == parsed["name"] and labels <= own]
        return sum(chosen) if chosen else None

    now = total(after)
    if now is None:
        return False
    if parsed["sign"] is None:
        return now > (total(before) or 0)
    wanted = float(parsed["value"])
    return now == wanted if parsed["sign"] == "==" else now > wanted


def with_metrics(system: System) -> None:
    """Switch `GET /metrics` on."""
    own = system.resources
    system.resources = replace(own, config=replace(own.config, metrics_token=METRICS_TOKEN))
    system.app.state.resources = system.resources


async def scrape(system: System) -> dict[Series, float]:
    """Every series that the web application exports now."""
    async with system.client() as prometheus:
        answer = await prometheus.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def environment(system: System, key: str, **more: str) -> dict[str, str]:
    """What a process of the product reads, without its log."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))},
        "DATABASE_URL": database_url(system).replace("postgresql+psycopg", "postgresql"),
        "PUBLIC_URL": PUBLIC_URL,
        "VAULT_KEYS": key,
        "ENTRA_TENANT_ID": system.microsoft.settings.tenant_id,
        "ENTRA_CLIENT_ID": system.microsoft.settings.client_id,
        "ENTRA_CLIENT_SECRET": system.microsoft.settings.client_secret,
        "ENTRA_AUTHORITY": system.microsoft.url,
        "GRAPH_URL": system.microsoft.url,
        "SERVICENOW_ALLOWED_ORIGINS": system.servicenow.url,
        "LOG_LEVEL": "ERROR",
        **more,
    }


async def run_command(
    values: Mapping[str, str], *arguments: str, seconds_ahead: float = 0
) -> subprocess.CompletedProcess[str]:
    """`python -m app …` in a process of its own."""
    start = ["-c", AHEAD, str(seconds_ahead)] if seconds_ahead else ["-m", "app"]
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, *start, *arguments],
        cwd=ROOT, env=dict(values), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
