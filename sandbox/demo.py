"""Run the whole product as a demo: PostgreSQL, both sandboxes, web and worker as child processes. Holds no product logic."""

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
from sandbox.ports import DEFAULT_PORTS, StartupError, bind, read_port
from sandbox.processes import ChildEnded, ChildProcess, Processes

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
# Shutdown tiers, highest first: the product before the services it calls, the database last.
DATABASE, SANDBOXES, PRODUCT = 0, 1, 2
# The first start initializes PostgreSQL and imports ninety days of scores; slow machines need time for it.
START_SECONDS = 120.0
PAUSE_SECONDS = 0.05
REPEATED_SIGNAL_SECONDS = 1.0
Result = TypeVar("Result")
# Health checks go to this machine: a proxy configured in the environment must not see them.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class DemoPlan:
    """The demo's data folder and port numbers."""

    folder: Path
    ports: Mapping[str, int]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> DemoPlan:
        """Read the plan from the environment. Raises StartupError for an invalid or repeated port."""
        ports = {name: read_port(environment, name) for name in DEFAULT_PORTS}
        for name, port in ports.items():
            double = next((other for other in ports if other != name and ports[other] == port), None)
            if double:
                raise StartupError(f"{name} and {double} are both {port}. Each needs a port of its own.")
        return cls(Path(environment.get("VAR_DIR") or ROOT / "var").resolve(), ports)

    def address(self, name: str) -> str:
        """Return the base URL of the server that listens on the port of this variable."""
        return f"http://{HOST}:{self.ports[name]}"

    @property
    def first_import(self) -> Path:
        """Marker file: exists once the demo tenant's Secure Score has been imported."""
        return self.folder / "first-import.done"

    @property
    def keys_file(self) -> Path:
        return self.folder / "keys.json"

    def environment(self, outside: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of every child: the caller's, overridden by the demo's settings."""
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
    """Run until Ctrl-C, SIGTERM or the end of a child. Raises StartupError when it cannot start."""
    plan = DemoPlan.read(os.environ)
    with exclusive_folder(plan):
        for name, port in plan.ports.items():
            bind(HOST, port, name).close()
        return asyncio.run(_supervise(plan))


@contextmanager
def exclusive_folder(plan: DemoPlan) -> Iterator[None]:
    """Hold a lock on the data folder. Raises StartupError when another demo holds it."""
    # flock, not a PID file: the kernel releases it even when this process is killed.
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


async def _supervise(plan: DemoPlan) -> int:
    processes = Processes(plan.folder / "logs", plan.folder, plan.environment(os.environ))
    requested = _stop_requested(processes)
    supervised = asyncio.create_task(_run(plan, processes))
    try:
        await asyncio.wait({supervised, requested}, return_when=asyncio.FIRST_COMPLETED)
        if supervised.done():
            supervised.result()  # Raises: the task ends only by an exception.
        _print("\nStopping …")
        return 0
    except (ChildEnded, StartupError) as error:
        _print(f"\n{error}\n\nStopping the rest.")
        return 1
    finally:
        supervised.cancel()
        await asyncio.gather(supervised, return_exceptions=True)
        await processes.stop()
        _print("Stopped. Everything is kept; `make run` goes on where this ended.")


async def _run(plan: DemoPlan, processes: Processes) -> None:
    first = not plan.first_import.exists()
    _print("Starting PostgreSQL, the sandbox (Microsoft and ServiceNow), the web pages and the worker …")
    postgres = await processes.start("postgres", "app", "postgres", tier=DATABASE, pipe_stdout=True)
    sandboxes = [
        await processes.start(name, "sandbox", "serve", name, tier=SANDBOXES) for name in ("servicenow", "microsoft")
    ]
    address = await _fail_if_any_ends(processes, [postgres, *sandboxes], processes.first_line(postgres))
    processes.environment = {**processes.environment, "DATABASE_URL": address}
    running = [postgres, *sandboxes]
    # Before the pages: they refuse to work on tables of another version.
    await _fail_if_any_ends(processes, running, processes.run("migrate", "app", "migrate", tier=PRODUCT))
    running.append(await processes.start("web", "app", "web", tier=PRODUCT))
    if first:
        _print("First start: importing the made-up tenant's Secure Score …")
        await _fail_if_any_ends(processes, running, processes.run("sync", "app", "sync", tier=PRODUCT))
        plan.first_import.touch()
    # The worker starts last: its first job would be the same import, which would then run twice.
    running.append(await processes.start("worker", "app", "worker", tier=PRODUCT))
    await _fail_if_any_ends(processes, running, _until_ready(plan))
    _print(welcome(plan))
    await processes.watch(*running)


async def _fail_if_any_ends(
    processes: Processes, running: Sequence[ChildProcess], work: Coroutine[Any, Any, Result]
) -> Result:
    """Return the result of `work`. Raises ChildEnded as soon as one of the `running` processes ends."""
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
    """Wait until both sandboxes and the web process report that they are ready."""
    for name, path in (
        ("SANDBOX_SERVICENOW_PORT", "/_sandbox/"),
        ("SANDBOX_MICROSOFT_PORT", "/"),
        ("PORT", "/health/ready"),
    ):
        address = plan.address(name) + path
        for _ in range(round(START_SECONDS / PAUSE_SECONDS)):
            if await asyncio.to_thread(_responds, address):
                break
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            raise StartupError(
                f"{address} did not get ready within {START_SECONDS:.0f} seconds. See {plan.folder / 'logs'}."
            )


def _responds(address: str) -> bool:
    """Return whether the server answers with a status below 500."""
    try:
        with _opener.open(address, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500
    except OSError:
        return False


def _stop_requested(processes: Processes) -> asyncio.Future[None]:
    """Return a future that is done at the first SIGINT or SIGTERM. A later signal kills the product's processes."""
    # A terminal and a parent such as `make` may both deliver the same Ctrl-C: a signal within
    # REPEATED_SIGNAL_SECONDS of the first is not a second request.
    loop = asyncio.get_running_loop()
    requested: asyncio.Future[None] = loop.create_future()
    first = 0.0

    def on_signal() -> None:
        nonlocal first
        if not requested.done():
            first = loop.time()
            requested.set_result(None)
        elif loop.time() - first > REPEATED_SIGNAL_SECONDS:
            processes.kill_upper_tiers()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    return requested


def welcome(plan: DemoPlan) -> str:
    """Return the text printed once everything is ready."""
    servicenow = plan.address("SANDBOX_SERVICENOW_PORT")
    return f"""
Ready: {plan.address("PORT")}

Sign in with any account that the sign-in page offers; none is real:
  Security Administrator   Alex Wilber    connects ServiceNow, shares, looks
  Security Operator        Megan Bowen    shares improvement actions as tickets, looks
  Security Reader          Lee Gu         looks
  No role                  Nestor Wilke   is told what to ask for

The ServiceNow sandbox, where tickets arrive and can be moved: {servicenow}/_sandbox/
To connect it, as Security Administrator, open {plan.address("PORT")}/servicenow and type:
  Instance name   {servicenow.removeprefix("http://")}
  Client ID       {load_or_create_secrets(plan.keys_file)["SANDBOX_SERVICENOW_CLIENT_ID"]}
  Client secret   it is shown in the sandbox (address above), and kept in {_short(plan.keys_file)}
Authorize, log in as m365.integration (the login page shows the password), and Allow.

Ctrl-C stops everything. Data stays in {_short(plan.folder)}; logs are in {_short(plan.folder / "logs")}."""


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
