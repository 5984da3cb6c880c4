"""Ask the web or the worker of this machine at its port whether it is healthy. Imports little: containers ask all the time."""

from __future__ import annotations

import http.client
import json

from app.settings import Settings

# Below the time-out of a container's health check, so that the sentence is said.
ANSWER_SECONDS = 4.0
LARGEST_ANSWER = 10_000
# An address to listen on is none to ask. `::` is IPv4 as well, and is IPv4 alone on a machine without IPv6 (app/listen.py).
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1", "": "127.0.0.1"}  # noqa: S104 - compared, not listened on.


def ask_port(settings: Settings, process: str) -> int | None:
    """The exit status: 0 when it is healthy, 1 when not; prints why in a sentence. None for a worker without a port.

    The web is asked at HOST:PORT whether it is ready, the worker at HOST:WORKER_PORT whether it is live, which needs no
    database.
    """
    if process == "web":
        return _asked("web", settings.host[0], settings.port, "/health/ready")
    if settings.worker_port:
        return _asked("worker", settings.host[0], settings.worker_port, "/health/live")
    return None


def _asked(process: str, host: str, port: int, path: str) -> int:
    connection = http.client.HTTPConnection(EVERYWHERE.get(host, host), port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(LARGEST_ANSWER).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return say(process, f"nothing answers at {host}:{port} ({type(error).__name__})")
    finally:
        connection.close()
    return say(process, "" if answer.status == http.client.OK else _problem(text) or f"it answers {answer.status}")


def _problem(text: str) -> str:
    try:
        told = json.loads(text)
    except ValueError:
        return ""
    return str(told.get("problem", "")) if isinstance(told, dict) else ""


def say(process: str, problem: str) -> int:
    """Print the sentence; an empty `problem` means healthy. The exit status."""
    print(f"The {process} is not healthy: {problem}." if problem else f"The {process} is healthy.")
    return 1 if problem else 0
