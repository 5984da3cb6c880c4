"""Settings are read as they were meant; what cannot be right is refused at start, by the name of the setting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from pydantic import ValidationError

from app.__main__ import main
from app.core.database import make_engine
from app.core.database_connection import connect_arguments
from app.core.vault import Vault
from app.microsoft_defaults import SECURITY_ADMINISTRATOR
from app.settings import Settings
from tests.conventions.files import ROOT
from tests.factories.settings import SOME_ID, read_from

PASSWORD = "s3cr3t-word"


@pytest.mark.parametrize("name", ["ENTRA_TENANT_ID", "ENTRA_CLIENT_ID", "SECURE_SCORE_TENANT_ID"])
@pytest.mark.parametrize("typed", [SOME_ID.upper(), f" {SOME_ID}\t", f'"{SOME_ID}"', f"' {SOME_ID} '"])
@pytest.mark.fact("microsoft-graph 2.3")
def test_an_id_is_taken_in_any_case_with_blanks_and_in_quotes(
    monkeypatch: pytest.MonkeyPatch, name: str, typed: str
) -> None:
    assert getattr(read_from(monkeypatch, **{name: typed}), name.lower()) == SOME_ID


WRONG_OPTIONS = [
    "sslmode=verfy-full", "sslmode=Require", "sslmode=", "sslmode", "sslmode=require&sslmode=disable", "ssl=true",
    "target_session_attrs=bogus", "gssencmode=on", "channel_binding=yes", "load_balance_hosts=true", "sslnegotiation=tls",
    "sslcertmode=on", "ssl_min_protocol_version=1.2", "ssl_max_protocol_version=TLSv2", "bogus=1", "prepare_threshold=0",
    f"password=x&{PASSWORD}=1", f"application_name=x&{PASSWORD}", "connect_timeout=abc", "connect_timeout=",
    "tcp_user_timeout=15s", "keepalives=yes", "keepalives_idle=1.5", "keepalives_interval=99999999999", "keepalives_count=x",
    "port=abc", "port=0", "port=65536", "port=1,2", "host=one,two&port=1", "host=one:1&host=two:2&port=3", "host=one:0",
    "host=one:1&host=two:x", "host=one:1&host=[::1]:2",
]  # fmt: skip
WRONG = {
    "DATABASE_URL": ["mysql://x/y", "db.internal:5432/name", f"postgresql://u:{PASSWORD}@x@h/db",
                     f"postgresql://u:{PASSWORD}/x@h/db",
                     f"postgresql://u:{PASSWORD}#x@h/db", f"postgresql://u:{PASSWORD}%x@h/db",
                     f"postgresql://u:{PASSWORD} x@h/db", f"postgresql://u:{PASSWORD}?x@h/db",
                     "postgresql://h:port/db", "postgresql://u:change-me@one:1,two:port/db", "postgresql://h:0/db",
                     *(f"postgresql://u:{PASSWORD}@h/db?{query}" for query in WRONG_OPTIONS),
                     f"postgresql://u:{PASSWORD}@h?sslmode=verfy-full", f"postgresql://u:1?{PASSWORD}=x@h/db",
                     f"postgresql://u:{PASSWORD}@one,two/db?host=three", f"postgresql://u:{PASSWORD}@one,two/db?port=1,2"],
    "VAULT_KEYS": ["", " ", ",", "nonsense", f"{'A' * 43}=,nonsense", "A" * 43, "a\nb"],
    "ENTRA_TENANT_ID": ["", " ", "common", "organizations", "contoso.onmicrosoft.com", "not a tenant", SOME_ID[:-1]],
    "ENTRA_CLIENT_ID": ["", "security-center", f"{SOME_ID} {SOME_ID}", f"{SOME_ID[:-1]}\u200b1"],
    "ENTRA_CLIENT_SECRET": ["", "  ", "''", "one\ntwo", "one\u200btwo", "x" * 20_000],
    "SECURE_SCORE_TENANT_ID": ["contoso.com"],
    "PUBLIC_URL": ["security-center.example", "https://a.example/app", "ftp://a.example", "https://a.example:http",
                   "https://", "https://me@a.example", "https://a.example?x=1", "https://*.a.example", "https://a..example",
                   "https://a b.example", "https://bücher.example", "https://[::1", "https://a.example:0"],
    "ENTRA_AUTHORITY": [f"https://login.microsoftonline.com/{SOME_ID}", "login.microsoftonline.com", "nonsense"],
    "GRAPH_URL": ["https://graph.microsoft.com/v1.0", "nonsense"],
    "MICROSOFT_CLOUD": ["china", "azure"],
    "SERVICENOW_ALLOWED_ORIGINS": ["https://servicenow.example/nav_to.do", "servicenow.example", "nonsense",
                                   "https://*.contoso.com", "https://a.example,*"],
    "MANAGER_ROLES": ["", " , ", "Security Administrator", "security  administrator", f"Global Reader,{SOME_ID}",
                      "Our Admins", SOME_ID[:-1], f"{{{SOME_ID}}}", "x" * 121],
    "SHARER_ROLES": ["Security Operator"],
    "VIEWER_ROLES": ["Security Reader"],
    "SESSION_HOURS": ["0", "169", "-1", "1.5", "ten", "1e3"],
    "LOG_LEVEL": ["loud", "10"],
    "LOG_JSON": ["perhaps"],
    "SECURE_SCORE_WRITE_BACK": ["2"],
    "PORT": ["0", "65536", "http"],
    "HOST": ["*", "http://127.0.0.1", "127.0.0.1:8000", "1.2.3", "a b", "127.0.0.1,*"],
    "DATABASE_POOL_SIZE": ["1", "many"],
    "DATABASE_QUEUE_POOL_SIZE": ["1"],
    "DATABASE_CONNECT_SECONDS": ["1"],
    "DATABASE_POOL_SECONDS": ["0", "inf", "nan"],
    "DATABASE_ANSWER_SECONDS": ["0.5", "61"],
    "DATABASE_STATEMENT_SECONDS": ["4"],
    "DATABASE_IDLE_SECONDS": ["4"],
    "DATABASE_NETWORK_SECONDS": ["4"],
    "SESSION_IDLE_MINUTES": ["4", "10081", "an hour"],
    "ROLE_CHECK_MINUTES": ["-1", "1441"],
    "WORKER_PORT": ["-1", "65536", "none"],
    "METRICS_TOKEN": ["short", "one two\nthree four five", "one two three four five", "sechzehn-zeichen-für-alle"],
    "OTEL_EXPORTER_OTLP_ENDPOINT": ["collector:4318", "http://collector:4318/v1/traces"],
    "KEEP_AUDIT_DAYS": ["-1", "for ever", "36501"],
    "KEEP_CLOSED_TICKETS_DAYS": ["-1"],
    "KEEP_IMPORT_RUNS_DAYS": ["-1"],
    "KEEP_SESSIONS_DAYS": ["0"],
    "KEEP_FAILED_JOBS_DAYS": ["-1"],
    "TRUSTED_PROXIES": ["*", "proxy.internal", "10.0.0.5/33", "10.0.0.5,all", "0.0.0.0/0", "::/0", "0.0.0.0/1,128.0.0.0/1",
                        "10.0.0.0/7", "2000::/3", "fc00::/7", "2001::/15", "::ffff:0:0/96", "::ffff:0.0.0.0/103", "::/16"],
}  # fmt: skip


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No .env of the developer's, and no setting of the environment."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
@pytest.mark.usefixtures("nothing_set")
def test_what_cannot_be_right_is_refused_at_start_with_the_settings_name_and_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        read_from(monkeypatch, **{name: value})
    assert PASSWORD not in str(refused.value)  # As a traceback would show it.
    assert main(["migrate"]) == 2
    said = capsys.readouterr().err.splitlines()
    about = [line for line in said if line.startswith("  ")]
    assert len(about) == 1, about
    assert about[0].startswith(f"  {name}: ")
    assert f" Example: {name}=" in about[0]
    assert said[0] == (
        "Settings are missing:" if about[0].startswith(f"  {name}: is not set.") else "The settings are not right:"
    )
    if len(value) > 3 and name in {"ENTRA_CLIENT_ID", "ENTRA_CLIENT_SECRET", "VAULT_KEYS", "DATABASE_URL"}:
        assert value not in "\n".join(said)  # It may be a secret in the wrong line.
        assert PASSWORD not in "\n".join(said)


def test_every_setting_that_can_be_wrong_is_among_them() -> None:
    cannot = {"VAR_DIR"}  # Any name may be one of a folder.
    assert set(WRONG) == {name.upper() for name in Settings.model_fields} - cannot


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("postgresql://u:change-me@x@h/db", "@ as %40"),
        ("postgresql://u:p/x@h/db", "/ as %2F"),
        ("postgresql://u:change-me#x@h/db", "# as %23"),
        ("mysql://u:change-me@h/db", "begin with postgresql://"),
    ],
)
@pytest.mark.usefixtures("nothing_set")
def test_an_address_of_the_database_that_cannot_be_read_is_refused_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch, value: str, hint: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        read_from(monkeypatch, DATABASE_URL=value)
    assert hint in refused.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    "value",
    ["postgresql://u:p%40ss@h:5432/db", "postgres://h/db", "postgresql+psycopg://u@[::1]:5432/db",
     "postgresql:///db?host=/run/pg",
     "postgresql://u:change-me@/db?host=one,two&port=1,2&target_session_attrs=read-write", "postgresql://h/db?user=me@server",
     "postgresql://u:change-me@one:1,two:2/db?target_session_attrs=read-write",
     "postgresql://postgres:@/postgres?host=/tmp/a", "postgresql://u:a:b@h/db", "postgresql://u:change-me@h",
     "postgresql://u:change-me@h?",
     "postgresql://u:change-me@h/db?sslmode=verify-full&sslrootcert=/etc/ca.pem&channel_binding=require&gssencmode=disable",
     "postgresql://u:change-me@h/db?connect_timeout=9&application_name=me&options=-c%20jit%3Doff&tcp_user_timeout=0",
     "postgresql://u:change-me@/db?host=h1:1&host=h2:2&load_balance_hosts=random&target_session_attrs=prefer-standby",
     "postgresql://[::1]:6000,h2/db?keepalives=1&keepalives_idle=10&keepalives_interval=5&keepalives_count=-1",
     "postgresql://u@h/db?host=/run/postgresql&port=5433", "postgresql:///db?host=%2Frun%2Fpostgresql",
     "postgresql:///db?host=::1", "postgresql://one,two/db?user=me&password=x",
     "postgresql://u:change-me@h/db?ssl_min_protocol_version=tlsv1.3&sslnegotiation=direct&client_encoding=utf8"],
)  # fmt: skip
@pytest.mark.usefixtures("nothing_set")
def test_an_address_of_the_database_that_can_be_read_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    found = read_from(monkeypatch, DATABASE_URL=value).database_url
    assert found is not None
    assert found.get_secret_value() == value
    assert psycopg.conninfo.make_conninfo(**connect_arguments(make_engine(value).url))


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("sslmode=verfy-full", "sslmode .* has to be one of disable, allow, prefer, require, verify-ca, verify-full"),
        ("host=h&host=i&sslmod=require", "option 3 behind the .* is sslmode meant?"),
        ("bogus=1", "option 1 behind the .* of a password is written as %3F or %26"),
        ("connect_timeout=abc", "connect_timeout .* whole number"),
    ],
)
@pytest.mark.usefixtures("nothing_set")
def test_an_option_of_the_address_that_is_refused_is_named_if_it_is_one(
    monkeypatch: pytest.MonkeyPatch, query: str, hint: str
) -> None:
    with pytest.raises(ValidationError, match=hint) as refused:
        read_from(monkeypatch, DATABASE_URL=f"postgresql://u:{PASSWORD}@h/db?{query}")
    said = refused.value.errors()[0]["msg"]
    assert not [piece for piece in ("verfy", "sslmod=", "bogus", "abc") if piece in said]


def test_common_addresses_are_checked_without_the_databases_library() -> None:
    """A container asks for its health every few seconds, and reads its settings each time."""
    address = "postgresql://u@h/db?sslmode=require&connect_timeout=5&host=/run/postgresql&application_name=x&options=-cjit%3Doff"
    script = f"import sys; from app.core.setting_rules import *; database_address({address!r}); print('psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_network_of_proxies_may_be_as_wide_as_a_private_one(monkeypatch: pytest.MonkeyPatch) -> None:
    widest = ("10.0.0.0/8", "2001:db8::/32", "fd00::/8", "fd12::/16", "::ffff:10.0.0.0/104", "::1")
    assert read_from(monkeypatch, TRUSTED_PROXIES=",".join(widest)).trusted_proxies == widest


@pytest.mark.usefixtures("nothing_set")
def test_a_token_of_visible_letters_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    every = "".join(map(chr, range(0x21, 0x7F)))
    token = read_from(monkeypatch, METRICS_TOKEN=every).metrics_token
    assert token is not None
    assert token.get_secret_value() == every


@pytest.mark.usefixtures("nothing_set")
def test_the_name_of_a_role_is_answered_with_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match=SECURITY_ADMINISTRATOR):
        read_from(monkeypatch, MANAGER_ROLES="Security Administrator")


@pytest.mark.usefixtures("nothing_set")
def test_all_that_is_missing_or_wrong_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Settings are missing:\n")
    assert said.count(": is not set. Example: ") == 4


@pytest.mark.usefixtures("nothing_set")
@pytest.mark.parametrize(
    ("name", "value", "read_as"),
    [
        ("LOG_LEVEL", "info", "INFO"),
        ("LOG_LEVEL", " Warning ", "WARNING"),
        ("MICROSOFT_CLOUD", "USGov", "usgov"),
        ("LOG_JSON", '"true"', True),
        ("HOST", "127.0.0.1, [::1]", ("127.0.0.1", "::1")),
        ("HOST", "localhost", ("localhost",)),
        ("ENTRA_AUTHORITY", "https://login.microsoftonline.us/", "https://login.microsoftonline.us"),
    ],
)
def test_what_is_meant_is_taken(monkeypatch: pytest.MonkeyPatch, name: str, value: str, read_as: object) -> None:
    assert getattr(read_from(monkeypatch, **{name: value}), name.lower()) == read_as


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
    assert read_from(monkeypatch, PUBLIC_URL=typed).public_url == read_as


def test_a_blank_setting_counts_as_not_set_but_a_blank_list_of_roles_as_no_one(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("DATABASE_URL", "PORT", "GRAPH_URL", "ENTRA_AUTHORITY", "MICROSOFT_CLOUD", "SESSION_HOURS", "LOG_JSON",
             "SECURE_SCORE_TENANT_ID", "LOG_LEVEL", "HOST", "TRUSTED_PROXIES", "SERVICENOW_ALLOWED_ORIGINS")  # fmt: skip
    blank = read_from(monkeypatch, **dict.fromkeys(names, " "), VIEWER_ROLES=" ")
    for name in names:
        monkeypatch.delenv(name)
    assert blank.model_dump(exclude={"viewer_roles"}) == read_from(monkeypatch).model_dump(exclude={"viewer_roles"})
    assert blank.viewer_roles == ()


def test_role_template_ids_have_no_case_and_app_roles_have(monkeypatch: pytest.MonkeyPatch) -> None:
    given = f"{SECURITY_ADMINISTRATOR.upper()}, SecurityCenter.Manage"
    assert read_from(monkeypatch, MANAGER_ROLES=given).manager_roles == (
        SECURITY_ADMINISTRATOR,
        "SecurityCenter.Manage",
    )


@pytest.mark.usefixtures("nothing_set")
def test_a_key_that_is_generated_is_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [Vault.new_key() for _ in range(20)]
    found = read_from(monkeypatch, VAULT_KEYS=" , ".join(keys)).vault_keys
    assert [key.get_secret_value() for key in found] == keys
    Vault(keys)
