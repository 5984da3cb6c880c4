"""The exported list as a browser downloads it."""

from __future__ import annotations

import csv
import io
import re
import threading
from uuid import UUID

import pytest
from sqlalchemy import update

from app.features.secure_score import html_text
from app.features.secure_score.models import ImprovementAction
from app.features.tickets.models import TicketAction
from tests.factories.graph_payloads import days_before, keep, profile, score, snapshot
from tests.factories.system import System
from tests.factories.ticket_rows import add_tickets, ticket_row


@pytest.mark.fact("microsoft-graph edge-34")
async def test_the_file_is_utf_8_with_a_mark_and_keeps_commas_quotes_and_lines(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    await keep(
        system.resources.database,
        snapshots=[snapshot(controls=[score("=cmd", 1, 10), score("B", 5, 50)], azureTenantId=tenant_id)],
        profiles=[
            profile("=cmd", title='@Titel, "größer"\nzwei', azureTenantId=tenant_id, rank=1),
            profile(
                "B", title="名前", remediation="<ol><li>One</li><li>Two</li></ol>", azureTenantId=tenant_id, rank=2
            ),
        ],
        tenant_id=tenant_id,
    )
    async with await system.signed_in("viewer") as browser:
        answer = await browser.get("/secure-score/actions.csv?sort=rank")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="secure-score-actions-\d{4}-\d\d-\d\d\.csv"', answer.headers["content-disposition"]
    )
    assert answer.content.startswith(b"\xef\xbb\xbf")
    header, first, second = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    one, two = dict(zip(header, first, strict=True)), dict(zip(header, second, strict=True))
    assert one["Recommended action"] == '\'@Titel, "größer" zwei'
    assert one["Id"] == "'=cmd"
    assert (two["Recommended action"], two["Points achieved"]) == ("名前", "5\u00a0/\u00a010")
    assert (one["Opportunity (number)"], two["Points possible (number)"]) == ("9", "10")
    assert two["Next steps"] == "1. One\n2. Two"
    assert two["Score impact"] == "+5%"


@pytest.mark.fact("microsoft-graph edge-34")
async def test_the_file_holds_what_the_list_filters(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    scores = [snapshot(controls=[score(f"A{number}") for number in range(120)], azureTenantId=tenant_id)]
    await keep(system.resources.database, snapshots=scores, tenant_id=tenant_id)
    async with await system.signed_in("viewer") as browser:
        whole = (await browser.get("/secure-score/actions.csv?page=2")).text.strip().splitlines()
        part = (await browser.get("/secure-score/actions.csv?q=A11")).text.strip().splitlines()
    assert (len(whole), len(part)) == (121, 12)


@pytest.mark.fact("microsoft-graph edge-32")
async def test_a_text_stored_before_there_was_a_limit_is_bounded_when_it_is_read(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its 65,536 characters held everything up, and made a page of many megabytes."""
    tenant_id = system.resources.config.tenant_id
    scores = [snapshot(controls=[score("A")], azureTenantId=tenant_id)]
    await keep(
        system.resources.database,
        snapshots=scores,
        profiles=[profile("A", azureTenantId=tenant_id)],
        tenant_id=tenant_id,
    )
    # Open tags that are re-opened in each paragraph.
    long = ("<p>" + "".join(f"<b id={number}>" for number in range(200)) + "<p>x" * 20_000)[:65_536]
    async with system.resources.database.transaction() as session:
        texts = ("description", "remediation", "remediation_impact", "implementation_status")
        await session.execute(update(ImprovementAction).values(dict.fromkeys(texts, long)))
    parsed_in: set[int] = set()
    balance = html_text._balance

    def noted(html: str) -> str:
        parsed_in.add(threading.get_ident())
        return balance(html)

    monkeypatch.setattr(html_text, "_balance", noted)
    async with await system.signed_in("manager") as browser:
        file = await browser.get("/secure-score/actions.csv")
        form = await browser.get("/tickets/new?action=A")
        # Others are answered in the meantime: all of it was parsed beside the event loop.
        assert parsed_in
        assert threading.get_ident() not in parsed_in
        pages = [await browser.get(f"/secure-score/actions/A{tab}") for tab in ("", "?tab=implementation")]
    assert [answer.status_code for answer in (file, form, *pages)] == [200] * 4
    assert all(len(answer.content) < 4 * html_text.LONGEST_CLEAN for answer in (file, form, *pages))


async def test_of_many_tickets_the_newest_numbers_are_in_the_file(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    days = [snapshot(days_before(0), [score("A", 1, 10)], azureTenantId=tenant_id)]
    await keep(system.resources.database, snapshots=days, tenant_id=tenant_id)
    connection = await system.connect()
    rows = [ticket_row(connection.id, number=f"INC{n}", created_at=f"2026-01-01T09:{n:02}:00Z") for n in range(12)]
    rows[11] |= {"number": "", "delivery": "queued", "state": ""}
    await add_tickets(system.resources.database, rows)
    async with system.resources.database.transaction() as session:
        session.add_all(TicketAction(ticket_id=UUID(row["id"]), control_id="A", title="A") for row in rows)
    async with await system.signed_in("viewer") as browser:
        file = (await browser.get("/secure-score/actions.csv")).text
    newest = ", ".join(f"INC{n}" for n in range(10, 1, -1))
    assert f'"{newest}, …"' in file
