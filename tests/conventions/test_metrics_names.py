"""Alerts, dashboard, documents and code name the same metrics."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from prometheus_client import Histogram

from app.core import metrics
from app.features.operation.stored_metrics import HELP
from tests.conventions.files import ROOT

NAME = re.compile(r"security_center_[a-z_]+")
COUNTED = {
    one._name + ("" if isinstance(one, Histogram) else "_total")
    for one in vars(metrics).values()
    if hasattr(one, "_name") and one._name.startswith(metrics.PREFIX)
}
EXPORTED = COUNTED | {metrics.PREFIX + name for name in HELP}


def without_suffix(name: str) -> str:
    """Histograms are queried by their buckets."""
    return name.removesuffix("_bucket")


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "deploy/grafana/security-center.json").read_text(encoding="utf-8"))
    return loaded


def test_the_document_names_every_metric_and_no_other() -> None:
    text = (ROOT / "docs/operation.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(security_center_[a-z_]+)` \|", text, re.MULTILINE)) == EXPORTED


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    queries = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    assert {without_suffix(name) for name in NAME.findall(" ".join(queries))} == EXPORTED


def test_alerts_watch_metrics_that_exist() -> None:
    queries = [rule["expr"] for rule in alerts()]
    assert {without_suffix(name) for name in NAME.findall(" ".join(queries))} <= EXPORTED


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_every_alert_says_what_it_means_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "action"}
    assert all(text.endswith(".") for text in rule["annotations"].values())


def test_panels_do_not_overlap_and_have_names_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
