"""Runs the whole product for trying out: PostgreSQL, the stand-ins, web and worker, each a process of its own."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sandbox.demo_secrets import load_or_create_secrets
from sandbox.ports import DEFAULT_PORTS, StartupError, read_port, take
from sandbox.processes import ChildEnded, ChildProcess, Processes

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
# The floors by which things stop: product first, then whom it talks to, the database last.
DATABASE, STRANGERS, PRODUCT = 0, 1, 2
START_SECONDS = 120.0
PAUSE_SECONDS = 0.05
ECHO_SECONDS = 1.0
Result = TypeVar("Result")
# Talks to ourselves must not take the way round a proxy.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class DemoPlan:
    """Where everything will be."""

    folder: Path
    ports: Mapping[str, int]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> DemoPlan:
        """From the environment. Raises Trouble when a port makes no sense or is wanted twice."""
        ports = {name: read_port(environment, name) for name in DEFAULT_PORTS}
        for name, port in ports.items():
            double = next((other for other in ports if other != name and ports[other] == port), None)
            if double:
                raise StartupError(f"{name} and {double} are both {port}. Each needs a port of its own.")
        return cls(Path(environment.get("VAR_DIR") or ROOT / "var").resolve(), ports)

    def address(self, name: str) -> str:
        """Where the server of this port answers."""
        return f"http://{HOST}:{self.ports[name]}"

    @property
    def first_import(self) -> Path:
        """Exists once the made-up tenant's Secure Score was imported."""
        return self.folder / "first-import.done"

    @property
    def keys_file(self) -> Path:
        """Where the demo's secrets are kept."""
        return self.folder / "keys.json"

    def environment(self, outside: Mapping[str, str]) -> dict[str, str]:
        """What every child gets: the caller's environment, with the demo's settings on top."""
        return {
            **outside,
            **load_or_create_secrets(self.keys_file),
            **{name: str(port) for name, port in self.ports.items()},
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "VAR_DIR": str(self.folder),
            "SANDBOX_DIR": str(self.folder / "sandbox"),
            "SANDBOX_HOST": HOST,
            "SANDBOX_SHOW_HINTS": "true",
            "HOST": HOST,
            "PUBLIC_URL": self.address("PORT"),
            "ENTRA_AUTHORITY": self.address("SANDBOX_MICROSOFT_PORT"),
            "GRAPH_URL": self.address("SANDBOX_MICROSOFT_PORT"),
            "SERVICENOW_ALLOWED_ORIGINS": self.address("SANDBOX_SERVICENOW_PORT"),
            "NO_PROXY": HOST,
            "no_proxy": HOST,
        }


def demo() -> int:
    """Run until Ctrl-C, SIGTERM or a child's end. Raises Trouble when it cannot start."""
    plan = DemoPlan.read(os.environ)
    with only_one(plan):
        for name, port in plan.ports.items():
            take(HOST, port, name).close()
        return asyncio.run(_live(plan))


@contextmanager
def only_one(plan: DemoPlan) -> Iterator[None]:
    """Hold the folder for this run; the system lets go of it for us, whatever happens."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    with (plan.folder / "demo.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartupError(
                f"A demo is running with the data in {plan.folder} already. Stop it with Ctrl-C where it was started, "
                "or give this one a folder with VAR_DIR and ports with PORT, SANDBOX_SERVICENOW_PORT and "
                "SANDBOX_MICROSOFT_PORT."
            ) from error
        yield


async def _live(plan: DemoPlan) -> int:
    processes = Processes(plan.folder / "logs", plan.folder, plan.environment(os.environ))
    asked = _asked_to_stop(processes)
    life = asyncio.create_task(_run(plan, processes))
    try:
        await asyncio.wait({life, asked}, return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            life.result()  # It ends only by failing.
        _say("\nStopping …")
        return 0
    except (ChildEnded, StartupError) as error:
        _say(f"\n{error}\n\nStopping the rest.")
        return 1
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        await processes.stop()
        _say("Stopped. Everything is kept; `make run` goes on where this ended.")


async def _run(plan: DemoPlan, processes: Processes) -> None:
    first = not plan.first_import.exists()
    _say("Starting PostgreSQL, the stand-ins for Microsoft and ServiceNow, the web pages and the worker …")
    postgres = await processes.start("postgres", "app", "postgres", floor=DATABASE, answers=True)
    strangers = [
        await processes.start(name, "sandbox", "serve", name, floor=STRANGERS) for name in ("servicenow", "microsoft")
    ]
    address = await _unless_one_ends(processes, [postgres, *strangers], processes.answer(postgres))
    processes.environment = {**processes.environment, "DATABASE_URL": address}
    web = await processes.start("web", "app", "web", floor=PRODUCT)
    running = [postgres, *strangers, web]
    await _unless_one_ends(processes, running, processes.run("migrate", "app", "migrate", floor=PRODUCT))
    if first:
        _say("First start: importing the made-up tenant's Secure Score …")
        await _unless_one_ends(processes, running, processes.run("sync", "app", "sync", floor=PRODUCT))
        plan.first_import.touch()
    # Last, because its first deed would be the same import.
    running.append(await processes.start("worker", "app", "worker", floor=PRODUCT))
    await _unless_one_ends(processes, running, _until_ready(plan))
    _say(welcome(plan))
    await processes.watch(*running)


async def _unless_one_ends(
    processes: Processes, running: Sequence[ChildProcess], work: Coroutine[Any, Any, Result]
) -> Result:
    """The work's result, unless a process that it needs ends first. Raises ChildEnded."""
    task, watch = asyncio.create_task(work), asyncio.create_task(processes.watch(*running))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await watch
        return await task
    finally:
        for one in (task, watch):
            one.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _until_ready(plan: DemoPlan) -> None:
    """Wait for both stand-ins and for the web process to say that it can do its work."""
    for name, path in (
        ("SANDBOX_SERVICENOW_PORT", "/_sandbox/"),
        ("SANDBOX_MICROSOFT_PORT", "/"),
        ("PORT", "/health/ready"),
    ):
        address = plan.address(name) + path
        for _ in range(round(START_SECONDS / PAUSE_SECONDS)):
            if await asyncio.to_thread(_answers, address):
                break
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            raise StartupError(
                f"{address} did not get ready within {START_SECONDS:.0f} seconds. See {plan.folder / 'logs'}."
            )


def _answers(address: str) -> bool:
    """Whether there is an answer that is no complaint of the server about itself."""
    try:
        with _opener.open(address, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500
    except OSError:
        return False


def _asked_to_stop(processes: Processes) -> asyncio.Future[None]:
    """Done at the first Ctrl-C or SIGTERM. A later one hurries; one that comes at once is the first one's echo."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()
    first = 0.0

    def hear() -> None:
        nonlocal first
        if not asked.done():
            first = loop.time()
            asked.set_result(None)
        elif loop.time() - first > ECHO_SECONDS:
            processes.hurry()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hear)
    return asked


def welcome(plan: DemoPlan) -> str:
    """What a newcomer needs to know."""
    servicenow = plan.address("SANDBOX_SERVICENOW_PORT")
    return f"""
Ready: {plan.address("PORT")}

Sign in with any account that the sign-in page offers; none is real:
  Security Administrator   Alex Wilber    connects ServiceNow, shares, looks
  Security Operator        Megan Bowen    shares improvement actions as tickets, looks
  Security Reader          Lee Gu         looks
  No role                  Nestor Wilke   is told what to ask for

ServiceNow's stand-in, where tickets arrive and can be moved: {servicenow}/_sandbox/
To connect it, as Security Administrator, open {plan.address("PORT")}/servicenow and type:
  Instance name   {servicenow.removeprefix("http://")}
  Client ID       {load_or_create_secrets(plan.keys_file)["SANDBOX_SERVICENOW_CLIENT_ID"]}
  Client secret   it is shown in the stand-in (address above), and kept in {_short(plan.keys_file)}
Authorize, log in as m365.integration (the login page shows the password), and Allow.

Ctrl-C stops everything. Data stays in {_short(plan.folder)}; logs are in {_short(plan.folder / "logs")}."""


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
