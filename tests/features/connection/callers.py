"""A process of its own that calls the sandbox many times at once: `python -m tests.features.connection.callers`.

Reads its orders from the environment, says "ready", waits for a line, and prints how many calls were answered.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from app.bootstrap import TASK_GROUPS
from app.core.database import Database, make_engine
from app.core.jobs import Queue
from app.core.logging import configure_logs
from app.core.vault import Vault
from app.features.connection.gateway import InstancePaused, call
from app.integrations.http.ssrf import AddressPolicy
from app.integrations.http.transport import Transport
from app.integrations.microsoft.entra import EntraClient
from app.integrations.microsoft.graph import GraphClient
from app.integrations.servicenow.client import ServiceNowClient
from app.resources import ProductConfig, Resources, closing


def open_resources(database_url: str, key: str, origin: str) -> Resources:
    microsoft = Transport("microsoft")
    registration: dict[str, Any] = {"authority": "", "tenant_id": "", "client_id": "", "client_secret": ""}
    return Resources(
        config=ProductConfig("http://security-center.test", "", "", (origin,), {}, 12),
        database=Database(make_engine(database_url)),
        vault=Vault([key]),
        queue=Queue(database_url, TASK_GROUPS),
        microsoft=microsoft,
        servicenow=Transport("servicenow", address_policy=AddressPolicy((origin,))),
        entra=EntraClient(microsoft, **registration),
        graph=GraphClient(microsoft, graph_url="", **registration),
    )


async def ask(client: ServiceNowClient) -> bool:
    user = await client.whoami()
    return user is not None and user.user_name == "m365.integration"


async def call_patiently(resources: Resources) -> bool:
    """As a job does: comes back when no slot was free for long, which a busy machine makes likely."""
    while True:
        try:
            return await call(resources, ask)
        except InstancePaused as paused:
            if paused.reason is not None:
                raise
            await asyncio.sleep(paused.seconds)


async def main() -> None:
    configure_logs(level="WARNING")  # To standard error: standard output is for the answer.
    wanted = int(os.environ["CALLS"])
    async with closing(open_resources(os.environ["DATABASE"], os.environ["KEY"], os.environ["ORIGIN"])) as resources:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        answers = await asyncio.gather(*(call_patiently(resources) for _ in range(wanted)), return_exceptions=True)
    for problem in answers:
        if problem is not True:
            sys.stderr.write(f"{problem!r}\n")
    sys.stdout.write(f"{answers.count(True)}\n")


if __name__ == "__main__":
    asyncio.run(main())
