"""The page from which the browser leaves for another site. Every way out after a form goes through here; none is a redirect."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.core.messages import Message, T
from app.web.templating import render

MICROSOFT = T("Microsoft")
SERVICENOW = T("ServiceNow")


@dataclass(frozen=True)
class LeavingPage:
    """`address` is where the browser goes on to, `host` what a person reads of it; `note` is said first."""

    service: Message
    address: str
    host: str
    note: Message | None


def leave_for(request: Request, service: Message, address: str, *, note: Message | None = None) -> HTMLResponse:
    """A page that goes on to `address` by itself, and by a link where the browser does not.

    `address` must be ours to give: the begun attempt's, never one that came with the request (open redirect).
    """
    # Chromium applies the CSP directive form-action to every redirect after a form, also to those of the other side, whose
    # single sign-on may be anywhere; it blocks silently. A page of ours in between ends the form's own way here.
    # https://github.com/w3c/webappsec-csp/issues/8
    # https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Content-Security-Policy/form-action
    return render(request, "leaving/page.html", LeavingPage(service, address, urlsplit(address).netloc, note))
