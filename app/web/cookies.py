"""Every cookie of the product: how it is named, set, read and deleted. Knows no page and no person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from fastapi.responses import Response

SESSION = "session"
# One for each sign-in that was begun, so that two tabs can both finish.
SIGN_IN_ATTEMPT = "sign-in-attempt-"
SERVICENOW_ATTEMPT = "servicenow-attempt"
UNSENT_FORM = "unsent-form"
# `__Host-` binds a cookie to this host, HTTPS and the whole site, so that a sibling domain cannot plant one:
# https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
HOST_PREFIX = "__Host-"
# What `new_token` makes: 256 bits as base64url.
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def cookie_name(public_url: str, name: str) -> str:
    """The name that the browser knows. Over plain HTTP, where only demos run, browsers refuse the prefix."""
    return HOST_PREFIX + name if _is_https(public_url) else name


def set_cookie(
    response: Response,
    public_url: str,
    name: str,
    value: str,
    *,
    max_age: int | None = None,
    expires: datetime | None = None,
) -> None:
    """Set a cookie that only our pages get and no script reads; `max_age` in seconds, or `expires`, says until when."""
    # Lax, not Strict: browsers come back from a sign-in, and from links to tickets in ServiceNow, by a GET from another site.
    # https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html#cookies
    response.set_cookie(
        cookie_name(public_url, name),
        value,
        max_age=max_age,
        expires=expires,
        path="/",
        httponly=True,
        samesite="lax",
        secure=_is_https(public_url),
    )


def delete_cookie(response: Response, public_url: str, name: str) -> None:
    """Delete a cookie with the attributes it was set with: a browser ignores `__Host-` without Secure, in a deletion too."""
    set_cookie(response, public_url, name, "", max_age=0)


def read_token(cookies: Mapping[str, str], public_url: str, name: str) -> str | None:
    """The token in this cookie; None for a missing one, and for whatever `new_token` cannot have made."""
    value = cookies.get(cookie_name(public_url, name), "")
    return value if TOKEN.fullmatch(value) else None


def tokens_beginning(cookies: Mapping[str, str], public_url: str, beginning: str) -> dict[str, str]:
    """The tokens of all cookies whose name begins so, by the name without prefix, oldest first (RFC 6265 5.4)."""
    prefix = HOST_PREFIX if _is_https(public_url) else ""
    whole = prefix + beginning
    names = [name for name in cookies if name.startswith(whole)]
    return {name.removeprefix(prefix): cookies[name] for name in names if TOKEN.fullmatch(cookies[name])}


def forget_everything(response: Response, public_url: str, cookies: Mapping[str, str]) -> None:
    """What a browser does at the end of a session: our cookies, cached pages and stored values go."""
    attempts = tokens_beginning(cookies, public_url, SIGN_IN_ATTEMPT)
    for name in (SESSION, SERVICENOW_ATTEMPT, UNSENT_FORM, *attempts):
        delete_cookie(response, public_url, name)
    # Without "cookies", which reaches every host of the registered domain: other sites of the organization would sign this
    # person out. Ours are deleted by name above. https://w3c.github.io/webappsec-clear-site-data/#grammardef-cookies
    response.headers["Clear-Site-Data"] = '"cache", "storage"'


def _is_https(public_url: str) -> bool:
    return public_url.startswith("https://")
