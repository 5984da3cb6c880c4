"""The support bundle holds what support needs and no secret."""

from __future__ import annotations

import io
import json
import zipfile

from app.features.provisioning.support_bundle import support_bundle
from tests.factories.connecting import connect_by_pages
from tests.factories.system import System


async def test_the_bundle_holds_what_support_needs_and_no_secret(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    await system.work()
    await manager.post("/servicenow/diagnosis")
    await system.work()
    answer = await manager.get("/servicenow/diagnosis/bundle.zip")
    assert answer.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(files) == {
        "README.txt", "findings.json", "provisioning.json", "connection.json", "calls.json", "queue.json",
        "settings.json", "versions.json",
    }  # fmt: skip
    calls = json.loads(files["calls.json"])
    assert all(call["transaction_id"] for call in calls)
    assert all(call["correlation_id"] for call in calls)
    assert json.loads(files["versions.json"])["servicenow"].startswith("glide-zurich")
    assert json.loads(files["connection.json"])["connection"]["user_name"] == "m365.integration"
    findings = json.loads(files["findings.json"])["findings"]
    assert {finding["verdict"] for finding in findings} <= {"good", "note", "unknown", "problem"}
    assert json.loads(files["connection.json"])["last_consent"]["came_back"] is True
    assert {finding["key"] for finding in findings} >= {"reachable", "token"}
    whole = "".join(files.values())
    secrets = [system.servicenow.settings.client_secret]
    secrets += [row["token"] for row in system.servicenow.instance.store.rows("oauth_credential")]
    assert not [secret for secret in secrets if secret in whole]
    log = [line["what"] for line in (await manager.get("/servicenow/audit.json")).json()]
    assert "Support bundle downloaded" in log


async def test_the_command_line_writes_no_entry_into_the_audit_log(system: System) -> None:
    await system.connect()
    assert zipfile.is_zipfile(io.BytesIO(await support_bundle(system.resources)))
    manager = await system.signed_in("manager")
    assert (await manager.get("/servicenow/audit.json")).json() == []
