"""Control API of the ServiceNow sandbox."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow


def test_the_client_record_is_told_without_its_secret(servicenow: SandboxServiceNow) -> None:
    told = httpx.get(f"{servicenow.url}/_sandbox/client")
    assert told.json()["redirect_url"] == ",".join(servicenow.settings.redirect_uris)
    assert servicenow.settings.client_secret not in told.text


@pytest.mark.parametrize(
    ("what", "order"),
    [
        ("nonsense", {}),
        ("records", {"number": "INC0", "fields": {}}),
        ("notes", {"number": "INC0010001", "text": "x", "element": "state"}),
        ("notes", {"number": "INC0010001", "text": "x", "by": "nobody"}),
        ("client", {"shoe_size": 43}),
        ("columns", {"table": "sys_user", "name": "u_x"}),
        ("columns", {"table": "incident", "name": "x"}),
        ("fill", {"table": "incident", "count": 50_001}),
        ("family", {"family": "../x"}),
        ("clock", {}),
    ],
)
def test_every_other_wrong_order_says_why(servicenow: SandboxServiceNow, what: str, order: dict[str, Any]) -> None:
    answer = httpx.post(f"{servicenow.url}/_sandbox/{what}", json=order)
    assert answer.status_code == 400
    assert answer.json()["error"]
