"""Where the web process listens: both stacks, several addresses, and a sentence where it cannot."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from app.listen import CannotListen, bound_sockets, start_listening
from tests.factories.servers import free_port

TIMEOUT_SECONDS = 5


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 address of its own; containers often have none."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


EVERY_IPV4 = "0.0.0.0"  # noqa: S104 - what an operator may set.
V4, BOTH = {"127.0.0.1"}, {"127.0.0.1", "::1"}
CASES = [
    (["127.0.0.1"], V4),
    ([EVERY_IPV4], V4),
    (["127.0.0.1", "127.0.0.1"], V4),
    (["::"], BOTH if has_ipv6() else V4),
    *([(["::1"], {"::1"}), (["127.0.0.1", "::1"], BOTH), ([EVERY_IPV4, "::1"], BOTH)] if has_ipv6() else []),
]


@pytest.mark.parametrize(("hosts", "reached"), CASES)
def test_the_addresses_that_answer_are_those_that_are_named(hosts: list[str], reached: set[str]) -> None:
    port = free_port()
    with bound_sockets(hosts, port) as sockets:
        assert not answers("127.0.0.1", port), "nothing is taken before the product is ready"
        start_listening(sockets)
        assert {host for host in BOTH if answers(host, port)} == reached
    assert not answers("127.0.0.1", port)


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"Port {port} of 127.0.0.1 is in use by another process"):
            bound_sockets(["127.0.0.1"], port).__enter__()


def test_two_that_start_at_once_both_bind_and_one_listens() -> None:
    port = free_port()
    with bound_sockets(["127.0.0.1"], port) as first, bound_sockets(["127.0.0.1"], port) as second:
        start_listening(first)
        with pytest.raises(CannotListen, match="is in use by another process"):
            start_listening(second)


@pytest.mark.parametrize(
    ("host", "words"), [("192.0.2.1", "no address of this machine"), ("no.such.invalid", "no name")]
)
def test_a_host_that_is_not_ours_is_a_sentence(host: str, words: str) -> None:
    with pytest.raises(CannotListen, match=words):
        bound_sockets(["127.0.0.1", host], free_port()).__enter__()


def test_a_machine_without_ipv6_listens_on_every_address_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    made = socket.socket

    def without_ipv6(family: int = socket.AF_INET, *more: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return made(family, *more)

    monkeypatch.setattr(socket, "socket", without_ipv6)
    port = free_port()
    with bound_sockets(["::"], port) as sockets:
        start_listening(sockets)
        assert answers("127.0.0.1", port)
    with pytest.raises(CannotListen, match="HOST ::1 with PORT"):
        bound_sockets(["::1"], port).__enter__()
