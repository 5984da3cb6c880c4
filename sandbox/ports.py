"""Read port numbers from the environment and bind them. Every failure names the variable to change."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping

DEFAULT_PORTS = {"PORT": 8000, "SANDBOX_SERVICENOW_PORT": 8100, "SANDBOX_MICROSOFT_PORT": 8200}


class StartupError(Exception):
    """The sandbox or demo cannot start until a setting is changed; the text names it."""


def read_port(environment: Mapping[str, str], name: str) -> int:
    """Return the port in this variable, or its default. Raises StartupError for an invalid value."""
    value = environment.get(name) or str(DEFAULT_PORTS[name])
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 65535:
        raise StartupError(
            f"{name}={value} is not a port. Use a number from 1 to 65535, such as {DEFAULT_PORTS[name]}."
        )
    return int(value)


def bind(host: str, port: int, name: str) -> socket.socket:
    """Return a listening socket. Raises StartupError, naming port and variable, when the port is in use."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise StartupError(_sentence(error, host, port, name)) from error
    return listening


def _sentence(error: OSError, host: str, port: int, name: str) -> str:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else port - 1
        return f"Port {port} is taken by another program. Stop that one, or choose another port: {name}={other}"
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this account. Choose one above 1023: {name}={DEFAULT_PORTS[name]}"
    return f"Port {port} on {host} cannot be used ({error.strerror}). Choose another with {name}."
