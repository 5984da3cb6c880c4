"""Nothing that looks like a secret, and no address of a package registry or of a developer's machine, is in the project."""

from __future__ import annotations

import re

import pytest

from tests.conventions.files import named, project_files

LOOKS_SECRET = {
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "cloud key": re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "code host token": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{36}|glpat-[A-Za-z0-9_-]{20})\b"),
    "signed token": re.compile(r"\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}"),
    "Fernet key": re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}=(?![A-Za-z0-9=])"),
    "Entra client secret": re.compile(r"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{34}"),
    "password in an address": re.compile(
        r"://[^/\s:@\"'{}<>$%*\[]+:(?!change-me|\*|\d{1,5}@)[^/\s:@\"'{}<>$%*\[]+@(?!/)"
    ),
    "given secret": re.compile(
        r"(?i)\b(client_secret|password|api_?key|auth_?token)\b[\"']?\s*[:=]\s*[\"'](?=[^\"']*[0-9])[A-Za-z0-9+/_~.-]{16,}[\"']"
    ),
}
# Folders of a developer's machine, and addresses inside a private network.
PLACES = re.compile(
    r"(?<![\w.:/}$~-])/(home|Users|root|work|workspaces?)/[\w.-]+"
    r"|(?i:/(home|Users)/[a-z][\w.-]*/)"
    r"|\b[A-Z]:\\Users\\"
    r"|\b(10|192\.168|172\.(1[6-9]|2\d|3[01]))(\.\d{1,3}){2,3}:\d+"
)
BINARY = {".png", ".ico", ".webp", ".mo", ".gz"}
# Files whose subject is the look of secrets.
ABOUT_SECRETS = {"tests/conventions/test_secrets.py", "tests/core/test_logging.py"}
TEXTS = [path for path in project_files() if path.suffix not in BINARY and named(path) not in ABOUT_SECRETS]
LOCKS = {"requirements.lock", "requirements-dev.lock", "requirements-clients.lock", "package-lock.json"}


def problems(text: str) -> list[str]:
    """What in this text looks like a secret."""
    return [f"{what}: {found[0][:60]}" for what, look in LOOKS_SECRET.items() if (found := look.search(text))]


def test_no_file_holds_a_secret() -> None:
    found = {named(path): problems(path.read_text(encoding="utf-8")) for path in TEXTS if named(path) not in LOCKS}
    assert not {name: problem for name, problem in found.items() if problem}


def test_no_file_names_one_machine_or_network() -> None:
    found = [named(path) for path in TEXTS if PLACES.search(path.read_text(encoding="utf-8"))]
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA PRIVATE " + "KEY-----",
        "postgresql://app:" + "hunter2@db/app",
        "client_secret = '" + "a1b2c3d4e5f6a7b8c9d0'",
        "k = " + "x" * 43 + "=",
    ],
)
def test_the_check_sees_secrets(text: str) -> None:
    assert problems(text)


@pytest.mark.parametrize("folder", ["home", "Users", "root", "work", "workspace"])
@pytest.mark.parametrize("around", ["Path('{}')", "cd {}", "file://{}", "FOLDER={}", "`{}`", "({}/data)"])
def test_the_check_sees_folders_of_one_machine(folder: str, around: str) -> None:
    place = f"/{folder}/shared/data"
    if around == "file://{}":
        place = f"/home/{folder}/data"
    assert PLACES.search(around.format(place))


@pytest.mark.parametrize(
    "text",
    [
        "/api/users/5",
        "https://graph.example/v1.0/users/me",
        "--home /srv",
        "a/work/b",
        "/workers/1",
        "/homepage/x",
    ],
)
def test_the_check_leaves_addresses_of_pages_alone(text: str) -> None:
    assert not PLACES.search(text)


def test_no_file_is_there_that_should_stay_at_home() -> None:
    kept_home = [
        named(path) for path in project_files() if path.name == ".env" or path.suffix in {".pem", ".key", ".sqlite"}
    ]
    assert not kept_home
