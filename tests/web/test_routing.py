"""From a route's name to its path: values, queries, anchors, and what is refused."""

from __future__ import annotations

from uuid import UUID

import pytest
from fastapi import Response

import app.main  # noqa: F401 - gathers every page, so that every route is known.
from app.features.tickets.types import TicketKind
from app.web.routing import PageRouter, UnknownRoute, named_routes, redirect_to, redirect_to_path, url_for

SOME_ID = UUID("0b7c1c8e-0000-4a6e-9c3e-5d1f0a00ffff")


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("home.page", {}, "/"),
        ("home.page", {"anchor": "home-card-top"}, "/#home-card-top"),
        ("tickets.detail", {"ticket_id": SOME_ID}, f"/tickets/{SOME_ID}"),
        ("tickets.detail", {"ticket_id": SOME_ID, "anchor": "notes"}, f"/tickets/{SOME_ID}#notes"),
        ("home.card", {"name": TicketKind.CHANGE}, "/cards/change"),
        ("tickets.list", {"kind": TicketKind.CHANGE, "page": 2}, "/tickets?kind=change&page=2"),
        ("tickets.list", {"kind": None, "q": ""}, "/tickets?q="),
        ("tickets.list", {"q": "50% & more/less=ü"}, "/tickets?q=50%25%20%26%20more%2Fless%3D%C3%BC"),
        ("actions.detail", {"control_id": "Odd.Id/with blank?#"}, "/secure-score/actions/Odd.Id%2Fwith%20blank%3F%23"),
        ("share.form", {"action": "a/b"}, "/tickets/new?action=a%2Fb"),
        ("sign_in.page", {"return_to": "/tickets?kind=x"}, "/sign-in?return_to=%2Ftickets%3Fkind%3Dx"),
        ("servicenow.data_exchange", {}, "/servicenow/data-exchange"),
        ("diagnosis.page", {}, "/servicenow/diagnosis"),
        ("sign_out.front_channel", {}, "/sign-out/front-channel"),
        ("actions.add_note", {"action": "A"}, "/secure-score/actions/notes?action=A"),
    ],
)
def test_a_name_and_its_values_make_a_path(name: str, values: dict[str, object], expected: str) -> None:
    anchor = str(values.pop("anchor", ""))
    assert url_for(name, anchor=anchor, **values) == expected


@pytest.mark.parametrize("name", sorted(named_routes()))
def test_every_path_is_relative_to_this_host(name: str) -> None:
    route = named_routes()[name]
    path = url_for(name, **dict.fromkeys(route.param_convertors, "//evil.example"))
    assert path.startswith("/")
    assert not path.startswith("//")
    assert "//" not in path


def test_an_unknown_name_or_a_path_without_its_value_is_an_error() -> None:
    with pytest.raises(UnknownRoute, match="nowhere"):
        url_for("tickets.nowhere")
    with pytest.raises(UnknownRoute, match="ticket_id"):
        url_for("tickets.detail")


def test_a_redirect_is_answered_by_a_get() -> None:
    answer = redirect_to("tickets.list", delivery="queued")
    assert (answer.status_code, answer.headers["location"]) == (303, "/tickets?delivery=queued")


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", ""])
def test_no_redirect_leads_to_another_site(elsewhere: str) -> None:
    with pytest.raises(ValueError, match="this site"):
        redirect_to_path(elsewhere)


async def _endpoint() -> Response:
    return Response()


def test_a_route_without_a_name_or_with_a_taken_one_is_refused() -> None:
    router = PageRouter()
    with pytest.raises(ValueError, match="no name"):
        router.get("/nameless")(_endpoint)
    with pytest.raises(ValueError, match="taken"):
        router.get("/double", name="tickets.list")(_endpoint)
