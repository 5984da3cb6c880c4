"""Texts from Graph: safe to show, readable in plain, exported without harm. Numbers are the fact sheet's edge cases."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.database import Database
from app.core.spreadsheet import safe_cell
from app.features.secure_score.actions.action_list import View, facet_options, list_actions, order_lines
from app.features.secure_score.actions.action_rows import load_lines
from app.features.secure_score.actions.browse_actions import find_action
from app.features.secure_score.actions.export import as_csv, load_texts
from app.features.secure_score.html_text import clean_html, cut, is_web_address, plain_text
from app.features.secure_score.vocabulary import category_of, level_of, product_of, threats_of, tier_of
from app.features.tickets.sharing.form_defaults import describe
from tests.factories.graph_payloads import TENANT, keep, keep_servicenow_as_a_product, profile, score, snapshot
from tests.factories.system import System

HARMFUL = re.compile(
    r"<\s*(script|style|iframe|img|svg|object|embed|form|input|link|meta|base|video|template)\b|<[^>]*\s(on\w+|style|src|id)\s*=|javascript:",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    ("html", "clean"),
    [
        ("<p style='color:red'>Red</p>", "<p>Red</p>"),
        ('<a href="javascript:alert(1)">x</a>', '<a rel="noopener noreferrer" target="_blank">x</a>'),
        ("<a href=' jAvAsCrIpT:alert(1)'>x</a>", '<a rel="noopener noreferrer" target="_blank">x</a>'),
        ("<a href='data:text/html,x'>x</a>", '<a rel="noopener noreferrer" target="_blank">x</a>'),
        ("<a href='/tickets/new'>x</a>", '<a rel="noopener noreferrer" target="_blank">x</a>'),
        ("<a href='//evil.example'>x</a>", '<a rel="noopener noreferrer" target="_blank">x</a>'),
        (
            "<a href='https://aka.ms/mfa' target=_blank onclick='steal()'>x</a>",
            '<a href="https://aka.ms/mfa" target="_blank" rel="noopener noreferrer">x</a>',
        ),
        ("<b onmouseover=alert(1)>b</b>", "<b>b</b>"),
        ("<img src=x onerror=alert(1)>", ""),
        ("<iframe src='https://evil.example'>inside</iframe>after", "after"),
        ("<script>alert(1)</script>after", "after"),
        ("<p>one<p>two<ul><li>three", "<p>one</p><p>two</p><ul><li>three</li></ul>"),
        ("</div></main><p>free", "<p>free</p>"),
        ("<label>l</label> <span style='x'>s</span>", "l s"),
        ("<p>100% of users&nbsp;</p>", "<p>100% of users&nbsp;</p>"),
        ("a < b & c", "a &lt; b &amp; c"),
        ("<!-- note --><p>x</p>", "<p>x</p>"),
    ],
)
def test_edge_32_only_harmless_html_is_shown(html: str, clean: str) -> None:
    found = clean_html(html)
    assert sorted(re.split(r"[ <>]", found)) == sorted(re.split(r"[ <>]", clean))


@given(st.lists(st.sampled_from([
    "<script>", "</script>", "<a href='", "javascript:", "'>", "<img src=x ", "onerror=", "<svg", "/onload=", "\"", ">", "<",
    "<style>", "<p>", "&lt;script&gt;", "<math><mtext>", "<noscript>", "--!>", "<!--", "x", "<base href=//e>", "\x00", "<form>",
])).map("".join))  # fmt: skip
def test_edge_32_no_mixture_gets_through(html: str) -> None:
    assert not HARMFUL.search(re.sub(r">[^<]*<", "><", f">{clean_html(html)}<"))


async def test_edge_32_every_text_of_an_action_is_sanitised_on_its_page(system: System) -> None:
    nasty = "<p>Text<script>alert(1)</script><a href='javascript:alert(1)'>l</a><img src=x onerror=alert(1)></p>"
    tenant_id = system.resources.config.tenant_id
    await keep(
        system.resources.database,
        snapshots=[
            snapshot(controls=[score("A", description=nasty, implementationStatus=nasty)], azureTenantId=tenant_id)
        ],
        profiles=[profile("A", remediation=nasty, remediationImpact=nasty, title=nasty, azureTenantId=tenant_id)],
        tenant_id=tenant_id,
    )
    async with await system.signed_in("manager") as browser:
        for path in ("A", "A?tab=implementation", "A?tab=history"):
            page = (await browser.get(f"/secure-score/actions/{path}")).text
            assert "<script>alert" not in page
            assert "onerror=alert(1)>" not in page.replace("&gt;", "")
            assert "href='javascript" not in page
            assert 'href="javascript' not in page


def test_edge_33_texts_become_readable_lines() -> None:
    html = (
        " <p>Go to&nbsp;<b>Policies</b> &amp; rules:<br />first</p>\r\n\t<ol><li>Open <a href='https://a.example/x'>it</a></li>"
        "<li><p>Choose</p><ul><li>this</li><li>or that</li></ul></li></ol><p>See https://b.example</p><script>no()</script>"
    )
    assert plain_text(html) == (
        "Go to Policies & rules:\nfirst\n\n1. Open it (https://a.example/x)\n2. Choose\n\n  - this\n  - or that\n\n"
        "See https://b.example"
    )


def test_edge_33_there_is_a_cap() -> None:
    assert plain_text("<p>" + "long " * 5000 + "</p>", 100).endswith("…")
    assert len(plain_text("x" * 5000, 100)) == 100
    assert cut("short", 100) == "short"


@given(st.text(st.characters(codec="utf-8")), st.integers(1, 200))
def test_edge_33_any_text_becomes_plain(html: str, longest: int) -> None:
    found = plain_text(html, longest)
    assert len(found) <= longest
    assert "\n\n\n" not in found


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+3.24 %", "'+3.24 %"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("  =1", "'  =1"),
        ("plain", "plain"),
        ("-5", "-5"),
        ("3.24", "3.24"),
        ("", ""),
        ("- a list", "'- a list"),
        ("a=b", "a=b"),
        ("\uff1dSUM(A1)", "'\uff1dSUM(A1)"),
        (" \uff0b1", "' \uff0b1"),
        ("\uff0d1", "'\uff0d1"),
        ("\uff20SUM(A1)", "'\uff20SUM(A1)"),
    ],
)
def test_edge_34_cells_that_a_spreadsheet_would_run_are_defused(cell: str, safe: str) -> None:
    assert safe_cell(cell) == safe


async def test_edge_34_the_file_is_utf_8_with_a_mark_and_keeps_commas_quotes_and_lines(system: System) -> None:
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
    assert (two["Recommended action"], two["Points achieved"], two["Points possible"]) == ("名前", "5", "10")
    assert two["Next steps"] == "1. One\n2. Two"
    assert two["Score impact (%)"] == "5"


async def test_edge_34_the_file_holds_what_the_list_filters(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    scores = [snapshot(controls=[score(f"A{number}") for number in range(120)], azureTenantId=tenant_id)]
    await keep(system.resources.database, snapshots=scores, tenant_id=tenant_id)
    async with await system.signed_in("viewer") as browser:
        whole = (await browser.get("/secure-score/actions.csv?page=2")).text.strip().splitlines()
        part = (await browser.get("/secure-score/actions.csv?q=A11")).text.strip().splitlines()
    assert (len(whole), len(part)) == (121, 12)


async def test_edge_35_missing_texts_have_sensible_words_in_their_place(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    await keep(
        system.resources.database,
        snapshots=[snapshot(controls=[score("A", description="", implementationStatus="search is enabled disabled")],
                            azureTenantId=tenant_id)],
        profiles=[profile("A", remediation="", remediationImpact=None, azureTenantId=tenant_id)],
        tenant_id=tenant_id,
    )  # fmt: skip
    async with await system.signed_in("viewer") as browser:
        general = (await browser.get("/secure-score/actions/A")).text
        steps = (await browser.get("/secure-score/actions/A?tab=implementation")).text
    assert "Microsoft gives no description." in general
    assert "Microsoft says nothing about it." in general
    assert "Microsoft gives no steps." in steps
    assert "search is enabled disabled" in steps


@pytest.mark.parametrize(
    ("raw", "level"),
    [
        ("low", "low"),
        ("Low", "low"),
        ("medium", "medium"),
        ("Moderate", "medium"),
        (" HIGH ", "high"),
        ("Unknown", "unknown"),
        ("", "unknown"),
        ("severe", "unknown"),
    ],
)
def test_edge_36_levels_in_four_words(raw: str, level: str) -> None:
    assert level_of(raw) == level


@pytest.mark.parametrize(
    ("raw", "category"),
    [
        ("Device", "Devices"),
        ("Devices", "Devices"),
        ("App", "Apps"),
        ("Apps", "Apps"),
        ("Account", "Identity"),
        ("data", "Data"),
        ("Infrastructure", "Infrastructure"),
        ("Containers", None),
        ("", None),
    ],
)
async def test_edge_37_categories_are_the_five_or_unknown(database: Database, raw: str, category: str | None) -> None:
    assert category_of(raw) == category
    await keep(
        database,
        snapshots=[snapshot(controls=[score("A", controlCategory=raw)])],
        profiles=[profile("A", controlCategory=raw)],
    )
    async with database.transaction() as session:
        action = await find_action(session, TENANT, "A")
        [line] = await load_lines(session, TENANT)
    assert action.category == category
    assert line.category_name == (category or raw)


def test_edge_38_threats_and_tiers_in_one_spelling() -> None:
    assert threats_of(["Account breach", "Account Breach", "accountBreach", " ", "Password Cracking"]) == [
        "Account breach", "Password cracking",
    ]  # fmt: skip
    assert tier_of("Defense In Depth") == tier_of("Defense in Depth") == "Defense in depth"


async def test_edge_38_spellings_are_one_facet(database: Database) -> None:
    profiles = [
        profile("A", threats=["Account breach"]),
        profile("B", threats=["Account Breach"], tier="Advanced"),
        profile("C", threats=[]),
    ]
    await keep(database, snapshots=[snapshot(controls=[score(key) for key in "ABC"])], profiles=profiles)
    async with database.transaction() as session:
        lines = await load_lines(session, TENANT)
    threats = next(facet for facet in facet_options(lines, View(), frozenset()) if facet.name == "threat")
    assert [(option.value, option.count) for option in threats.options] == [("Account breach", 2), ("", 1)]


async def test_edge_39_ties_keep_their_order_on_every_reload(database: Database) -> None:
    keys = [f"C{number:03}" for number in range(120)]
    scores = [snapshot(controls=[score(key, 1, 10) for key in keys])]
    await keep(database, snapshots=scores, profiles=[profile(key, rank=10, title="Same") for key in reversed(keys)])
    async with database.transaction() as session:
        lines = await load_lines(session, TENANT)
        again = list(reversed(await load_lines(session, TENANT)))
    for sort in ("rank", "impact", "points", "status", "category", "product", "synced", "action"):
        for descending in (False, True):
            view = View(sort=sort, descending=descending)
            assert [line.control_id for line in order_lines(lines, view)] == [
                line.control_id for line in order_lines(again, view)
            ]
    pages = [list_actions(lines, View(page=number), frozenset()).lines for number in (1, 2, 3)]
    assert [line.control_id for page in pages for line in page] == keys


async def test_edge_40_titles_of_any_kind(system: System) -> None:
    titles = ["  Trailing   spaces  ", "x" * 400, "שלום <עולם>", "a\nb\tc", "\u0027quoted\u0027", ""]
    named = {f"C{number}": title for number, title in enumerate(titles)}
    tenant_id = system.resources.config.tenant_id
    await keep(
        system.resources.database,
        snapshots=[snapshot(controls=[score(key) for key in named], azureTenantId=tenant_id)],
        profiles=[profile(key, title=title, azureTenantId=tenant_id) for key, title in named.items()],
        tenant_id=tenant_id,
    )
    async with system.resources.database.transaction() as session, await system.signed_in("viewer") as browser:
        for key, title in named.items():
            action = await find_action(session, tenant_id, key)
            assert action.title == (" ".join(title.split()) or key)
            assert (await browser.get(f"/secure-score/actions/{key}")).status_code == 200


ADDRESSES: dict[Any, bool] = {
    "https://entra.microsoft.com/#view": True,
    "http://intranet.example/x": True,
    "https://compliance.microsoft.com/": True,
    "https://security.microsoft.us/x": True,
    "not a link": False,
    "javascript:alert(1)": False,
    "": False,
    None: False,
    "ftp://files.example": False,
    "https://": False,
    "https://[broken": False,
}


async def test_edge_41_the_button_appears_for_web_addresses_only_and_never_changes_them(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    named = {f"C{number}": address for number, address in enumerate(ADDRESSES)}
    profiles = [profile(key, actionUrl=address, azureTenantId=tenant_id) for key, address in named.items()]
    await keep(system.resources.database, profiles=profiles, tenant_id=tenant_id)
    async with await system.signed_in("viewer") as browser:
        for key, address in named.items():
            shown = ADDRESSES[address]
            assert is_web_address(address or "") is shown
            page = (await browser.get(f"/secure-score/actions/{key}")).text
            assert ("Open in Microsoft’s portal" in page) is shown, address
            if shown:
                assert f'href="{address}"' in page


async def test_edge_56_servicenow_as_a_scored_product_is_told_apart_from_the_ticket_system(system: System) -> None:
    assert product_of("MDA_SNOW") == "ServiceNow (scored app)"
    await keep_servicenow_as_a_product(system.resources.database, system.resources.config.tenant_id)
    async with await system.signed_in("sharer") as browser:
        found = (await browser.get("/secure-score/actions?product=ServiceNow+%28scored+app%29")).text
        searched = (await browser.get("/secure-score/actions?q=servicenow")).text
    for page in (found, searched):
        assert "1 action<" in page
        assert "Ensure MFA" in page
        assert "Sign mail" not in page


async def test_texts_of_all_actions_are_read_in_one_go(database: Database) -> None:
    await keep(
        database,
        snapshots=[snapshot(controls=[score("A", description="<p>d</p>")])],
        profiles=[profile("A", remediation="r")],
    )
    async with database.transaction() as session:
        texts = await load_texts(session, TENANT)
        lines = await load_lines(session, TENANT)
    assert texts == {"A": ("<p>d</p>", "r")}
    assert ",d,r,A" in as_csv(lines, {}, texts)


@pytest.mark.parametrize(
    ("impact", "said_to_users"),
    [("<p>People are asked <b>once</b>.</p>", "People are asked once."), ("None.", None), ("", None)],
)
async def test_a_ticket_says_what_users_notice_in_microsofts_words_and_no_rating(
    database: Database, impact: str, said_to_users: str | None
) -> None:
    await keep(
        database,
        snapshots=[snapshot(controls=[score("AdminMFAV2")])],
        profiles=[profile("AdminMFAV2", userImpact="Moderate", remediationImpact=impact)],
    )
    async with database.transaction() as session:
        text = describe(await find_action(session, TENANT, "AdminMFAV2"))
    assert "Moderate" not in text
    assert ("What users will notice:" in text) == (said_to_users is not None)
    assert (said_to_users or "") in text
