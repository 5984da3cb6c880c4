"""What a person waits for: Largest Contentful Paint of the home page in Chromium, with 1,580 tickets. https://web.dev/articles/lcp"""

from __future__ import annotations

import os
import statistics

from playwright.async_api import BrowserContext, async_playwright

from benchmarks.figures import number, say_figure, table
from benchmarks.installation import Installation, Server
from benchmarks.many_tickets import seed
from benchmarks.pages import TICKETS
from tests.browser.conftest import find_chromium

LOADS, QUICK_LOADS = 11, 3
# The newest entry is the largest one so far; none comes after the page is loaded and quiet.
# https://developer.mozilla.org/docs/Web/API/LargestContentfulPaint
LCP = """
() => new Promise((resolve) => {
  let last = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) last = entry.startTime;
  }).observe({ type: "largest-contentful-paint", buffered: true });
  setTimeout(() => resolve(last), 300);
})
"""
NAVIGATION = "() => performance.getEntriesByType('navigation')[0].responseEnd"


async def load(context: BrowserContext, url: str) -> tuple[float, float]:
    """LCP and the end of the page's answer, both in milliseconds after the navigation began."""
    page = await context.new_page()
    try:
        await page.goto(url, wait_until="networkidle")
        return float(await page.evaluate(LCP)), float(await page.evaluate(NAVIGATION))
    finally:
        await page.close()


async def measure(chromium: str, web: Server, cookie: str, loads: int) -> dict[str, list[tuple[float, float]]]:
    """Loads with nothing cached, and again with the static files cached."""
    name, _, value = cookie.partition("=")
    found: dict[str, list[tuple[float, float]]] = {"nothing cached": [], "static files cached": []}
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        for _ in range(loads):
            context = await browser.new_context(locale="en-US")
            await context.add_cookies([{"name": name, "value": value, "url": web.url}])
            for times in found.values():
                times.append(await load(context, f"{web.url}/"))
            await context.close()
        await browser.close()
    return found


async def run(made: Installation, *, quick: bool = False) -> None:
    """Print the table and the figure; without a Chromium, say so."""
    chromium = find_chromium()
    if chromium is None:
        print("No figure browser_home_lcp_ms: there is no Chromium here; CHROMIUM may name one.\n")
        return
    loads = QUICK_LOADS if quick else LOADS
    with made.copy() as url:
        await seed(url, TICKETS, 0)
        with made.web(url) as web:
            await measure(
                chromium, web, made.cookie, 1
            )  # Chromium's own first start, and the web process's first page.
            found = await measure(chromium, web, made.cookie, loads)
    rows = [
        (
            name, number(statistics.median(lcp for lcp, _ in times)), number(max(lcp for lcp, _ in times)),
            number(statistics.median(answered for _, answered in times)),
        )
        for name, times in found.items()
    ]  # fmt: skip
    headings = (f"home in Chromium, {loads} loads", "LCP ms, median", "LCP ms, worst", "page received ms, median")
    print(f"{table(headings, rows)}\n")
    say_figure("browser_home_lcp_ms", statistics.median(lcp for lcp, _ in found["nothing cached"]))
    print()
