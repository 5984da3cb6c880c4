"""Names every route and turns a name into a path. Holds no page, and never makes an absolute URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute


class UnknownRoute(LookupError):
    """No route has this name, or the route's path needs a value that was not given."""


_routes: dict[str, APIRoute] = {}


class PageRouter(APIRouter):
    """A router whose routes all have a name (`name="tickets.detail"`), by which `url_for` finds their path.

    Starlette's own `url_path_for` needs the application, which page objects do not have, and leaves values unquoted:
    https://www.starlette.io/routing/#reverse-url-lookups
    """

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **kwargs: Any) -> None:  # noqa: ANN401 - the base's.
        """Add the route and keep its name. Raises ValueError without a name, or for a name that is taken."""
        super().add_api_route(path, endpoint, **kwargs)
        name, route = kwargs.get("name"), self.routes[-1]
        if not name:
            raise ValueError(f"The route {path} has no name")
        if name in _routes or not isinstance(route, APIRoute):
            raise ValueError(f"The route name {name} is taken")
        _routes[name] = route


def named_routes() -> Mapping[str, APIRoute]:
    """Every route of the pages that are imported, by name."""
    return _routes


def url_for(name: str, /, *, anchor: str = "", **values: object) -> str:
    """The path of a named route, with the values that its path has no place for as the query; None is left out.

    A path without a host keeps working behind every proxy, and cannot lead to another site.
    """
    route = _routes.get(name)
    if route is None:
        raise UnknownRoute(f"No route is named {name}")
    missing = route.param_convertors.keys() - values.keys()
    if missing:
        raise UnknownRoute(f"The route {name} needs {', '.join(sorted(missing))}")
    # Graph's control ids hold dots, blanks and slashes: quoted whole, so that one id stays one segment (RFC 3986 2.2).
    parts = {key: quote(str(values[key]), safe="") for key in route.param_convertors}
    query = {key: str(value) for key, value in values.items() if key not in parts and value is not None}
    path = route.path_format.format(**parts)
    return path + (f"?{urlencode(query, quote_via=quote, safe='')}" if query else "") + (f"#{anchor}" if anchor else "")


def redirect_to(name: str, /, *, anchor: str = "", **values: object) -> RedirectResponse:
    """Send the browser to a named route by GET.

    303 See Other, so that reloading the page does not post the form again: RFC 9110 15.4.4.
    """
    return redirect_to_path(url_for(name, anchor=anchor, **values))


def redirect_to_path(path: str, status: int = 303) -> RedirectResponse:
    """Send the browser to a path of this site. Raises ValueError for any other address: app/web/leaving.py leads to those."""
    # Browsers read "//host" and "/\\host" as another site: https://url.spec.whatwg.org/#concept-basic-url-parser
    if not path.startswith("/") or path[1:2] in ("/", "\\"):
        raise ValueError("Not a path of this site")
    return RedirectResponse(path, status)
