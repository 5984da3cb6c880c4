"""`make run`: what it prints, a second one at the same time, and ports in use."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.factories.demo import Demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One data folder for all tests of this module: they run in order and build on one another."""
    running = Demo(tmp_path_factory.mktemp("demo") / "var").launch()
    yield running
    if running.process.poll() is None:
        running.stop()


def test_first_start_prints_addresses_and_accounts(demo: Demo) -> None:
    demo.ready()
    assert f"Ready: {demo.url}" in demo.said
    for account in ("Security Administrator", "Security Operator", "Security Reader", "No role"):
        assert account in demo.said
    assert f"{demo.servicenow}/_sandbox/" in demo.said
    assert demo.keys["SANDBOX_SERVICENOW_CLIENT_ID"] in demo.said
    secrets = [value for name, value in demo.keys.items() if not name.endswith("_ID")]
    assert not [secret for secret in secrets if secret in demo.said], "a secret was printed"
    assert set(demo.family()) == {"server", "postgres", "servicenow", "microsoft", "web", "worker"}


def test_ready_means_ready(demo: Demo) -> None:
    assert httpx.get(f"{demo.url}/health/ready").json() == {"ready": True}


def test_secrets_are_readable_by_the_owner_only(demo: Demo) -> None:
    assert stat.S_IMODE((demo.folder / "keys.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((demo.folder / "sandbox").stat().st_mode) == 0o700


def test_second_demo_with_the_same_data_is_refused(demo: Demo) -> None:
    second = Demo(demo.folder).launch()
    assert second.ended() == 1
    assert re.search(r"A demo is running with the data in .* already\.", second.said)


@pytest.mark.parametrize("name", ["PORT", "SANDBOX_SERVICENOW_PORT", "SANDBOX_MICROSOFT_PORT"])
def test_port_in_use_is_named_with_its_variable(demo: Demo, tmp_path: Path, name: str) -> None:
    second = Demo(tmp_path / "var")
    second.ports[name] = demo.ports[name]
    assert second.launch().ended() == 1
    assert f"Port {demo.ports[name]} is taken" in second.said
    assert f"{name}=" in second.said
    assert "Traceback" not in second.said


def test_ports_wanted_twice_are_refused(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "var")
    demo.ports["PORT"] = demo.ports["SANDBOX_MICROSOFT_PORT"]
    assert demo.launch().ended() == 1
    assert "Each needs a port of its own" in demo.said
