"""Decides which addresses we agree to call; looks nothing up and calls nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from app.core.errors import InvalidInput
from app.core.messages import Message, T

# An instance name is one DNS label (RFC 1035: 63 characters); ServiceNow assigns letters, digits and hyphens.
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# What would be taken for an address in some notation or other: 2130706433, 0x7f000001, 017700000001, 127.1, [::1].
NUMERIC = re.compile(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}|\[?[0-9a-f]*:[0-9a-f:.%]*\]?")
# A slip in the scheme, or one before an address that has its own, must not make the scheme the instance.
SCHEMES = re.compile(r"(?:https?:?/{1,2})*(https?):?/{1,2}")
DOMAIN = ".service-now.com"
LONGEST = 400
# What copying from a web page leaves at the ends, besides blanks.
UNSEEN = "\u200b\u200c\u200d\u2060\ufeff"


class InvalidAddress(InvalidInput):
    """What was typed is no instance we may call."""

    default = T("This is not an instance name. Type the part before .service-now.com, for example “contoso”.")


@dataclass(frozen=True)
class Instance:
    """A ServiceNow host we agreed to; `origin` is scheme and host, without a slash at the end."""

    name: str
    origin: str


def parse_instance(typed: str, allowed_origins: Collection[str]) -> Instance:
    """The instance a person means: ``contoso``, ``contoso.service-now.com``, or any address of it from the browser.

    Anything else is refused unless `allowed_origins` lists it, so that nobody can point us at a machine inside the
    house. Raises InvalidAddress with a sentence that says why.
    """
    # Wide letters and digits of East Asian keyboards become plain ones; other scripts' look-alikes do not.
    text = unicodedata.normalize("NFKC", typed).strip(UNSEEN + " \t\n\r").lower()
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
    """The instance at ServiceNow's own cloud. Raises InvalidAddress."""
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
    """The listed origin this is, to the letter; without a scheme, host and port decide."""
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
