"""Reads port numbers from the environment and takes ports, with a clear sentence when one cannot be had."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping

DEFAULT_PORTS = {"PORT": 8000, "SANDBOX_SERVICENOW_PORT": 8100, "SANDBOX_MICROSOFT_PORT": 8200}


class StartupError(Exception):
    """Something a person must change before this can start; the text says what."""


def read_port(environment: Mapping[str, str], name: str) -> int:
    """The port that the variable names, or its default. Raises Trouble when it is no port."""
    value = environment.get(name) or str(DEFAULT_PORTS[name])
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 65535:
        raise StartupError(
            f"{name}={value} is not a port. Use a number from 1 to 65535, such as {DEFAULT_PORTS[name]}."
        )
    return int(value)


def take(host: str, port: int, name: str) -> socket.socket:
    """A listening socket on this port. Raises Trouble, naming the port and the variable, when it is taken."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise StartupError(_sentence(error, host, port, name)) from error
    return bound


def _sentence(error: OSError, host: str, port: int, name: str) -> str:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else port - 1
        return f"Port {port} is taken by another program. Stop that one, or choose another port: {name}={other}"
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this account. Choose one above 1023: {name}={DEFAULT_PORTS[name]}"
    return f"Port {port} on {host} cannot be used ({error.strerror}). Choose another with {name}."
