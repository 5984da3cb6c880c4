"""Chromium, and the whole product as real processes for it to look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.people import Visit, ensure_connected
from tests.factories.demo import Demo, running_demo

# Opening and closing a browser context have no time limit of their own, so a browser that stands still would never end.
BROWSER_TEST_SECONDS = 300
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here drives a browser, and ends.

    A test out of time ends the whole process with the stacks of its threads: an exception from a signal would end the
    driver's event loop, and whatever closes the browser afterwards would wait for that loop for ever.
    """
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(BROWSER_TEST_SECONDS, method="thread"))


def find_chromium() -> str | None:
    """The browser to drive: the one CHROMIUM names, or the system's own."""
    return os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Missing is a reason to skip on a developer's machine, and a failure where CI promises one."""
    found = find_chromium()
    if found is not None:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail("There is no Chromium, and CI=true says that there must be one.")
    pytest.skip("There is no Chromium here; CHROMIUM may name one.")


@pytest.fixture(scope="package")
def chromium(chromium_path: str) -> Iterator[Browser]:
    """One browser for this folder: the driver's event loop must be gone when asynchronous tests run in this process."""
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def demo(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The product, as `make run` starts it, without a connection yet."""
    with running_demo(tmp_path_factory.mktemp("product") / "var") as running:
        yield running


@pytest.fixture
def visit(chromium: Browser, demo: Demo) -> Iterator[Visit]:
    """Signs people in, each in a browser context of its own; at the end, no page may have complained."""
    made = Visit(chromium, demo)
    yield made
    made.close()


@pytest.fixture
def connected(visit: Visit) -> Visit:
    """The same, with ServiceNow connected: by the set-up form, the first time it is asked for."""
    ensure_connected(visit)
    return visit
