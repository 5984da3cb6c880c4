"""The version that the command line prints is the project's."""

from __future__ import annotations

import tomllib

import pytest

from app import __version__
from app.__main__ import main
from tests.conventions.files import ROOT


def test_the_version_is_the_projects(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert __version__ == project["version"]
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"security-center {project['version']}\n"
