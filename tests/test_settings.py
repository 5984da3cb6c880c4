"""Settings are read as they were meant; what cannot be right is refused at start, by the name of the setting."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.__main__ import main
from app.settings import SECURITY_ADMINISTRATOR, Settings

SOME_ID = "aaaaaaaa-0000-4a6e-9c3e-5d1f0a00ffff"
REQUIRED = {"ENTRA_TENANT_ID": SOME_ID, "ENTRA_CLIENT_ID": SOME_ID, "ENTRA_CLIENT_SECRET": "s", "VAULT_KEYS": "k"}


def read(monkeypatch: pytest.MonkeyPatch, **given: str) -> Settings:
    for name, value in (REQUIRED | given).items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


@pytest.mark.parametrize("name", ["ENTRA_TENANT_ID", "ENTRA_CLIENT_ID", "SECURE_SCORE_TENANT_ID"])
@pytest.mark.parametrize("typed", [SOME_ID.upper(), f" {SOME_ID}\t", f'"{SOME_ID}"', f"' {SOME_ID} '"])
@pytest.mark.fact("microsoft-graph 2.3")
def test_an_id_is_taken_in_any_case_with_blanks_and_in_quotes(
    monkeypatch: pytest.MonkeyPatch, name: str, typed: str
) -> None:
    assert getattr(read(monkeypatch, **{name: typed}), name.lower()) == SOME_ID


WRONG = {
    "ENTRA_TENANT_ID": ["", " ", "common", "organizations", "contoso.onmicrosoft.com", "not a tenant", SOME_ID[:-1]],
    "ENTRA_CLIENT_ID": ["", "security-center", f"{SOME_ID} {SOME_ID}"],
    "ENTRA_CLIENT_SECRET": ["", "  "],
    "SECURE_SCORE_TENANT_ID": ["contoso.com"],
    "PUBLIC_URL": ["security-center.example", "https://a.example/app", "ftp://a.example", "https://a.example:http",
                   "https://", "https://me@a.example", "https://a.example?x=1"],
    "ENTRA_AUTHORITY": [f"https://login.microsoftonline.com/{SOME_ID}", "login.microsoftonline.com"],
    "GRAPH_URL": ["https://graph.microsoft.com/v1.0"],
    "SERVICENOW_ALLOWED_ORIGINS": ["https://servicenow.example/nav_to.do", "servicenow.example"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_what_cannot_be_right_is_refused_at_start_with_the_settings_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any, name: str, value: str
) -> None:
    monkeypatch.chdir(tmp_path)  # No .env of the developer's.
    with pytest.raises(ValidationError):
        read(monkeypatch, **{name: value})
    assert main(["migrate"]) == 2
    said = capsys.readouterr().err
    assert f"  {name}: " in said
    if name == "ENTRA_CLIENT_ID" and value:
        assert value not in said  # It may be a secret in the wrong line.


@pytest.mark.parametrize(
    ("typed", "read_as"),
    [
        ("https://security-center.example/", "https://security-center.example"),
        (" HTTPS://Security-Center.Example:443/ ", "https://security-center.example"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("", "http://127.0.0.1:8000"),
    ],
)
def test_the_public_address_is_read_as_browsers_name_it(
    monkeypatch: pytest.MonkeyPatch, typed: str, read_as: str
) -> None:
    assert read(monkeypatch, PUBLIC_URL=typed).public_url == read_as


def test_a_blank_setting_counts_as_not_set_but_a_blank_list_of_roles_as_no_one(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("DATABASE_URL", "PORT", "GRAPH_URL", "ENTRA_AUTHORITY", "MICROSOFT_CLOUD", "SESSION_HOURS", "LOG_JSON",
             "SECURE_SCORE_TENANT_ID", "LOG_LEVEL", "HOST", "TRUSTED_PROXIES", "SERVICENOW_ALLOWED_ORIGINS")  # fmt: skip
    blank = read(monkeypatch, **dict.fromkeys(names, " "), VIEWER_ROLES=" ")
    for name in names:
        monkeypatch.delenv(name)
    assert blank.model_dump(exclude={"viewer_roles"}) == read(monkeypatch).model_dump(exclude={"viewer_roles"})
    assert blank.viewer_roles == ()


def test_role_template_ids_have_no_case_and_app_roles_have(monkeypatch: pytest.MonkeyPatch) -> None:
    roles = read(monkeypatch, MANAGER_ROLES=f"{SECURITY_ADMINISTRATOR.upper()}, SecurityCenter.Manage").manager_roles
    assert roles == (SECURITY_ADMINISTRATOR, "SecurityCenter.Manage")
