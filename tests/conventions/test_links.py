"""Links are made from route names: no address of our own stands in a template, a redirect or a page's code."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest
from jinja2 import nodes

from app.features.accounts import sign_in
from app.features.connection import oauth_client
from app.features.tickets.sharing.share import action_link, ticket_link
from app.main import PAGES
from app.web.routing import PageRouter, named_routes, url_for
from app.web.templating import environment
from tests.conventions.files import ROOT, files_with, named
from tests.factories.system import PUBLIC_URL, System

pytestmark = pytest.mark.thorough

TEMPLATES = files_with(".html", under="templates")
CODE = files_with(".py", under="app/web") + files_with(".py", under="app/features")
SEGMENTS = {route.path.split("/")[1].split(".")[0] for route in named_routes().values()} - {""}
# An address of our own, as far as its beginning tells; "/" alone is the home page.
OWN = re.compile(rf"/(?:(?:{'|'.join(sorted(SEGMENTS))})(?:[/?#.].*)?)?")
ATTRIBUTE = re.compile(r"\s(?:href|src|action|formaction|hx-[a-z]+|data-[a-z]+)=[\"']/(?!/)", re.IGNORECASE)
# Features may not know the web layer, and these addresses leave the product: two are registered elsewhere, two stand in
# tickets. The test below ties each to its route.
PUBLISHED = {
    "app/features/accounts/sign_in.py": "the redirect URI at Entra ID",
    "app/features/connection/oauth_client.py": "the redirect URI at ServiceNow",
    "app/web/pages/moved.py": "earlier addresses, each beside the route that answers now",
    "app/features/tickets/sharing/share.py": "the links to a ticket and to an action, which stand in the record",
}


def literal_addresses(source: str) -> list[str]:
    """Own addresses in a module's code, except where routes are declared."""
    tree = ast.parse(source)
    declared = {
        id(constant)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and _declares_routes(call.func)
        for constant in ast.walk(call)
    }
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in declared]
    # One "/" alone separates things in many texts, so that only templates are searched for the home page's.
    return [
        text.value
        for text in texts
        if isinstance(text.value, str) and len(text.value) > 1 and OWN.fullmatch(text.value)
    ]


def _declares_routes(called: ast.expr) -> bool:
    of_router = isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "router"
    return of_router or (isinstance(called, ast.Name) and called.id == "PageRouter")


def literal_links(source: str) -> list[str]:
    """Own addresses in a template: in an attribute, or as a text inside an expression."""
    constants = environment.parse(source).find_all(nodes.Const)
    texts = [node.value for node in constants if isinstance(node.value, str) and OWN.fullmatch(node.value)]
    return [found[0].strip() for found in ATTRIBUTE.finditer(source)] + texts


def calls_of_url_for(source: str) -> list[nodes.Call]:
    """Every use of `url_for` in a template."""
    calls = environment.parse(source).find_all(nodes.Call)
    return [call for call in calls if isinstance(call.node, nodes.Name) and call.node.name == "url_for"]


def test_every_router_names_its_routes() -> None:
    assert all(isinstance(page.router, PageRouter) for page in PAGES)
    of_pages = [getattr(route, "name", "") for page in PAGES for route in page.router.routes]
    assert sorted(of_pages) == sorted(named_routes())
    assert [name for name in of_pages if not re.fullmatch(r"[a-z_]+\.[a-z_]+", name)] == []


def test_no_two_routes_answer_one_method_at_one_path() -> None:
    answered = [(method, route.path) for route in named_routes().values() for method in route.methods or ()]
    assert [each for each, times in Counter(answered).items() if times > 1] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=named)
def test_no_template_holds_an_address_of_our_own(path: Path) -> None:
    assert literal_links(path.read_text(encoding="utf-8")) == [], "write these as url_for('<route name>')"


@pytest.mark.parametrize("path", TEMPLATES, ids=named)
def test_every_link_of_a_template_names_a_route_and_gives_what_its_path_needs(path: Path) -> None:
    for call in calls_of_url_for(path.read_text(encoding="utf-8")):
        name = cast("nodes.Const", call.args[0]).value
        route = named_routes().get(name)
        assert route is not None, f"no route is named {name}"
        given = {argument.key for argument in call.kwargs}
        assert route.param_convertors.keys() <= given, f"{name} needs {route.param_convertors.keys() - given}"


@pytest.mark.parametrize("path", CODE, ids=named)
def test_no_code_holds_an_address_of_our_own(path: Path) -> None:
    if named(path) not in PUBLISHED:
        assert literal_addresses(path.read_text(encoding="utf-8")) == [], "use url_for or redirect_to"


def test_an_exception_is_made_only_where_it_is_needed() -> None:
    assert [path for path in PUBLISHED if not literal_addresses((ROOT / path).read_text(encoding="utf-8"))] == []


async def test_addresses_that_leave_the_product_are_those_of_their_routes(system: System) -> None:
    ticket_id, control_id = UUID(int=7), "Odd.Id/with blank"
    assert sign_in.redirect_uri(system.resources) == PUBLIC_URL + url_for("sign_in.callback")
    assert oauth_client.redirect_uri(system.resources) == PUBLIC_URL + url_for("connect.callback")
    assert ticket_link(PUBLIC_URL, ticket_id) == PUBLIC_URL + url_for("tickets.detail", ticket_id=ticket_id)
    assert action_link(PUBLIC_URL, control_id) == PUBLIC_URL + url_for("actions.detail", control_id=control_id)


def test_the_rule_sees_literal_addresses() -> None:
    assert literal_links('<a href="/tickets">x</a>') == ['href="/']
    assert literal_links('<div hx-get="/anything/new"></div>') == ['hx-get="/']
    assert literal_links('{{ page_header("x", [("/secure-score", "y")]) }}{{ "/" }}') == ["/secure-score", "/"]
    allowed = '<a href="#main"></a><a href="https://learn.microsoft.com/x"></a><img src="{{ asset(\'img/x.svg\') }}">'
    assert literal_links(allowed) == []
    assert literal_addresses('RedirectResponse(f"/tickets/{number}", 303)') == ["/tickets/"]
    assert literal_addresses('address = "/servicenow/connect?removed=yes"') == ["/servicenow/connect?removed=yes"]
    assert literal_addresses('router = PageRouter(prefix="/tickets")\n@router.get("/tickets/x")\ndef f(): ...') == []
    assert literal_addresses('"/api/now/table"; "a/b"; "/"') == ["/api/now/table"]
