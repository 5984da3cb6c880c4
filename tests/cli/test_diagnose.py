"""`python -m app doctor` says first what is wrong with the tables, and never ends in a stack trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.diagnose import BundleNotWritten, diagnose
from tests.factories.outages import marked_as, missing
from tests.factories.system import System


@pytest.mark.parametrize(
    ("revision", "words"), [("0015", "older version"), ("9999", "newer version"), (None, "no tables of this product")]
)
async def test_tables_of_another_version_are_the_first_finding(
    system: System, database_url: str, capsys: pytest.CaptureFixture[str], revision: str | None, words: str
) -> None:
    with marked_as(database_url, revision):
        assert await diagnose(system.resources) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("[problem] tables: ")
    assert words in first


async def test_what_such_tables_do_not_allow_is_left_out(
    system: System, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with missing(database_url, "connection"), marked_as(database_url, None):
        assert await diagnose(system.resources) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "The rest needs the tables of this version, so it was not checked.",
        "Findings that need somebody: 1.",
    ]


async def test_a_bundle_that_such_tables_do_not_allow_is_told(
    system: System, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with missing(database_url, "connection"), marked_as(database_url, None):
        assert await diagnose(system.resources, tmp_path / "support.zip") == 1
    assert "No support bundle was written." in capsys.readouterr().out
    assert not (tmp_path / "support.zip").exists()


async def test_a_bundle_that_cannot_be_written_is_a_sentence(system: System, tmp_path: Path) -> None:
    with pytest.raises(BundleNotWritten, match=r"No such file or directory\. Name another file"):
        await diagnose(system.resources, tmp_path / "missing" / "support.zip")
