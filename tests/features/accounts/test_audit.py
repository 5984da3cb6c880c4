"""The audit log: who, when, what, from where; found, exported, and without secrets."""

from __future__ import annotations

import csv
import io
import json

import pytest

from app.core.messages import T
from app.features.accounts.audit import PAGE_SIZE, log_action
from tests.factories.connecting import begin, connect_by_pages, decide, remove, said, viewer_of
from tests.factories.leaving import leads_to
from tests.factories.system import System


async def test_connecting_and_removing_are_written_down(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    await remove(manager)
    start = await begin(system, manager)
    await manager.get(decide(system, leads_to(start), decision="deny"))

    lines = (await manager.get("/servicenow/audit.json")).json()
    assert [line["what"] for line in lines] == [
        "Authorization begun",
        "Connection authorized",
        "Connection removed",
        "Tokens revoked at ServiceNow",
        "Authorization begun",
        "Authorization failed",
    ]
    assert lines[1]["facts"]["consented_as"] == "m365.integration"
    assert {line["who"] for line in lines} == {"Alex Wilber"}
    assert {line["from"] for line in lines} == {"127.0.0.1"}

    page = said(await manager.get("/servicenow/audit"))
    assert "Connection authorized" in page
    assert "alex@contoso.example" in page


async def test_no_secret_enters_it(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, client_secret="typed-and-wrong")
    await connect_by_pages(system, manager)
    async with system.resources.database.transaction() as session:
        await log_action(session, None, T("Something"), client_secret="in-the-clear", note="Bearer abcdefgh12345678")
    texts = [(await manager.get(f"/servicenow/audit{kind}")).text for kind in ("", ".csv", ".json")]
    for secret in (system.servicenow.settings.client_secret, "typed-and-wrong", "in-the-clear", "abcdefgh12345678"):
        assert not [text for text in texts if secret in text]


async def test_an_action_that_is_rolled_back_leaves_no_entry(system: System) -> None:
    async def fail() -> None:
        async with system.resources.database.transaction() as session:
            await log_action(session, None, T("Never happened"))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    manager = await system.signed_in("manager")
    assert (await manager.get("/servicenow/audit.json")).json() == []


async def test_search_pages_and_export_agree(system: System) -> None:
    manager = await system.signed_in("manager")
    viewer = await viewer_of(system, manager)
    async with system.resources.database.transaction() as session:
        for number in range(PAGE_SIZE + 5):
            await log_action(session, viewer, T("Box opened"), box=number, note="100%_sure")
        await log_action(session, None, T("Box lost"))
    first = said(await manager.get("/servicenow/audit"))
    assert "Page 1 of 2" in first
    assert "The security center itself" in first
    assert "Page 2 of 2" in said(await manager.get("/servicenow/audit?page=99"))
    assert "Box lost" not in said(await manager.get("/servicenow/audit?q=opened"))
    assert len((await manager.get("/servicenow/audit.json?q=%25_sure")).json()) == PAGE_SIZE + 5
    assert "No entry holds this text" in said(await manager.get("/servicenow/audit?q=nowhere"))


async def test_the_csv_opens_in_a_spreadsheet_and_runs_nothing_there(system: System) -> None:
    manager = await system.signed_in("manager")
    async with system.resources.database.transaction() as session:
        await log_action(session, None, T("=HYPERLINK(1)"), name='Äpfel, "rot"\nund grün')
    answer = await manager.get("/servicenow/audit.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    text = answer.content.decode("utf-8")
    assert text.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text[1:])))
    assert rows[0]["what"] == "'=HYPERLINK(1)"
    assert 'Äpfel, "rot"\nund grün' in rows[0]["facts"]


@pytest.mark.parametrize("role", ["sharer", "viewer", "outsider"])
async def test_only_managers_read_it(system: System, role: str) -> None:
    browser = await system.signed_in(role)
    for kind in ("", ".csv", ".json"):
        assert (await browser.get(f"/servicenow/audit{kind}")).status_code == 403


async def test_an_entry_outlives_the_language_and_holds_plain_values(system: System) -> None:
    manager = await system.signed_in("manager")
    async with system.resources.database.transaction() as session:
        await log_action(session, None, T("Counted"), count=3, flag=True, nothing=None, long="x" * 2000)
    [line] = (await manager.get("/servicenow/audit.json")).json()
    assert json.dumps(line["facts"])[:60].startswith('{"flag": "True", "long": ')
    assert (line["facts"]["count"], line["facts"]["nothing"], len(line["facts"]["long"])) == ("3", "None", 500)
