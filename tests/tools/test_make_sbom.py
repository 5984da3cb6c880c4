"""The SBOM and NOTICE list what the lock files pin, with digests and licenses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cyclonedx.output.json import JsonV1Dot6

from tests.conventions.files import ROOT
from tools.make_sbom import front_end_components, main, make_bom, notice, python_components

LOCK = """\
anyio==4.16.0 \\
    --hash=sha256:{one} \\
    --hash=sha256:{two}
    # via httpx
deprecated==1.3.1 ; python_full_version < '3.12' \\
    --hash=sha256:{one}
psycopg[binary, pool]==3.3.9 \\
    --hash=sha256:{two}
""".format(one="1" * 64, two="2" * 64)


def test_every_pinned_package_is_a_component_with_its_digests() -> None:
    found = list(python_components(LOCK))
    assert [str(one.purl) for one in found] == [
        "pkg:pypi/anyio@4.16.0",
        "pkg:pypi/deprecated@1.3.1",
        "pkg:pypi/psycopg@3.3.9",
    ]
    assert [len(one.hashes) for one in found] == [2, 1, 1]


def test_front_end_packages_for_development_are_left_out() -> None:
    digest = "sha512-" + "A" * 86 + "=="
    packages = {
        "": {"name": "ours"},
        "node_modules/@a/b": {"version": "1.0.0", "integrity": digest, "license": "MIT"},
        "node_modules/c": {"version": "2.0.0", "integrity": digest, "dev": True},
    }
    (found,) = front_end_components(json.dumps({"packages": packages}))
    assert (str(found.purl), len(found.hashes)) == ("pkg:npm/%40a/b@1.0.0", 1)


def test_all_locked_packages_are_listed_with_a_license() -> None:
    bom = make_bom()
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([a-z0-9._-]+?)(?:\[.*\])?==", lock, re.MULTILINE))
    assert pinned <= {one.name for one in bom.components}
    # What is locked for other systems only is not installed here, so that its license is not known.
    assert {one.name for one in bom.components if not one.licenses} <= {"tzdata", "colorama"}


def test_the_file_is_written_where_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "out" / "sbom.json")]) == 0
    written = json.loads((tmp_path / "out" / "sbom.json").read_text(encoding="utf-8"))
    assert (written["bomFormat"], written["specVersion"]) == ("CycloneDX", "1.6")
    assert f"{len(written['components'])} components" in capsys.readouterr().out
    assert json.loads(JsonV1Dot6(make_bom()).output_as_string())["components"] == written["components"]


def test_notice_is_what_the_locks_say() -> None:
    assert (ROOT / "NOTICE").read_text(encoding="utf-8") == notice(make_bom())
