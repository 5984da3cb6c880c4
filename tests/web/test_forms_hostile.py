"""Forms in odd character sets and of odd size: refused with a sentence, never an error of ours."""

from __future__ import annotations

import pytest

from app.web.forms import LONGEST_FIELD, MOST_SHOWN_AGAIN
from tests.factories.connecting import said
from tests.factories.system import System

PART = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n\\ud800\xff\r\n--b--\r\n'


@pytest.mark.parametrize(
    "charset", ["undefined", "idna", "punycode", "unicode_escape", "utf-7", "utf-16", "latin-1", "none"]
)
@pytest.mark.parametrize("address", ["/tickets/new", "/tickets/bulk", "/tickets/selection"])
async def test_another_character_set_is_refused_with_a_sentence(system: System, address: str, charset: str) -> None:
    async with await system.signed_in("sharer") as browser:
        for kind in ("multipart/form-data; boundary=b", "application/x-www-form-urlencoded"):
            headers = {"content-type": f'{kind}; charset="{charset}"'}
            answer = await browser.post(address, content=PART, headers=headers)
            assert answer.status_code == 415, kind
            assert "character set that we cannot read" in said(answer)


async def test_utf_8_may_be_named(system: System) -> None:
    async with await system.signed_in("sharer") as browser:
        headers = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}
        answer = await browser.post("/tickets/new", content="name=N%C3%BCx&kind=incident", headers=headers)
    assert answer.status_code == 422
    assert 'value="N\u00fcx"' in answer.text


@pytest.mark.parametrize("value", ["%ED%A0%80", "%00", "%FF", "\u202e", "%25zz"])
async def test_odd_characters_are_shown_again_or_refused(system: System, value: str) -> None:
    async with await system.signed_in("sharer") as browser:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        for address in ("/tickets/new", "/tickets/bulk"):
            answer = await browser.post(address, content=f"name={value}&kind={value}&category={value}", headers=headers)
            assert answer.status_code == 422, address


async def test_a_page_does_not_grow_with_what_was_typed(system: System) -> None:
    """A quotation mark takes five characters in a page."""
    many = {f"field{number}": '"' * LONGEST_FIELD for number in range(MOST_SHOWN_AGAIN // LONGEST_FIELD + 1)}
    async with await system.signed_in("sharer") as browser:
        refused = await browser.post("/tickets/new", data=many)
        long = await browser.post("/tickets/new", data={"name": '"' * 60_000, "description": '"' * 60_000})
    assert refused.status_code == 413
    assert "too large" in said(refused)
    assert long.status_code == 422
    assert len(long.content) < 2 * 5 * LONGEST_FIELD + 100_000
