"""The bare minimum that deliveries are compared with: httpx with four calls in flight that writes nothing down.

`python -m benchmarks.bare_client` reads `{"url", "token", "records"}` as JSON, posts each record, and prints how long that
took. It keeps no cookies: ServiceNow takes the calls of one session one after the other.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
IN_FLIGHT = 4
SECONDS = 240


@dataclass(frozen=True)
class BareOutcome:
    """`failures` are the records that were not answered 201."""

    seconds: float
    failures: int


async def post_all(url: str, token: str, records: list[dict[str, Any]]) -> BareOutcome:
    """Post the records to this address, four at a time over as many connections."""
    failures, waiting = 0, iter(records)
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    async with httpx.AsyncClient(limits=limits, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # Connections are open before the clock starts, as the product's are.
        await asyncio.gather(*(client.get(url, params={"sysparm_limit": "1"}) for _ in range(IN_FLIGHT)))

        async def lane() -> None:
            nonlocal failures
            for record in waiting:
                answer = await client.post(url, json=record)
                failures += answer.status_code != 201

        began = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(IN_FLIGHT)))
        return BareOutcome(time.perf_counter() - began, failures)


def post_apart(url: str, token: str, records: list[dict[str, Any]]) -> BareOutcome:
    """The same in a process of its own. Raises subprocess.CalledProcessError or TimeoutExpired."""
    order = json.dumps({"url": url, "token": token, "records": records})
    command = [sys.executable, "-m", "benchmarks.bare_client"]
    ran = subprocess.run(  # noqa: S603 - our own program.
        command, cwd=ROOT, input=order, text=True, check=True, capture_output=True, timeout=SECONDS
    )
    return BareOutcome(**json.loads(ran.stdout))


def main() -> None:
    """Read the order and print the outcome."""
    from uvloop import new_event_loop  # noqa: PLC0415 - not there on Windows.

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(post_all(**json.loads(sys.stdin.read()))))))


if __name__ == "__main__":
    main()
