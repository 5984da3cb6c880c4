"""The bare page is as long as it is asked to be."""

from __future__ import annotations

import httpx
import pytest

from benchmarks.bare_page import application


@pytest.mark.parametrize("size", [0, 1_000, 40_000])
async def test_the_bare_page_has_about_the_length_that_is_asked_for(size: int) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://bare.test") as browser:
        answer = await browser.get("/bare", params={"bytes": size})
    assert answer.status_code == 200
    assert size <= len(answer.content) + 7
    assert len(answer.content) <= size + 300
