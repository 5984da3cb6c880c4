"""A port that cannot be bound is reported with its number and variable."""

from __future__ import annotations

import socket

import pytest

from sandbox.ports import StartupError, bind, read_port


@pytest.mark.parametrize("value", ["0", "65536", "-1", "eight", "80 80", "٨٠", "8000.0"])
def test_an_invalid_port_is_refused_by_its_variable(value: str) -> None:
    with pytest.raises(StartupError, match=r"PORT=.* is not a port"):
        read_port({"PORT": value}, "PORT")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, 8100), ({"SANDBOX_SERVICENOW_PORT": ""}, 8100), ({"SANDBOX_SERVICENOW_PORT": "9"}, 9)],
)
def test_port_has_a_default(environment: dict[str, str], expected: int) -> None:
    assert read_port(environment, "SANDBOX_SERVICENOW_PORT") == expected


def test_port_in_use_names_port_and_variable() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartupError) as caught:
            bind("127.0.0.1", port, "SANDBOX_MICROSOFT_PORT")
    assert f"Port {port} is taken" in str(caught.value)
    assert "SANDBOX_MICROSOFT_PORT=" in str(caught.value)


def test_free_port_is_bound() -> None:
    with (
        bind("127.0.0.1", 0, "PORT") as listening,
        socket.create_connection(listening.getsockname(), timeout=5) as caller,
    ):
        assert caller.getpeername() == listening.getsockname()
