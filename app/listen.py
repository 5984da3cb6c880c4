"""The sockets that web and worker listen on: several addresses, and both stacks for `::`. Serves nothing."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from app.core.messages import T
from app.core.setting_rules import WrongSetting

EVERY_ADDRESS = "::"
EVERY_ADDRESS_OF_IPV4 = "0.0.0.0"  # noqa: S104 - compared, and the fallback for what the operator asked for.
# uvicorn's own default: https://www.uvicorn.org/settings/#resource-limits
BACKLOG = 2048
NO_SUCH_STACK = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class CannotListen(WrongSetting):
    """An address or a port cannot be used on this machine, now."""


@contextmanager
def bound_sockets(hosts: Sequence[str], port: int, *, setting: str = "PORT") -> Iterator[list[socket.socket]]:
    """One socket for each address of each host, bound and not listening yet. Raises CannotListen, which names `setting`."""
    with ExitStack() as opened:
        sockets: list[socket.socket] = []
        for host in dict.fromkeys(hosts):
            sockets += [opened.enter_context(each) for each in _sockets_of(host, port, setting)]
        yield sockets


def start_listening(sockets: Sequence[socket.socket], *, setting: str = "PORT") -> None:
    """From here on connections are taken. Raises CannotListen where another process was faster."""
    # Two sockets with SO_REUSEADDR may be bound to one port as long as neither listens (socket(7)).
    for each in sockets:
        host, port = each.getsockname()[:2]
        try:
            each.listen(BACKLOG)
        except OSError as error:
            raise _cannot_listen(error, host, port, setting) from error


def _sockets_of(host: str, port: int, setting: str) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CannotListen(T("HOST names %(host)s, which no name service knows.", host=host)) from error
    sockets: list[socket.socket] = []
    failed: OSError | None = None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        try:
            sockets.append(_bound(family, kind, protocol, address, both_stacks=host == EVERY_ADDRESS))
        except OSError as error:
            failed = error
            # A name such as localhost may have an IPv6 address on a machine without IPv6; then the other one is enough.
            if error.errno not in NO_SUCH_STACK:
                break
    if failed is None or (sockets and failed.errno in NO_SUCH_STACK):
        return sockets
    for each in sockets:
        each.close()
    if host == EVERY_ADDRESS and failed.errno in NO_SUCH_STACK:
        return _sockets_of(EVERY_ADDRESS_OF_IPV4, port, setting)
    raise _cannot_listen(failed, host, port, setting) from failed


def _bound(family: int, kind: int, protocol: int, address: object, *, both_stacks: bool) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        # A port is free at once after a restart, where Linux would keep it for a minute (TIME_WAIT).
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Said in both directions: systems differ in what they do by themselves (ipv6(7), net.ipv6.bindv6only).
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both_stacks else 1)
        made.bind(address)  # type: ignore[arg-type]  # As getaddrinfo gave it.
    except OSError:
        made.close()
        raise
    return made


def _cannot_listen(error: OSError, host: str, port: int, setting: str) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        said = T(
            "Port %(port)s of %(host)s is in use by another process. Stop it, or choose another %(setting)s.",
            host=host,
            port=port,
            setting=setting,
        )
    elif error.errno == errno.EADDRNOTAVAIL:
        said = T("HOST names %(host)s, which is no address of this machine. Example: HOST=127.0.0.1", host=host)
    elif error.errno == errno.EACCES:
        said = T(
            "This account may not use port %(port)s. Choose a %(setting)s from 1024 on, and have the proxy call that.",
            port=port,
            setting=setting,
        )
    else:
        said = T(
            "HOST %(host)s with %(setting)s %(port)s cannot be used (%(why)s).",
            host=host,
            setting=setting,
            port=port,
            why=error.strerror or str(error.errno),
        )
    return CannotListen(said)
