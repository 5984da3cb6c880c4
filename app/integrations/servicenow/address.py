"""Parse what a person typed as an instance, and decide which origins may be called. Resolves and calls nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from app.core.errors import InvalidInput
from app.core.messages import Message, T

# An instance name is one DNS label: https://www.rfc-editor.org/rfc/rfc1035#section-2.3.1
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Everything that some resolver reads as an IP address: 2130706433, 0x7f000001, 017700000001, 127.1, [::1] (SSRF).
NUMERIC = re.compile(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}|\[?[0-9a-f]*:[0-9a-f:.%]*\]?")
# A mistyped or doubled scheme ("http:/", "https://https://") must not become the instance name.
SCHEMES = re.compile(r"(?:https?:?/{1,2})*(https?):?/{1,2}")
DOMAIN = ".service-now.com"
# Addresses copied from a browser may carry a long path; beyond this it is no address.
LONGEST = 400
# Invisible characters that copying from a web page leaves at the ends.
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"


class InvalidAddress(InvalidInput):
    """What was typed is not an instance that may be called."""

    default = T("This is not an instance name. Type the part before .service-now.com, for example “contoso”.")


@dataclass(frozen=True)
class Instance:
    """An instance that may be called; `origin` is scheme and host, without a slash at the end."""

    name: str
    origin: str


def parse_instance(typed: str, allowed_origins: Collection[str]) -> Instance:
    """The instance a person means: ``contoso``, ``contoso.service-now.com``, or any address of it from the browser.

    Anything else is refused unless `allowed_origins` lists it (SSRF). Raises InvalidAddress, which says why.
    """
    # NFKC makes the wide letters of East Asian keyboards plain. Look-alikes of other scripts stay, and are refused.
    text = unicodedata.normalize("NFKC", typed).strip(INVISIBLE + " \t\n\r").lower()
    if not text:
        raise InvalidAddress(T("Type the instance name."))
    if len(text) > LONGEST or any(letter.isspace() or not letter.isprintable() for letter in text):
        raise InvalidAddress(T("An instance name holds no blanks. Type the part before .service-now.com."))
    schemes = SCHEMES.match(text)
    has_scheme = schemes is not None or "://" in text
    if schemes is not None:
        address = f"{schemes[1]}://{text[schemes.end() :]}"
    else:
        address = text if has_scheme else f"https://{text.lstrip('/')}"
    try:
        parts = urlsplit(address)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise InvalidAddress from error
    allowed = _allowed(address, allowed_origins, with_scheme=has_scheme)
    return allowed or _of_the_cloud(parts, host, port)


def _of_the_cloud(parts: SplitResult, host: str, port: int | None) -> Instance:
    """An instance in ServiceNow's own cloud. Raises InvalidAddress."""
    if parts.username is not None or parts.password is not None:
        raise InvalidAddress(T("The address must not hold a user name or password."))
    if parts.scheme not in ("https", "http"):
        raise InvalidAddress
    if NUMERIC.fullmatch(host) or parts.netloc.startswith("["):
        raise InvalidAddress(T("This is an IP address. Type the name of the instance, for example “contoso”."))
    if not host.isascii() or any(part.startswith("xn--") for part in host.split(".")):
        raise InvalidAddress(T("Instance names hold only the letters a to z, digits and hyphens."))
    name = host.removesuffix(DOMAIN)
    if "." in name:
        raise InvalidAddress(_elsewhere(f"{parts.scheme}://{parts.netloc}"))
    if not NAME.fullmatch(name):
        raise InvalidAddress
    if port not in (None, 443):
        raise InvalidAddress(T("An instance at service-now.com has no port. Leave :%(port)s out.", port=port))
    return Instance(name=name, origin=f"https://{name}{DOMAIN}")


def _allowed(address: str, allowed_origins: Collection[str], *, with_scheme: bool) -> Instance | None:
    # Compared to the letter; without a scheme, host and port decide.
    for origin in sorted(allowed_origins):
        known, typed = urlsplit(origin.lower()), urlsplit(address)
        same_scheme = known.scheme == typed.scheme or not with_scheme
        if same_scheme and known.netloc == typed.netloc.rstrip("."):
            return Instance(name=known.netloc, origin=origin.rstrip("/").lower())
    return None


def _elsewhere(origin: str) -> Message:
    return T(
        "%(address)s is not an address of ServiceNow’s own cloud. To use it, the operator of this security center lists it "
        "in SERVICENOW_ALLOWED_ORIGINS.",
        address=origin,
    )
