"""Decides which addresses we agree to call; looks nothing up and calls nothing."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.foundation.errors import InvalidInput
from app.foundation.text import T

# An instance name is one DNS label (RFC 1035: 63 characters); ServiceNow assigns letters, digits and hyphens.
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
DOMAIN = ".service-now.com"


class InvalidAddress(InvalidInput):
    """What was typed is no instance we may call."""

    default = T("This is not an instance name. Type the part before .service-now.com, for example “contoso”.")


@dataclass(frozen=True)
class Instance:
    """A ServiceNow host we agreed to; `origin` is scheme and host, without a slash at the end."""

    name: str
    origin: str


def parse_instance(typed: str, allowed_origins: Collection[str]) -> Instance:
    """The instance a person means: ``contoso``, ``contoso.service-now.com`` or its https address.

    Anything else is refused unless `allowed_origins` lists it, so that nobody can point us at a machine inside the
    house. Raises InvalidAddress.
    """
    text = typed.strip().rstrip("/").lower()
    allowed = {origin.rstrip("/").lower() for origin in allowed_origins}
    if not text:
        raise InvalidAddress(T("Type the instance name."))
    if "://" in text:
        return _from_address(text, allowed)
    if text in {urlsplit(origin).netloc for origin in allowed}:
        return next(_allowed(origin) for origin in sorted(allowed) if urlsplit(origin).netloc == text)
    name = text.removesuffix(DOMAIN)
    if not NAME.fullmatch(name):
        raise InvalidAddress
    return Instance(name=name, origin=f"https://{name}{DOMAIN}")


def _from_address(text: str, allowed: Collection[str]) -> Instance:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidAddress from error
    origin = f"{parts.scheme}://{parts.netloc}"
    if origin in allowed:
        return _allowed(origin)
    if parts.username is not None or parts.password is not None:
        raise InvalidAddress(T("The address must not hold a user name or password."))
    name = host.removesuffix(DOMAIN)
    if parts.scheme == "https" and port in (None, 443) and host.endswith(DOMAIN) and NAME.fullmatch(name):
        return Instance(name=name, origin=f"https://{name}{DOMAIN}")
    raise InvalidAddress(
        T(
            "%(address)s is not an address of ServiceNow’s own cloud. To use it, the operator of this security center "
            "lists it in SERVICENOW_ALLOWED_ORIGINS.",
            address=origin,
        )
    )


def _allowed(origin: str) -> Instance:
    return Instance(name=urlsplit(origin).netloc, origin=origin)
