"""`python -m app doctor`, as an operator runs it: a process of its own, findings on the screen, and an exit status."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.factories.connecting import a_worker, with_known_key
from tests.factories.operator import environment, run_command
from tests.factories.outages import marked_as
from tests.factories.system import System


async def doctor(system: System, key: str, *arguments: str, secret: str = "") -> subprocess.CompletedProcess[str]:
    changed = {"ENTRA_CLIENT_SECRET": secret} if secret else {}
    return await run_command(environment(system, key, **changed), "doctor", *arguments)


@pytest.mark.thorough
async def test_the_doctor_names_the_fault_and_its_fix(system: System, tmp_path: Path) -> None:
    key = with_known_key(system)
    await system.connect()
    await a_worker(system)
    well = await doctor(system, key)
    assert well.returncode == 0, well.stdout + well.stderr
    assert "[good] token: The access token works." in well.stdout
    assert "Nothing stands in the way." in well.stdout

    assert "[good] graph: The Secure Score of this tenant can be read." in well.stdout
    assert "[good] settings: " in well.stdout

    refused = await doctor(system, key, secret="wrong")
    assert refused.returncode == 1
    assert "[problem] entra_refused: Entra ID does not accept the client secret (AADSTS7000215)" in refused.stdout

    system.servicenow.instance.switches.api_asleep = True
    bundle = tmp_path / "support.zip"
    ill = await doctor(system, key, "--bundle", str(bundle))
    assert ill.returncode == 1
    assert "[problem] asleep: The instance hibernates" in ill.stdout
    assert "What to do: Wake it up" in ill.stdout
    assert "calls.json" in zipfile.ZipFile(bundle).namelist()
    assert system.servicenow.settings.client_secret not in well.stdout + ill.stdout


@pytest.mark.thorough
async def test_the_doctor_says_first_that_the_tables_are_of_another_version(system: System, database_url: str) -> None:
    with marked_as(database_url, "0001"):
        ended = await doctor(system, with_known_key(system))
    assert ended.returncode == 1
    assert "[problem] tables: The database is of an older version (0001 instead of" in ended.stdout
    assert "Run: python -m app migrate" in ended.stdout
    assert ended.stderr == ""
