"""A database in trouble is an outage with a page of its own: 503, one line in the log, and nothing typed is lost."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from urllib.parse import urlencode

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from app.core.database_connection import GRACE_SECONDS, PING_SECONDS, ConnectionOptions
from app.features.tickets.sharing.bulk import MOST_AT_ONCE
from app.web.routing import url_for
from app.web.unavailable import LARGEST_KEPT_FORM
from tests.factories.outages import (
    Proxy,
    assert_unavailable,
    backends,
    full_disk,
    idle_holder,
    kill_backends,
    marked_as,
    missing,
    proxied,
    stopped,
    through,
    with_database_at,
)
from tests.factories.servers import free_port
from tests.factories.system import System
from tests.factories.tickets import an_action, fill_and_send, form_fields, know_actions, records

PAGES = ("home.page", "secure_score.overview", "actions.list", "tickets.list", "servicenow.status", "connect.form")
# Short limits, so that the tests are; the time-outs of the pages themselves are the product's.
QUICK = ConnectionOptions("security-center web", statement_seconds=1, pool_seconds=0.3, pool_size=3)


@asynccontextmanager
async def behind_proxy(system: System, url: str) -> AsyncIterator[tuple[Proxy, System]]:
    async with proxied(url) as (proxy, address), with_database_at(system, address, QUICK) as moved:
        yield proxy, moved


def hidden_fields(page: str) -> dict[str, str]:
    """What the page sends again."""
    found = re.findall(r'<textarea name="([^"]+)" hidden>\n(.*?)</textarea>', page, re.DOTALL)
    return {unescape(name): unescape(value) for name, value in found}


async def test_a_refusing_database_is_an_outage_on_every_page_and_not_our_mistake(system: System) -> None:
    async with await system.signed_in("manager") as browser, system.client() as unknown:
        async with with_database_at(system, through("postgresql://x/y", free_port()), QUICK):
            with capture_logs() as lines:
                answers = {name: await browser.get(url_for(name)) for name in PAGES}
            for answer in answers.values():
                assert_unavailable(answer)
            assert 'href="/tickets"' in answers["tickets.list"].text
            seen = [line for line in lines if line["log_level"] in ("warning", "error")]
            assert [line["event"] for line in seen] == ["http.request.unavailable"] * len(PAGES)
            assert all(len(str(line)) < 500 and "exc_info" not in line for line in seen)
            assert "Connection refused" in seen[0]["cause"]
            assert_unavailable(await unknown.post("/sign-in"))
            ready = await unknown.get("/health/ready")
            assert (ready.status_code, ready.headers["retry-after"]) == (503, "10")
            assert "does not answer" in ready.json()["problem"]
            assert (await unknown.get("/health/live")).status_code == 200
            assert (await unknown.get("/sign-in")).status_code == 200
            assert (await browser.get("/nothing-here")).status_code == 404
        assert (await browser.get("/tickets")).status_code == 200


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "x:y"])
async def test_a_host_header_that_is_no_address_makes_no_mistake_of_ours(system: System, host: str) -> None:
    async with (
        await system.signed_in("manager") as browser,
        with_database_at(system, through("postgresql://x/y", free_port()), QUICK),
    ):
        answer = await browser.get("/tickets?state=open&q=a%20b", headers={"host": host})
    assert answer.status_code < 500 or answer.status_code == 503
    if answer.status_code == 503:
        assert 'href="/tickets?state=open&amp;q=a%20b"' in answer.text


async def test_a_fragment_stays_a_fragment(system: System) -> None:
    async with (
        await system.signed_in("manager") as browser,
        with_database_at(system, through("postgresql://x/y", free_port()), QUICK),
    ):
        answer = await browser.get("/cards/incident", headers={"hx-request": "true"})
    assert_unavailable(answer)
    assert "<html" not in answer.text


async def test_a_frozen_database_is_given_up_on_pages_and_on_readiness_and_works_again_after(
    system: System, database_url: str
) -> None:
    async with await system.signed_in("manager") as browser, behind_proxy(system, database_url) as (proxy, _):
        assert (await browser.get("/tickets")).status_code == 200
        proxy.freeze()
        async with asyncio.timeout(60):  # Without a limit of ours, nothing would ever come.
            answers = await asyncio.gather(*(browser.get(path) for path in ("/tickets", "/", "/health/ready")))
        assert [answer.status_code for answer in answers] == [503, 503, 503]
        assert all(answer.headers["retry-after"] for answer in answers)
        proxy.thaw()
        assert (await browser.get("/tickets")).status_code == 200


def test_the_waits_of_one_request_are_less_than_five_seconds() -> None:
    usual = ConnectionOptions()
    assert PING_SECONDS + usual.connect_seconds < 4 + GRACE_SECONDS <= 5


async def test_stopped_and_killed_backends_are_replaced_unnoticed(system: System, database_url: str) -> None:
    async with await system.signed_in("viewer") as browser, behind_proxy(system, database_url) as _:
        assert (await browser.get("/tickets")).status_code == 200
        held = backends(database_url, "security-center web")
        assert held
        with stopped(held):
            assert (await browser.get("/tickets")).status_code == 200
        assert kill_backends(database_url) > 0
        assert (await browser.get("/tickets")).status_code == 200


async def test_a_table_that_another_transaction_holds_makes_the_page_busy(system: System, database_url: str) -> None:
    async with await system.signed_in("viewer") as browser, with_database_at(system, database_url, QUICK):
        with idle_holder(database_url, "ticket_tally"):
            answer = await browser.get("/tickets")
        assert_unavailable(answer)
        assert "Too busy" in answer.text
        assert (await browser.get("/tickets")).status_code == 200


async def test_an_exhausted_pool_makes_the_page_busy(system: System, database_url: str) -> None:
    async with await system.signed_in("viewer") as browser, with_database_at(system, database_url, QUICK) as moved:
        held = [await moved.resources.database.engine.connect() for _ in range(QUICK.pool_size)]
        answer = await browser.get("/tickets")
        for connection in held:
            await connection.close()
        assert_unavailable(answer)
        assert "Too busy" in answer.text
        assert (await browser.get("/tickets")).status_code == 200


async def test_a_form_sent_into_an_outage_is_kept_and_makes_one_ticket_when_it_is_sent_again(
    system: System, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    async with await system.signed_in("sharer") as browser, behind_proxy(system, database_url) as (proxy, _):
        page = await browser.get("/tickets/new?action=AdminMFAV2")
        typed = (
            form_fields(page.text)
            | {"priority": "2"}
            | {"description": 'Mine <b>& "quoted"\nsecond line', "kind": "incident"}
        )
        await proxy.refuse()
        lost = await browser.post("/tickets/new?action=AdminMFAV2", data=typed)
        assert_unavailable(lost)
        assert hidden_fields(lost.text) == typed
        assert 'action="/tickets/new?action=AdminMFAV2"' in lost.text
        await proxy.start()
        for _ in range(2):
            sent = await browser.post("/tickets/new?action=AdminMFAV2", data=hidden_fields(lost.text))
            assert sent.status_code == 303
    await system.work()
    assert len(records(system, "incident")) == 1


async def test_a_full_disk_loses_no_form_and_says_who_can_help(
    system: System, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()
    async with await system.signed_in("sharer") as browser:
        with full_disk(database_url, "ticket"):
            answer = await fill_and_send(browser, "/tickets/new?action=AdminMFAV2", kind="incident", description="Mine")
        assert_unavailable(answer)
        assert "no space left" in answer.text
        assert hidden_fields(answer.text)["description"] == "Mine"
        sent = await browser.post("/tickets/new?action=AdminMFAV2", data=hidden_fields(answer.text))
        assert sent.status_code == 303
    async with system.resources.database.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM ticket"))).scalar_one() == 1


async def test_a_secret_is_never_written_into_the_page(system: System) -> None:
    typed = {"instance": "contoso", "client_id": "an id", "client_secret": "a hidden thing"}
    async with (
        await system.signed_in("manager") as browser,
        with_database_at(system, through("postgresql://x/y", free_port()), QUICK),
    ):
        answer = await browser.post("/servicenow/connect", data=typed)
    assert_unavailable(answer)
    assert "a hidden thing" not in answer.text
    assert hidden_fields(answer.text) == {"instance": "contoso", "client_id": "an id"}
    assert re.search(
        r'<input[^>]*type="password"[^>]*name="client_secret"|name="client_secret"[^>]*type="password"', answer.text
    )


async def test_a_form_too_large_for_a_page_is_left_to_the_browser(system: System) -> None:
    async with (
        await system.signed_in("sharer") as browser,
        with_database_at(system, through("postgresql://x/y", free_port()), QUICK),
    ):
        answer = await browser.post("/tickets/new", data={"description": "x" * (LARGEST_KEPT_FORM + 1)})
    assert_unavailable(answer)
    assert len(answer.content) < 50_000


async def test_the_largest_bulk_share_is_carried_whole(system: System) -> None:
    fields = [("shown", str(number)) for number in range(MOST_AT_ONCE)]
    sent = urlencode([*fields, *(("action", number) for _, number in fields), *(("form_key", "k"), ("kind", "change"))])
    kind = {"content-type": "application/x-www-form-urlencoded"}
    async with (
        await system.signed_in("sharer") as browser,
        with_database_at(system, through("postgresql://x/y", free_port()), QUICK),
    ):
        answer = await browser.post(url_for("share.send_bulk"), content=sent, headers=kind)
    assert_unavailable(answer)
    assert answer.text.count('name="shown"') == answer.text.count('name="action"') == MOST_AT_ONCE


@pytest.mark.parametrize("charset", ["undefined", "unicode_escape", "punycode"])
async def test_a_form_in_a_character_set_that_is_not_ours_is_an_outage_as_well(system: System, charset: str) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\\ud800\r\n--x--\r\n'
    async with (
        await system.signed_in("sharer") as browser,
        with_database_at(system, through("postgresql://x/y", free_port()), QUICK),
    ):
        kind = f"multipart/form-data; boundary=x; charset={charset}"
        answer = await browser.post("/tickets/new", content=body, headers={"content-type": kind})
    assert_unavailable(answer)
    assert hidden_fields(answer.text) == {}


async def test_a_form_of_another_site_is_refused_before_it_could_be_shown(system: System) -> None:
    async with (
        await system.signed_in("sharer") as browser,
        with_database_at(system, through("postgresql://x/y", free_port()), QUICK),
    ):
        answer = await browser.post("/tickets/new", data={"name": "planted"}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert "planted" not in answer.text


async def test_a_statement_of_ours_that_is_wrong_stays_our_mistake(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong(*_: object, **__: object) -> None:
        async with system.resources.database.transaction() as session:
            await session.execute(text("SELECT nothing FROM ticket"))

    monkeypatch.setattr("app.web.pages.tickets.list_tickets", wrong, raising=True)
    async with await system.signed_in("viewer") as browser:
        assert (await browser.get("/tickets")).status_code == 500


async def test_tables_of_another_version_are_no_mistake_of_ours(system: System, database_url: str) -> None:
    async with await system.signed_in("viewer") as browser:
        with marked_as(database_url, "9999"), missing(database_url, "ticket_tally"):
            answer = await browser.get("/tickets")
            ready = await browser.get("/health/ready")
    assert_unavailable(answer)
    assert "another version" in answer.text
    assert (ready.status_code, "newer version" in ready.json()["problem"]) == (503, True)


async def test_a_missing_table_of_this_version_is_our_mistake(system: System, database_url: str) -> None:
    async with await system.signed_in("viewer") as browser:
        with missing(database_url, "ticket_tally"):
            assert (await browser.get("/tickets")).status_code == 500
