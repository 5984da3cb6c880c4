"""What stands behind the ? of a PostgreSQL address, and which database it opens. Connects to nothing, and repeats no value.

Not even the name of an unknown option is repeated: it may be a piece of a password whose ? or & was not encoded.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qsl, unquote

# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
CHOICES: Mapping[str, Sequence[str]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "gssencmode": ("disable", "prefer", "require"),
    "channel_binding": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "sslnegotiation": ("postgres", "direct"),
    "sslcertmode": ("disable", "allow", "require"),
    "ssl_min_protocol_version": TLS_VERSIONS,
    "ssl_max_protocol_version": TLS_VERSIONS,
}
IN_ANY_CASE = {"ssl_min_protocol_version", "ssl_max_protocol_version"}
NUMBERS = {
    "connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
}  # fmt: skip
WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,10}")
LARGEST_NUMBER = 2**31 - 1
# Every libpq knows these. For any other name the library is asked, which takes as long as all settings together to load.
FAMILIAR = {
    "host", "hostaddr", "port", "dbname", "user", "password", "application_name", "options", "sslmode", "sslrootcert",
    "target_session_attrs", *NUMBERS,
}  # fmt: skip
MAY_COME_AGAIN = {"host", "port"}
LARGEST_PORT = 65535
HOST_AND_PORT = re.compile(r"[^:\[\]]*(?::(?P<port>[0-9]*))?")


def check_options(authority: str, query: str) -> None:
    """Raises ValueError for an option that libpq would refuse, or that SQLAlchemy would read as something else.

    `authority` is what stands between // and the path, `query` what follows the ?.
    """
    given = _read(query)
    _check_names([name for name, _ in parse_qsl(query, keep_blank_values=True)])
    for name, values in given.items():
        if len(values) > 1 and name not in MAY_COME_AGAIN:
            raise ValueError(f"names the option {name} more than once")
        _check_value(name, values[0])
    _check_hosts(authority.rpartition("@")[2], given)


def database_by_default(address: str) -> str | None:
    """The database that is opened although the address names none; None when it names one, or leaves it to a service."""
    rest = address.partition("://")[2]
    before, _, query = rest.partition("?")
    authority, _, path = before.partition("/")
    given = _read(query)
    if path or "dbname" in given or "service" in given:
        return None
    from psycopg.pq import Conninfo  # noqa: PLC0415 - not at the top, see FAMILIAR.

    # The account's name unless PGDATABASE is set: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-DBNAME
    usual = {option.keyword.decode(): (option.val or b"").decode() for option in Conninfo.get_defaults()}
    account = unquote(authority.rpartition("@")[0].partition(":")[0])
    return usual["dbname"] or given.get("user", [account])[0] or usual["user"]


def _read(query: str) -> dict[str, list[str]]:
    """Every option with its values, decoded as SQLAlchemy decodes them."""
    pieces = [piece for piece in query.split("&") if piece]
    for position, piece in enumerate(pieces, start=1):
        if "=" not in piece:
            raise ValueError(f"option {position} behind the ? has no =; write them as name=value, with & between them")
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return found


def _check_names(names: Sequence[str]) -> None:
    if FAMILIAR.issuperset(names):
        return
    from psycopg.pq import Conninfo  # noqa: PLC0415 - not at the top, see FAMILIAR.

    known = {option.keyword.decode() for option in Conninfo.parse(b"")}
    for position, name in enumerate(names, start=1):
        if name not in known:
            raise ValueError(f"option {position} behind the ? is none that PostgreSQL knows{_meant(name, known)}")


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name.lower(), sorted(known), n=1, cutoff=0.75)
    return f"; is {close[0]} meant?" if close else "; a ? or & of a password is written as %3F or %26"


def _check_value(name: str, value: str) -> None:
    choices = CHOICES.get(name, ())
    is_choice = value.lower() in map(str.lower, choices) if name in IN_ANY_CASE else value in choices
    if choices and not is_choice:
        raise ValueError(
            f"gives {name} a value that PostgreSQL does not know; it has to be one of {', '.join(choices)}"
        )
    if name in NUMBERS and not (WHOLE_NUMBER.fullmatch(value) and abs(int(value)) <= LARGEST_NUMBER):
        raise ValueError(f"gives {name} a value that is no number; it has to be a whole number")


def _check_hosts(before_path: str, given: Mapping[str, Sequence[str]]) -> None:
    """One place names the hosts, and there are as many ports as hosts: SQLAlchemy takes nothing else."""
    # https://docs.sqlalchemy.org/en/21/dialects/postgresql.html#specifying-multiple-fallback-hosts
    hosts, ports = given.get("host", ()), ",".join(given.get("port", ()))
    if "," in before_path and (hosts or ports):
        raise ValueError(
            "names several hosts before the path, and hosts or ports behind the ? as well; keep one of the two"
        )
    parts = [HOST_AND_PORT.fullmatch(host) for host in hosts]
    _check_ports([*ports.split(","), *(part["port"] for part in parts if part)])
    if len(hosts) > 1 and (ports or None in parts):
        raise ValueError(
            "has several hosts behind the ? that cannot be read; write them as host=one,two&port=5432,5432"
        )
    if ports and ports.count(",") != ",".join(hosts).count(","):
        raise ValueError("has another number of ports than of hosts behind the ?; write host=one,two&port=5432,5432")


def _check_ports(ports: Iterable[str | None]) -> None:
    """One that is empty or None is PostgreSQL's usual port."""
    if not all(_is_port(port) for port in ports if port):
        raise ValueError(f"has a port behind the ? that is no number from 1 to {LARGEST_PORT}")


def _is_port(text: str) -> bool:
    """Whether a server could listen there."""
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and 1 <= int(text) <= LARGEST_PORT
