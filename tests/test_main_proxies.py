"""The browser's IP address behind proxies: X-Forwarded-For counts from proxies that are named, and from no other."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from app.main import server_config
from app.settings import Settings
from tests.factories.settings import some_settings
from tests.factories.system import PUBLIC_URL, System


def settings(proxies: str) -> Settings:
    """The product's settings, with these proxies."""
    return some_settings(trusted_proxies=proxies)


async def address_in_the_log(system: System, caller: str, forwarded: list[str], proxies: str) -> str:
    """The address in the audit log for a connection that comes from `caller`."""
    manager = await system.signed_in("manager")
    config = server_config(settings(proxies), system.app)
    config.load()
    served: Any = config.loaded_app
    wire = httpx.ASGITransport(app=served, client=(caller, 50_000))
    headers = [("X-Forwarded-For", value) for value in forwarded]
    async with httpx.AsyncClient(base_url=PUBLIC_URL, transport=wire, cookies=manager.cookies) as browser:
        answer = await browser.post("/servicenow/checklist/client", data={"done": "yes"}, headers=headers)
        assert answer.status_code == 303
    [line] = (await manager.get("/servicenow/audit.json")).json()
    return str(line["from"])


@pytest.mark.parametrize(
    ("caller", "forwarded", "proxies", "expected"),
    [
        # By default no proxy is trusted, not even on this machine.
        ("127.0.0.1", ["203.0.113.7"], "", "127.0.0.1"),
        ("10.0.0.5", ["203.0.113.7"], "", "10.0.0.5"),
        # A proxy that is named, by its address or its network.
        ("10.0.0.5", ["203.0.113.7"], "10.0.0.5", "203.0.113.7"),
        ("10.0.1.9", ["203.0.113.7"], "10.0.0.5, 10.0.1.0/24", "203.0.113.7"),
        ("fd00::1", ["2001:db8::7"], "fd00::/8", "2001:db8::7"),
        # Another machine can send any header.
        ("10.0.2.9", ["203.0.113.7"], "10.0.0.5,10.0.1.0/24", "10.0.2.9"),
        # What the browser itself wrote in front is not believed: the last address that is not one of our proxies counts.
        ("10.0.0.5", ["1.2.3.4, 203.0.113.7"], "10.0.0.5", "203.0.113.7"),
        ("10.0.0.5", ["1.2.3.4, 203.0.113.7, 10.0.0.6"], "10.0.0.0/24", "203.0.113.7"),
        ("10.0.0.5", ["1.2.3.4", "203.0.113.7"], "10.0.0.5", "203.0.113.7"),
        # Some proxies write the port, too.
        ("10.0.0.5", ["203.0.113.7:4711"], "10.0.0.5", "203.0.113.7"),
        ("10.0.0.5", [], "10.0.0.5", "10.0.0.5"),
    ],
)
async def test_the_address_in_the_audit_log(
    system: System, caller: str, forwarded: list[str], proxies: str, expected: str
) -> None:
    assert await address_in_the_log(system, caller, forwarded, proxies) == expected


async def test_the_environment_of_the_server_makes_no_proxy_trusted(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uvicorn reads this variable on its own where it may."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    assert await address_in_the_log(system, "10.0.0.5", ["203.0.113.7"], "") == "10.0.0.5"
    assert server_config(settings("10.0.0.5"), system.app).forwarded_allow_ips == ["10.0.0.5"]


@pytest.mark.parametrize("wrong", ["*", "proxy.internal", "10.0.0.5/33", "10.0.0.1/24", "10.0.0", "0.0.0.0/0", "::/0"])
def test_what_would_believe_anybody_or_is_no_address_is_refused_at_start(wrong: str) -> None:
    with pytest.raises(ValidationError, match=r"no address or network|every address there is"):
        settings(wrong)
