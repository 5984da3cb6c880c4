"""Where a browser arrives that opened us under another host name: it goes on to its page, now under PUBLIC_URL."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from app.core.logging import get_logger
from app.features.accounts.sign_in import local_path
from app.web.cookies import set_cookie
from app.web.dependencies import Res
from app.web.host_names import (
    ARRIVED,
    PROXIED_COOKIE,
    PROXIED_COOKIE_SECONDS,
    comes_under_another_name,
    host_name,
)
from app.web.routing import PageRouter, redirect_to_path

router = PageRouter()
log = get_logger(__name__)


@router.get("/from-another-address", name=ARRIVED)
async def arrived(request: Request, resources: Res, to: str = "/") -> Response:
    response = redirect_to_path(local_path(to))
    public_url = resources.config.public_url
    if comes_under_another_name(request.headers, host_name(urlsplit(public_url).netloc)):
        # The browser was led to PUBLIC_URL and stands there; so the name was changed on the way, and can be relied on no more.
        log.warning("http.host.changed_by_proxy", host=request.headers.get("host", "")[:200], public_url=public_url)
        set_cookie(response, public_url, PROXIED_COOKIE, "1", max_age=PROXIED_COOKIE_SECONDS)
    return response
