"""Static files are sent compressed and cached forever; pages are never compressed and never cached."""

from __future__ import annotations

import re

from tests.factories.system import System

FIRST_VISIT_BYTES = 200_000


async def test_static_files_are_compressed_and_kept_and_pages_are_neither(system: System) -> None:
    async with await system.signed_in("viewer") as browser:
        page = await browser.get("/secure-score", headers={"accept-encoding": "gzip"})
        addresses = {*re.findall(r'(?:href|src)="(/static/[^"#]+)', page.text)}
        total = 0
        for address in addresses:
            async with browser.stream("GET", address, headers={"accept-encoding": "gzip"}) as file:
                total += sum([len(part) async for part in file.aiter_raw()])
            assert file.headers["cache-control"] == "public, max-age=31536000, immutable", address
            assert file.headers.get("content-encoding") == "gzip" or int(file.headers["content-length"]) < 1024, address
    assert "content-encoding" not in page.headers
    assert page.headers["cache-control"] == "no-store"
    assert len(addresses) > 10
    assert total < FIRST_VISIT_BYTES, total


async def test_everything_a_page_loads_is_ours_and_carries_its_content_in_its_name(system: System) -> None:
    async with await system.signed_in("viewer") as browser:
        page = await browser.get("/")
    loaded = re.findall(r'<(?:script|link|img|use)\b[^>]*\b(?:src|href)="([^"]+)"', page.text)
    assert loaded
    assert all(re.fullmatch(r"/static/[\w./-]+\?v=[0-9a-f]{12}(#\w+)?", address) for address in loaded), loaded
