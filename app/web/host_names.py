"""Leads a browser that opened us under another host name to PUBLIC_URL, where alone sign-in can work. Knows no page."""

from __future__ import annotations

from functools import cached_property
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.features.accounts.sign_in import LONGEST_PATH
from app.web.cookies import cookie_name
from app.web.routing import url_for

# Answered under every name: health checks call by address, and none of these needs a cookie of ours.
EVERY_NAME = ("health.live", "health.ready", "sign_out.front_channel", "sign_out.front_channel_earlier")
ARRIVED = "public_host.arrived"
# Set in a browser whose requests come with another host although it stands at PUBLIC_URL: a proxy changes the name.
PROXIED_COOKIE = "host-changed-by-proxy"
PROXIED_COOKIE_SECONDS = 30 * 24 * 3600
LONGEST_NETLOC = 300  # A name of 255, brackets and a port.
MOST_PROXIES = 20  # Each adds a part to its header; more are not read.


def host_name(netloc: str) -> str:
    """The name alone, as two of them are compared. Ports do not count: cookies ignore them, and proxies leave them out."""
    # IDNA's encoder takes time with the square of the length. No name is longer: RFC 1035 2.3.4.
    if len(netloc) > LONGEST_NETLOC:
        return ""
    try:
        name = urlsplit(f"//{netloc.strip()}").hostname or ""
        return name.rstrip(".").encode("idna").decode().lower() if not name.isascii() else name.rstrip(".")
    except ValueError:  # What is no host, and what IDNA refuses (a UnicodeError).
        return ""


def comes_under_another_name(headers: Headers, public_host: str) -> bool:
    """Whether no header names the public host. A proxy's word is good enough: believing it only means leading nowhere."""
    # https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-Host, RFC 7239 4
    said = [headers.get("host", ""), *headers.get("x-forwarded-host", "").split(",")[:MOST_PROXIES]]
    for part in headers.get("forwarded", "").replace(",", ";").split(";")[: 4 * MOST_PROXIES]:
        name, _, value = part.strip().partition("=")
        said += [value.strip('"')] if name.lower() == "host" else []
    names = {host_name(one) for one in said if one.strip()}
    return bool(names) and public_host not in names


class PublicHostMiddleware:
    """Answers a page asked for under another name with a redirect to the same page at PUBLIC_URL."""

    def __init__(self, app: ASGIApp, *, public_url: str) -> None:
        self._app = app
        self._public_url = public_url
        self._proxied = cookie_name(public_url, PROXIED_COOKIE)
        self._public_netloc = urlsplit(public_url).netloc
        self._public_host = host_name(self._public_netloc)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_page_elsewhere(scope):
            await self._app(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        wanted = quote(scope["path"]) + (f"?{query}" if query else "")
        if len(wanted) > LONGEST_PATH:  # Quoted once more, it would be an address that we refuse.
            wanted = "/"
        # By way of a page of its own: if a proxy changes the host, the browser arrives there under the wrong name again, and
        # must not be led round and round. 302, since a browser remembers 301 and 308 after PUBLIC_URL was corrected.
        address = self._public_url + url_for(ARRIVED, to=wanted)
        await RedirectResponse(address, 302)(scope, receive, send)

    # Routes have their names once all pages are imported, which is after this is made.
    @cached_property
    def _own_paths(self) -> frozenset[str]:
        return frozenset(map(url_for, (*EVERY_NAME, ARRIVED)))

    def _is_page_elsewhere(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        if headers.get("host") == self._public_netloc:  # Nearly always, and quicker to see than all of the below.
            return False
        if scope["method"] not in ("GET", "HEAD") or scope["path"] in self._own_paths:
            return False
        # Only what a person opens: monitors and parts of a page that is open already follow no redirect.
        if "text/html" not in headers.get("accept", "") or "hx-request" in headers:
            return False
        return (
            comes_under_another_name(headers, self._public_host) and self._proxied not in HTTPConnection(scope).cookies
        )
