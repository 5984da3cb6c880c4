"""The list of actions grows with its actions, and not with its address."""

from __future__ import annotations

import pytest

from tests.factories.system import System

LIST = "/secure-score/actions"


@pytest.mark.parametrize("name", ["status", "category", "tag", "ticket", "nothing", "col", "sort"])
async def test_a_filter_of_many_unknown_values_is_one_of_none(scored: System, name: str) -> None:
    query = "&".join(f"{name}=x{number}" for number in range(500))
    async with await scored.signed_in("viewer") as browser:
        plain, page = await browser.get(LIST), await browser.get(f"{LIST}?{query}")
        file = await browser.get(f"{LIST}.csv?{query}")
        others = await browser.get(f"/secure-score?{query.replace(name, 'include')}")
    assert (page.status_code, file.status_code, others.status_code) == (200, 200, 200)
    assert len(page.content) < len(plain.content) + 20_000
    assert page.text.count("x0") <= 40
    assert "x1" not in page.text


async def test_an_address_of_several_thousand_values_is_refused_with_a_sentence(scored: System) -> None:
    query = "&".join(f"status=x{number}" for number in range(3000))
    async with await scored.signed_in("viewer") as browser:
        page = await browser.get(f"{LIST}?{query}")
    assert page.status_code == 414
    assert "longer than any of ours" in page.text


@pytest.mark.parametrize(
    "address", ["/tickets", LIST, "/secure-score/history", "/secure-score/trends", "/servicenow/audit"]
)
@pytest.mark.parametrize(
    "query",
    [
        "page=1" + "0" * 30,
        "page=-1",
        "page=%C2%B2",
        "q=%00",
        "q=%ED%A0%80",
        "since=%00&until=0001-01-01",
        "q=" + "x" * 7000,
    ],
)
async def test_odd_values_of_a_list_are_no_error(scored: System, address: str, query: str) -> None:
    async with await scored.signed_in("manager") as browser:
        page = await browser.get(f"{address}?{query}")
    assert page.status_code in {200, 404}
    assert len(page.content) < 500_000
