"""Every import contract of pyproject.toml is kept and leaves no folder out, and time has one source."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

from tests.conventions.files import ROOT, files_with, named


def test_import_contracts_are_kept() -> None:
    command = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_layers_leave_no_folder_out() -> None:
    """A contract that is not exhaustive says nothing of a folder that is added later."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layered = {
        container
        for contract in contracts
        if contract["type"] == "layers" and contract.get("exhaustive")
        for container in contract["containers"]
    }
    features = ROOT / "app" / "features"
    with_folders = {f"app.features.{folder.parent.parent.name}" for folder in features.glob("*/*/__init__.py")}
    assert with_folders | {"app", "app.features"} == layered


# Modules of features that use ServiceNow's transport, and what for. Whatever calls the API uses the gateway instead.
TRANSPORT_USERS = {
    "app/features/connection/gateway.py": "the gateway",
    "app/features/connection/oauth_client.py": "the token and revoking services",
    "app/features/connection/authorize.py": "resolves the name that was typed, and sends nothing",
    "app/features/connection/call_log.py": "reads the calls that were made",
    "app/features/provisioning/checks/connectivity.py": "the consent page, which is for browsers",
    "app/features/provisioning/support_bundle.py": "reads whether a proxy is used",
}


def test_nothing_but_the_gateway_calls_servicenows_api() -> None:
    users = {
        named(path)
        for path in files_with(".py", under="app")
        if "features" in path.parts and re.search(r"\bresources\.servicenow\b", path.read_text(encoding="utf-8"))
    }
    assert users == set(TRANSPORT_USERS)


def test_the_clock_alone_tells_the_time() -> None:
    """Durations may be measured (`time.monotonic`); what time it is comes from app.core.clock, which tests set."""
    told = re.compile(r"\b(datetime\.(now|utcnow|today)|date\.today|time\.(time|localtime|gmtime))\(")
    elsewhere = [
        named(path)
        for path in files_with(".py", under="app")
        if path.name != "clock.py" and told.search(path.read_text(encoding="utf-8"))
    ]
    assert not elsewhere
