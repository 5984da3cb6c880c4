"""`python -m app doctor`, as an operator runs it: a process of its own, findings on the screen, and an exit status."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.factories.connecting import a_worker, database_url, with_known_key
from tests.factories.system import PUBLIC_URL, System

ROOT = Path(__file__).resolve().parents[3]


async def doctor(system: System, key: str, *arguments: str, secret: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(system).replace("postgresql+psycopg", "postgresql"),
        "PUBLIC_URL": PUBLIC_URL,
        "VAULT_KEYS": key,
        "ENTRA_TENANT_ID": system.microsoft.settings.tenant_id,
        "ENTRA_CLIENT_ID": system.microsoft.settings.client_id,
        "ENTRA_CLIENT_SECRET": secret or system.microsoft.settings.client_secret,
        "ENTRA_AUTHORITY": system.microsoft.url,
        "GRAPH_URL": system.microsoft.url,
        "SERVICENOW_ALLOWED_ORIGINS": system.servicenow.url,
        "LOG_LEVEL": "ERROR",
    }
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "app", "doctor", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


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
