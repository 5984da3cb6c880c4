"""`python -m app healthy`: a sentence and an exit status for health checks of containers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from http import HTTPStatus

import pytest

from app.cli.healthy import ask_port
from app.core.vault import Vault
from app.settings import Settings
from app.worker_port import Handler, PortAnswer, health_handlers, serving_port
from tests.conventions.files import ROOT
from tests.factories.servers import free_port
from tests.factories.system import System

SOME_ID = "badeb8ad-3543-4fe3-9d3f-1b8f4b7c1a11"


def settings(**values: object) -> Settings:
    required = {"entra_tenant_id": SOME_ID, "entra_client_id": SOME_ID, "entra_client_secret": "s"}
    return Settings.model_validate({**required, "vault_keys": Vault.new_key(), **values})


def answering(status: HTTPStatus, body: str) -> Handler:
    async def answer() -> PortAnswer:
        return PortAnswer(status, body)

    return answer


async def test_a_worker_is_asked_at_its_port_without_a_database(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    asked = settings(worker_port=port, host=["0.0.0.0"], database_url="postgresql://u:change-me@127.0.0.1:1/none")  # noqa: S104
    async with serving_port(["127.0.0.1"], port, health_handlers(system.resources)):
        assert await asyncio.to_thread(ask_port, asked, "worker") == 0
        assert capsys.readouterr().out.endswith("The worker is healthy.\n")
        system.resources.queue.pulse.stopped()
        assert await asyncio.to_thread(ask_port, asked, "worker") == 1
        assert "not healthy: the queue's loop does not ask for jobs any more." in capsys.readouterr().out
    assert await asyncio.to_thread(ask_port, asked, "worker") == 1
    assert f"nothing answers at 0.0.0.0:{port}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (HTTPStatus.OK, '{"ready": true}', "The web is healthy."),
        (HTTPStatus.SERVICE_UNAVAILABLE, '{"ready": false, "problem": "no tables"}', "not healthy: no tables."),
        (HTTPStatus.BAD_GATEWAY, "<html>", "not healthy: it answers 502."),
        (HTTPStatus.BAD_GATEWAY, "[]", "not healthy: it answers 502."),
    ],
)
async def test_the_web_is_asked_whether_it_is_ready(
    capsys: pytest.CaptureFixture[str], status: HTTPStatus, body: str, said: str
) -> None:
    port = free_port()
    async with serving_port(["127.0.0.1"], port, {"/health/ready": answering(status, body)}):
        assert await asyncio.to_thread(ask_port, settings(port=port), "web") == (status != HTTPStatus.OK)
    assert said in capsys.readouterr().out


async def test_every_address_is_asked_over_ipv4_which_each_machine_has(capsys: pytest.CaptureFixture[str]) -> None:
    """A container without IPv6 listens on IPv4 alone for `::`, and its health check must find it there."""
    port = free_port()
    async with serving_port(["127.0.0.1"], port, {"/health/ready": answering(HTTPStatus.OK, "{}")}):
        assert await asyncio.to_thread(ask_port, settings(port=port, host="::"), "web") == 0
    assert "The web is healthy." in capsys.readouterr().out


def test_a_worker_without_a_port_is_not_asked() -> None:
    assert ask_port(settings(), "worker") is None


def test_asking_imports_neither_database_nor_http_clients() -> None:
    """A container asks every few seconds, and the answer must not cost more than the work."""
    script = "import sys, app.__main__, app.cli.healthy; print(sorted({'sqlalchemy', 'httpx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
