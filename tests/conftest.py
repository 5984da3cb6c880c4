"""What every test may ask for: a database of its own, a vault, a queue, a clock that stands still."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from app.core import clock
from app.core.clock import SetClock
from app.core.database import Database, Session
from app.core.jobs import Queue
from app.core.vault import Vault
from app.features.secure_score.jobs import scheduled_sync
from tests.factories.certificates import read_once
from tests.factories.database import fresh_database, kept_engine, running_test_server
from tests.factories.graph_payloads import keep_days
from tests.factories.microsoft import SandboxMicrosoft
from tests.factories.servicenow import SandboxServiceNow
from tests.factories.system import System, open_system, running_sandbox
from tests.factories.xdist_schedule import ByPart, longest_first

# No test may fail because the machine is busy. The first draw of a fresh checkout builds tables of characters as well.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests in worker processes of a parallel run."""
    if hasattr(config, "workerinput"):
        longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByPart | None:
    """The scheduler of `--dist loadscope`."""
    if config.getoption("dist") != "loadscope":
        return None
    config.option.loadscopereorder = False
    return ByPart(config, log)


def pytest_collection_finish() -> None:
    """Freeze what is loaded by now: it lives for the whole run, so the garbage collector need not visit it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(autouse=True)
def log_handlers_stay() -> Iterator[None]:
    """A command that is run within a test sends the log to a stream that is closed when the test ends."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def certificates() -> Iterator[None]:
    """Every HTTP client of the run shares them."""
    with read_once():
        yield


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for the run (each xdist worker has its own)."""
    with running_test_server(tmp_path_factory.mktemp("postgres") / "data") as url:
        yield url


@pytest.fixture
def database_url(postgres: str) -> Iterator[str]:
    """The address of a database with the schema and no rows."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The product's Database object for that database."""
    opened = Database(kept_engine(database_url))
    yield opened
    await opened.close()


@pytest.fixture
async def db(database: Database) -> AsyncIterator[Session]:
    """One transaction, committed at the end of the test."""
    async with database.transaction() as session:
        yield session


@pytest.fixture
def vault() -> Vault:
    """A vault with a key made for this test."""
    return Vault([Vault.new_key()])


@pytest.fixture
def queue(database_url: str) -> Queue:
    """A queue without tasks; a test that needs tasks makes its own queue with their task groups."""
    return Queue(database_url, [])


@pytest.fixture
def still_clock() -> Iterator[SetClock]:
    """A clock that moves only when told to."""
    still = SetClock(datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
    before = clock.use(still)
    yield still
    clock.use(before)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[tuple[SandboxMicrosoft, SandboxServiceNow]]:
    """The sandbox, shared by all tests of the run; `system` resets it for each."""
    with running_sandbox() as both:
        yield both


@pytest.fixture
async def system(database_url: str, sandbox: tuple[SandboxMicrosoft, SandboxServiceNow]) -> AsyncIterator[System]:
    """The whole product over a fresh database, with the sandbox reset."""
    microsoft, servicenow = sandbox
    microsoft.tenant.reset()
    servicenow.instance.reset()
    async with open_system(database_url, microsoft, servicenow) as opened:
        yield opened


@pytest.fixture
async def scored(system: System) -> System:
    """The product with a Secure Score of three days, which is quicker to import than all."""
    keep_days(system.microsoft.tenant, 3)
    await scheduled_sync.function(system.resources)
    return system
