"""Who gave an answer: the instance, its hibernation page, a sign-on page, or a gateway in front of it. Does no I/O.

Decides by status, by JSON or not, and by a few words that are names: prose differs between releases and languages
(docs/facts/servicenow.md#trap-31).
"""

from __future__ import annotations

import ipaddress
import re
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import urljoin, urlsplit

from app.integrations.http.errors import InvalidResponse
from app.integrations.http.http_types import RemoteResponse
from app.integrations.servicenow.error_envelope import is_servicenows

Responder = Literal["instance", "hibernation", "sign_on", "access_filter", "gateway", "rate_limiter", "unknown"]
ConsentPage = Literal["login", "consent", "sign_on", "wrong_redirect", "unknown_client", "unreadable", "unknown"]

# The telling words of these pages are near the start; the limit keeps regular expressions off large bodies.
SEARCHED_BYTES = 20_000
# docs/facts/servicenow.md#1-9-sso-and-ip-filtering
SIGN_ON_WORDS = re.compile(r"saml|single sign-on|sso|login|log in|sign in|password")
# A page that hands the browser on to an identity provider by a form: docs/facts/servicenow.md#1-9-sso-and-ip-filtering
HAND_ON_WORDS = re.compile(r"samlrequest|saml2|single sign-on|identity provider")
# The instance's own login pages: docs/facts/servicenow.md#1-1-endpoints
LOGIN_PATHS = re.compile(r"/(oauth_)?login(_locate_sso|_with_sso)?\.do|/side_door\.do|/validate_multifactor")
# An IPv4 or IPv6 address inside prose.
ADDRESS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]*:[0-9a-f:]+)(?![\w:])", re.IGNORECASE)


def responder_of(answer: RemoteResponse) -> Responder:
    """Who answered a call to the Table API."""
    if answer.is_json() and answer.status != 429 and _is_the_apis(answer):
        return "instance"
    text = _text(answer)
    # A hibernating developer instance answers 200 or 503 with HTML: docs/facts/servicenow.md#sandbox-46
    if "hibernat" in text:
        return "hibernation"
    if answer.status == 429:
        return "rate_limiter"
    if answer.status in (401, 403):
        return "access_filter"
    if answer.status >= 500:
        return "gateway"
    if 300 <= answer.status < 400 or (answer.status == 200 and SIGN_ON_WORDS.search(text)):
        return "sign_on"
    return "unknown"


def consent_page_of(answer: RemoteResponse, address: str) -> ConsentPage | str:
    """What the consent page says to a browser that is not signed in, or the address where it sends the browser next."""
    if 300 <= answer.status < 400:
        try:
            onward = urljoin(address, answer.header("location"))
            here, there = urlsplit(address), urlsplit(onward)
        except ValueError:  # No address: a browser would not get on from here either.
            return "unreadable"
        if there.netloc != here.netloc:
            return "sign_on"
        return onward if there.path != here.path else "unknown"
    text = _text(answer)
    # Both texts were observed on real instances; there is no redirect to us then.
    # docs/facts/servicenow.md#1-2-authorization-request
    if "invalid redirect_uri" in text:
        return "wrong_redirect"
    if "invalid client" in text:
        return "unknown_client"
    if answer.status != 200 or "hibernat" in text:
        return "unreadable"
    if LOGIN_PATHS.search(urlsplit(address).path):
        return "login"
    if "oauth_auth_check_action" in text:
        return "consent"
    # No public capture shows what every release sends to a browser that is signed out, so no cause is named.
    return "sign_on" if HAND_ON_WORDS.search(text) else "unknown"


def seen_address(answer: RemoteResponse) -> str:
    """Our own address as a refusal names it; empty when it names none."""
    for found in ADDRESS.findall(_text(answer)):
        try:
            return str(ipaddress.ip_address(found))
        except ValueError:
            continue
    return ""


def clock_ahead(answer: RemoteResponse, sent_at: float, received_at: float) -> float | None:
    """Seconds by which the other clock is ahead of ours; `sent_at` and `received_at` are our times, seconds since 1970."""
    try:
        theirs = parsedate_to_datetime(answer.header("date")).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    # The Date header was written about halfway between sending and receiving.
    return theirs - (sent_at + received_at) / 2


def _is_the_apis(answer: RemoteResponse) -> bool:
    # A gateway or a captive portal may answer in JSON, too, but not in ServiceNow's envelope.
    try:
        return "result" in answer.json_object() or is_servicenows(answer)
    except InvalidResponse:
        return False


def _text(answer: RemoteResponse) -> str:
    return answer.body[:SEARCHED_BYTES].decode(errors="replace").lower()
