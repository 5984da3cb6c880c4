"""/metrics: guarded by its token, and useful also while the database is away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from app.core.database import Database
from app.main import create_app
from tests.factories.logged import logged_lines, of_event
from tests.factories.system import PUBLIC_URL, System

TOKEN = "a-token-of-this-test"


def browser_of(system: System, token: str) -> httpx.AsyncClient:
    """A client of the product with this METRICS_TOKEN."""
    resources = replace(system.resources, config=replace(system.resources.config, metrics_token=token))
    transport = httpx.ASGITransport(app=create_app(resources))
    return httpx.AsyncClient(base_url=PUBLIC_URL, transport=transport)


def series(text: str) -> dict[str, float]:
    """The value of each series without labels."""
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


async def test_without_a_setting_there_are_no_metrics(system: System) -> None:
    async with browser_of(system, "") as browser:
        answer = await browser.get("/metrics", headers={"Authorization": "Bearer "})
    assert answer.status_code == 404
    assert "METRICS_TOKEN" in answer.text


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"])
async def test_a_wrong_token_is_refused(system: System, given: str) -> None:
    async with browser_of(system, TOKEN) as browser:
        with capture_logs() as lines:
            answer = await browser.get("/metrics", headers={b"Authorization": given.encode()})
    assert [line["address"] for line in lines if line["event"] == "refused.metrics_token"] == ["127.0.0.1"]
    assert answer.status_code == 401
    assert "security_center_" not in answer.text


async def test_the_token_opens_both_kinds_of_metrics(system: System) -> None:
    async with browser_of(system, TOKEN) as browser:
        await browser.get("/health/live")
        answer = await browser.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'security_center_requests_total{method="GET",route="health.live",status="200"}' in answer.text
    assert series(answer.text)["security_center_database_up"] == 1


async def test_without_a_database_the_metrics_of_the_process_are_there(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise OperationalError("SELECT 1", {}, ConnectionRefusedError())

    monkeypatch.setattr(Database, "transaction", away)
    async with browser_of(system, TOKEN) as browser:
        answer = await browser.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    found = series(answer.text)
    assert found["security_center_database_up"] == 0
    assert "security_center_sessions" not in found
    assert "security_center_requests_total" in answer.text


@pytest.mark.parametrize(("given", "level"), [(TOKEN, "debug"), ("wrong", "info")])
async def test_a_scrape_is_a_quiet_line_unless_it_is_refused(system: System, given: str, level: str) -> None:
    async with browser_of(system, TOKEN) as browser:
        with logged_lines() as lines:
            await browser.get("/metrics", headers={"Authorization": f"Bearer {given}"})
    [done] = of_event(lines, "request.done")
    assert done["log_level"] == level
