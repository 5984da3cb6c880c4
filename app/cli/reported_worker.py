"""Ask the database whether a worker of this machine has reported itself, for a worker without a port."""

from __future__ import annotations

import socket

from app.cli.healthy import say
from app.core.process_reports import running_processes
from app.resources import Resources


async def has_reported(resources: Resources) -> int:
    """The exit status, as of `healthy.ask_port`."""
    host = socket.gethostname()
    async with resources.database.transaction() as session:
        here = [found for found in await running_processes(session, "worker") if found.host == host]
    return say("worker", "" if here else f"none of {host} has reported within a minute")
