"""What a setting may be: each rule takes text and gives it as it is meant, or raises ValueError. Reads no setting.

The messages say what is wrong and never repeat the value, which may be a secret that went into the wrong line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from ipaddress import IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from app.core.database_address import check_options
from app.core.errors import AppError
from app.microsoft_defaults import ROLE_IDS_BY_NAME

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NEARLY_A_GUID = re.compile(r"[0-9a-fA-F{}-]{28,}")
# 32 bytes in base64: https://cryptography.io/en/latest/fernet/#cryptography.fernet.Fernet
FERNET_KEY = re.compile(r"[A-Za-z0-9_+/-]{43}=")
HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?", re.IGNORECASE)
# https://learn.microsoft.com/entra/identity-platform/howto-add-app-roles-in-apps: the value holds no space, 120 letters.
LONGEST_APP_ROLE = 120
USUAL_PORTS = {"http": 80, "https": 443}
# The proxies of an installation fill no more than a private network does, of which the largest of IPv4 is 10.0.0.0/8.
# With wider ones, two entries (0.0.0.0/1,128.0.0.0/1) would be every address there is.
WIDEST_PREFIX = {4: 8, 6: 16}
# What an organization numbers by itself, and no caller of the internet has: https://www.rfc-editor.org/rfc/rfc4193#section-3.1
OWN_IPV6 = IPv6Network("fd00::/8")
# An IPv4 caller as a socket of IPv6 names it: https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.2
MAPPED = IPv6Network("::ffff:0:0/96")
# What the header of a scrape can carry: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
VISIBLE_ASCII = re.compile(r"[!-~]*")
DATABASE_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
# Linux takes 128 KiB for one variable (MAX_ARG_STRLEN in execve(2)); no setting needs a part of that.
LONGEST_VALUE = 16_384
# Control characters, invisible ones, line separators, and bytes that are no text.
UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
ENCODE = "write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25 and a blank as %20"


class WrongSetting(AppError):
    """A setting that can be read and does not work on this machine. The command line ends with status 2, as for any other."""


def without_quotes(value: str) -> str:
    """Without the blanks around it, and without one pair of quotes around the rest."""
    value = value.strip()
    return value[1:-1].strip() if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def printable(value: str) -> str:
    """The value itself. Refuses what no one can see or type, and what no setting is long enough for."""
    if len(value) > LONGEST_VALUE:
        raise ValueError(f"is longer than {LONGEST_VALUE} letters")
    if any(unicodedata.category(letter) in UNPRINTABLE for letter in value):
        raise ValueError("holds a line break or another letter that cannot be seen; type it again")
    return value


def entries(value: str) -> tuple[str, ...]:
    """The parts between commas, without blanks around them and without empty ones."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def each(rule: Callable[[str], str], values: Sequence[str]) -> tuple[str, ...]:
    """Every entry as the rule gives it; where there are several, the message says which one is wrong."""
    kept = []
    for position, value in enumerate(values, start=1):
        try:
            kept.append(rule(value))
        except ValueError as error:
            raise ValueError(f"entry {position} {error}" if len(values) > 1 else str(error)) from error
    return tuple(kept)


def origin(value: str) -> str:
    """The address as browsers name it: scheme, host and port alone, in lower case."""
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError("is no address: its host or port cannot be read") from error
    if port == 0:
        raise ValueError("has port 0, at which nothing can be called")
    if parts.scheme.lower() not in USUAL_PORTS or not host:
        raise ValueError("is no address; it begins with https:// and a host name")
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("is scheme, host and port alone; take away what follows, or stands before the host")
    if "*" in host:
        raise ValueError("has a * in it; write each address in full, one after the other")
    if ":" in host:
        host = f"[{host}]"
    elif not HOST_NAME.fullmatch(host) or ".." in host:
        raise ValueError("has no host name that could be called; names with other letters are written as xn--…")
    usual = port is None or port == USUAL_PORTS[parts.scheme.lower()]
    return f"{parts.scheme.lower()}://{host}" + ("" if usual else f":{port}")


def guid(value: str, where: str) -> str:
    """The ID in lower case; `where` says where it stands, for the message."""
    # Entra ID takes capitals in addresses, and names itself in lower case: docs/facts/microsoft-graph.md#2-3-signing-users-in
    if not GUID.fullmatch(value.lower()):
        raise ValueError(f"has to be {where}")
    return value.lower()


def role(value: str) -> str:
    """A role template ID in lower case, or the value of an app role as it is."""
    # Role template IDs are GUIDs, which have no case; the values of app roles do.
    if GUID.fullmatch(value.lower()):
        return value.lower()
    if found := ROLE_IDS_BY_NAME.get(" ".join(value.lower().split())):
        raise ValueError(f"is the name of a role; write its role template ID, {found}")
    if " " in value or NEARLY_A_GUID.fullmatch(value) or len(value) > LONGEST_APP_ROLE:
        raise ValueError("is neither a role template ID (a GUID) nor the value of an app role (no blanks)")
    return value


def network(value: str) -> str:
    """An address or a network of proxies. A host name, `*` or a network of many would let any caller choose its address."""
    try:
        found = ip_network(value)
    except ValueError as error:
        raise ValueError(
            "is no address or network; write them as 10.0.0.5 or 10.0.0.0/24, separated by commas"
        ) from error
    if found.prefixlen == 0:
        raise ValueError("is every address there is, so any caller could say that it comes from somewhere else")
    widest = WIDEST_PREFIX[found.version]
    if isinstance(found, IPv6Network) and found.overlaps(MAPPED):
        widest = MAPPED.prefixlen + WIDEST_PREFIX[4]
    elif isinstance(found, IPv6Network) and found.subnet_of(OWN_IPV6):
        widest = OWN_IPV6.prefixlen
    if found.prefixlen < widest:
        raise ValueError(
            f"is so wide that callers could say that they come from somewhere else; /{widest} is the widest here"
        )
    return value


def header_token(value: str) -> str:
    """A token that goes into a header as it is."""
    if not VISIBLE_ASCII.fullmatch(value):
        raise ValueError("has a blank in it, or a letter beyond ASCII, which no header carries; use letters and digits")
    return value


def listening_host(value: str) -> str:
    """An address or a name of this machine; brackets around IPv6 are taken away."""
    host = value.removeprefix("[").removesuffix("]")
    if host == "*":
        raise ValueError("is no address; :: is every address of this machine, and 0.0.0.0 every one of IPv4")
    try:
        return str(ip_address(host))
    except ValueError:
        if HOST_NAME.fullmatch(host) and not re.fullmatch(r"[0-9.]+", host):
            return host
    raise ValueError("is no address of a machine; write an address or a name alone, without scheme and port")


def vault_key(value: str) -> str:
    """A Fernet key."""
    if not FERNET_KEY.fullmatch(value):
        raise ValueError("is no key: a key is 44 letters and ends with =. `python -m app generate-key` prints one")
    return value


def database_address(value: str) -> str:
    """A PostgreSQL address that SQLAlchemy and libpq read in the same way."""
    # https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
    scheme, found, rest = value.partition("://")
    if not found or scheme not in DATABASE_SCHEMES:
        raise ValueError("has to begin with postgresql://")
    # A / ? or # of a password ends the part with host and account, so that the @ before the host is found after it.
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :].partition("?")[0]
    cut_short = "@" in path or ("@" in rest and "@" not in authority and not _is_host_and_port(authority))
    if authority.count("@") > 1 or "#" in rest or cut_short:
        raise ValueError(f"cannot be read: in user name and password, {ENCODE}")
    if re.search(r"%(?![0-9A-Fa-f]{2})", rest):
        raise ValueError(f"has a % that stands for nothing: in user name and password, {ENCODE}")
    if " " in rest:
        raise ValueError(f"has a blank in it: {ENCODE}")
    # Several hosts: docs/database.md#several-hosts
    if not all(_is_host_and_port(host) for host in authority.rpartition("@")[2].split(",")):
        raise ValueError("has a port that is no number from 1 to 65535, or brackets without an address")
    check_options(authority, rest.partition("?")[2])
    return value


def _is_host_and_port(hosts: str) -> bool:
    """Whether what stands behind the host, if anything, can be a port."""
    try:
        return urlsplit(f"//{hosts}").port != 0
    except ValueError:
        return False
