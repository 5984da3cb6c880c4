"""Attachment API: upload raw and as a form, list, read, download, delete, and who may."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make

pytestmark = pytest.mark.fact("servicenow 3.4")
CONTENT = bytes(range(256)) * 8


def attachments(servicenow: SandboxServiceNow, user: str = "m365.integration", version: str = "") -> httpx.Client:
    headers = {"Accept": "application/json"}
    url = f"{servicenow.url}/api/now/{version}attachment"
    return httpx.Client(base_url=url, headers=headers, auth=(user, servicenow.settings.password))


def upload(client: httpx.Client, record: dict[str, Any], name: str = "a.bin", **changes: str) -> httpx.Response:
    params = {"table_name": "incident", "table_sys_id": record["sys_id"], "file_name": name} | changes
    return client.post("/file", params=params, content=CONTENT, headers={"Content-Type": "application/x-test"})


@pytest.fixture
def incident(api: httpx.Client) -> dict[str, Any]:
    return make(api)


def test_a_file_comes_back_as_it_was_sent(servicenow: SandboxServiceNow, incident: dict[str, Any]) -> None:
    with attachments(servicenow, version="v1/") as client:
        answer = upload(client, incident, "Prüfung 1.bin")
        made = answer.json()["result"]
        assert (answer.status_code, made["size_bytes"], made["content_type"]) == (201, "2048", "application/x-test")
        assert (made["file_name"], made["table_sys_id"]) == ("Prüfung 1.bin", incident["sys_id"])
        assert client.get(answer.headers["location"]).json()["result"] == made
        file = client.get(made["download_link"], headers={"Accept": "*/*"})
        assert (file.content, file.headers["content-type"]) == (CONTENT, "application/x-test")
        assert client.delete(f"/{made['sys_id']}").status_code == 204
        for path in (f"/{made['sys_id']}", f"/{made['sys_id']}/file"):
            assert client.get(path).status_code == 404


def test_a_form_carries_the_file_as_its_part(servicenow: SandboxServiceNow, incident: dict[str, Any]) -> None:
    fields = {"table_name": "incident", "table_sys_id": incident["sys_id"]}
    with attachments(servicenow) as client:
        answer = client.post("/upload", data=fields, files={"uploadFile": ("a.txt", b"words", "text/plain")})
        assert answer.status_code == 201
        assert client.get(answer.json()["result"]["download_link"]).text == "words"
        assert client.post("/upload", data=fields | {"x": "y"}, files={}).status_code == 415
        assert client.post("/upload", files={"table_name": (None, "incident")}).status_code == 400


def test_the_list_is_queried_and_paged_and_shows_what_the_caller_may_read(
    servicenow: SandboxServiceNow, incident: dict[str, Any]
) -> None:
    with attachments(servicenow) as client:
        for number in range(3):
            upload(client, incident, f"{number}.bin")
        query = {"sysparm_query": f"table_sys_id={incident['sys_id']}^ORDERBYfile_name", "sysparm_limit": "2"}
        page = client.get("", params=query)
        assert [row["file_name"] for row in page.json()["result"]] == ["0.bin", "1.bin"]
        assert (page.headers["x-total-count"], page.links["next"]["rel"]) == ("3", "next")
        rest = client.get(page.links["next"]["url"]).json()["result"]
        assert [row["file_name"] for row in rest] == ["2.bin"]
    with attachments(servicenow, "no.roles") as outsider:
        assert outsider.get("", params=query).json()["result"] == []
        assert outsider.get(f"/{rest[0]['sys_id']}").status_code == 404
        assert upload(outsider, incident).status_code == 404, "who may not read a record is not told of it"


def test_what_is_missing_or_not_allowed_is_refused(servicenow: SandboxServiceNow, incident: dict[str, Any]) -> None:
    with attachments(servicenow) as client:
        assert upload(client, incident, table_name="nothing").status_code == 400
        assert upload(client, incident, table_sys_id="0" * 32).status_code == 404
        assert upload(client, incident, "").status_code == 400
        assert client.post("/file", content=b"x").status_code == 400
        assert client.put("/file").status_code == 405
        assert client.get("/a/b/c").status_code == 400
        servicenow.control("switches", acl_refuses="incident.write")
        assert upload(client, incident).status_code == 403
