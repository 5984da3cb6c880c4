"""docs/sandbox.md names the versions that the locks pin, and every client that the tests start."""

from __future__ import annotations

import json
import re

from benchmarks.peer import ROOT, SCRIPTS

ROW = re.compile(r"^\| ([\w-]+) \| ([\d.]+) \| ([^|]+) \|", re.M)


def documented() -> dict[str, tuple[str, str]]:
    text = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    return {name.lower(): (version, runs_in.strip()) for name, version, runs_in in ROW.findall(text)}


def test_the_table_names_the_versions_that_the_locks_pin() -> None:
    lock = (ROOT / "requirements-clients.lock").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)", lock, re.M))
    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    pinned["openid-client"] = packages["node_modules/openid-client"]["version"]
    tested = {name: version for name, (version, runs_in) in documented().items() if runs_in != "by hand"}
    assert tested == {name: pinned[name] for name in tested}


def test_the_table_names_every_client_that_is_started() -> None:
    tested = {name for name, (_, runs_in) in documented().items() if runs_in != "by hand"}
    assert tested == {name.lower() for name in SCRIPTS}
