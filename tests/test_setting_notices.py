"""What is worth knowing of settings that are right each by itself."""

from __future__ import annotations

import pytest

from app.setting_notices import is_local, setting_notices
from tests.factories.settings import SOME_ID, some_settings

USUAL = {
    "public_url": "https://a.example", "trusted_proxies": "10.0.0.5", "database_url": "postgresql://h/db",
}  # fmt: skip
OTHER_ID = SOME_ID[:-1] + "0"


def test_nothing_stands_out_of_a_usual_installation() -> None:
    assert setting_notices(some_settings(**USUAL)) == ()


@pytest.mark.parametrize(
    ("given", "words", "is_problem"),
    [
        ({"public_url": "http://a.example"}, "PUBLIC_URL is http", True),
        ({"entra_authority": "http://10.0.0.1"}, "ENTRA_AUTHORITY is http", True),
        ({"graph_url": "http://graph.example"}, "GRAPH_URL is http", True),
        ({"servicenow_allowed_origins": "http://now.example"}, "http://now.example", True),
        ({"trusted_proxies": ""}, "TRUSTED_PROXIES is empty", False),
        ({"database_url": ""}, "embedded PostgreSQL", False),
        ({"entra_client_secret": SOME_ID}, "looks like the Secret ID", False),
        ({"secure_score_tenant_id": OTHER_ID}, "another tenant than ENTRA_TENANT_ID", False),
        ({"microsoft_cloud": "usgov", "graph_url": "https://graph.example"}, "whatever MICROSOFT_CLOUD says", False),
        ({"worker_port": "8000"}, "PORT and WORKER_PORT are both 8000", False),
        ({"viewer_roles": ""}, "VIEWER_ROLES is empty", False),
        ({"sharer_roles": ""}, "SHARER_ROLES is empty", False),
    ],
)
def test_one_thing_that_stands_out_is_told_alone(given: dict[str, str], words: str, is_problem: bool) -> None:
    [notice] = setting_notices(some_settings(**(USUAL | given)))
    assert words in str(notice.message)
    assert notice.is_problem is is_problem


def test_what_needs_a_person_is_told_first() -> None:
    found = setting_notices(some_settings(public_url="http://a.example", viewer_roles=""))
    assert [notice.is_problem for notice in found] == [True, False, False]


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1:8000", True), ("http://127.9.9.9", True), ("http://[::1]:8000", True), ("http://localhost", True),
        ("http://sandbox.localhost:8200", True), ("http://security-center.test", True),
        ("http://10.0.0.1", False), ("http://localhost.example.com", False), ("http://0.0.0.0", False),
    ],
)  # fmt: skip
def test_only_this_machine_is_local(origin: str, expected: bool) -> None:
    assert is_local(origin) is expected
