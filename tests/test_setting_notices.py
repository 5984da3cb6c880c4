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
        ({"manager_roles": "A,B", "viewer_roles": "B,A"}, "MANAGER_ROLES holds all that VIEWER_ROLES holds", True),
        ({"manager_roles": "A,B", "sharer_roles": "B"}, "MANAGER_ROLES holds all that SHARER_ROLES holds", True),
        ({"sharer_roles": "A", "viewer_roles": "A"}, "SHARER_ROLES holds all that VIEWER_ROLES holds", False),
        ({"database_answer_seconds": 4.6}, "DATABASE_ANSWER_SECONDS is above 4.5", False),
        ({"database_pool_seconds": 5}, "DATABASE_POOL_SECONDS is above 4.5", False),
        ({"database_url": "postgresql://me%40x:change-me@h"}, "the one named me@x is used", False),
        ({"database_url": "postgresql://a,b/?user=me"}, "the one named me is used", False),
    ],
)
def test_one_thing_that_stands_out_is_told_alone(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], words: str, is_problem: bool
) -> None:
    monkeypatch.delenv("PGDATABASE", raising=False)
    [notice] = setting_notices(some_settings(**(USUAL | given)))
    assert words in str(notice.message)
    assert notice.is_problem is is_problem


@pytest.mark.parametrize(
    "given",
    [
        {"manager_roles": "A,B", "sharer_roles": "A,C", "viewer_roles": "A,D"},
        {"database_answer_seconds": 4.5, "database_pool_seconds": 4.5},
        {"database_url": "postgresql://u@h/?dbname=db"},
        {"database_url": "postgresql:///?service=ours"},
    ],
)
def test_what_is_right_is_not_told(given: dict[str, object]) -> None:
    assert setting_notices(some_settings(**(USUAL | given))) == ()


def test_one_role_for_all_is_told_of_each_setting_that_gives_nothing_then() -> None:
    found = setting_notices(some_settings(**USUAL, manager_roles="A", sharer_roles="A", viewer_roles="A"))
    assert [str(notice.message).split(" so ")[0] for notice in found] == [
        "MANAGER_ROLES holds all that SHARER_ROLES holds,",
        "MANAGER_ROLES holds all that VIEWER_ROLES holds,",
    ]
    assert all(notice.is_problem for notice in found)


def test_the_environments_database_goes_before_the_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATABASE", "other")
    [notice] = setting_notices(some_settings(**(USUAL | {"database_url": "postgresql://me@h"})))
    assert "the one named other is used" in str(notice.message)
    monkeypatch.delenv("PGDATABASE")
    monkeypatch.setenv("PGUSER", "someone")
    [notice] = setting_notices(some_settings(**(USUAL | {"database_url": "postgresql://h"})))
    assert "the one named someone is used" in str(notice.message)


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
