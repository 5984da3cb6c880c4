"""Earlier addresses of pages lead to the present ones."""

from __future__ import annotations

import pytest

from tests.factories.system import System


async def test_a_form_that_was_open_during_an_upgrade_is_sent_on_with_what_it_holds(system: System) -> None:
    async with system.client() as browser:
        for path in ("/servicenow/check", "/secure-score/action/notes", "/secure-score/action/tags"):
            answer = await browser.post(f"{path}?action=A", data={"note": "Typed."})
            # 308 keeps method and body, unlike 301 and 302: https://www.rfc-editor.org/rfc/rfc9110#status.308
            assert answer.status_code == 308, path
            assert answer.headers["location"].endswith("?action=A")


@pytest.mark.parametrize(
    ("earlier", "present"),
    [
        ("/servicenow/exchanged", "/servicenow/data-exchange"),
        ("/servicenow/check", "/servicenow/diagnosis"),
        ("/servicenow/check/findings", "/servicenow/diagnosis/findings"),
        ("/servicenow/check/bundle.zip", "/servicenow/diagnosis/bundle.zip"),
        ("/servicenow/check?a=b&c=%2F", "/servicenow/diagnosis?a=b&c=%2F"),
    ],
)
async def test_an_earlier_address_leads_to_the_present_one_for_good(system: System, earlier: str, present: str) -> None:
    async with system.client() as browser:
        answer = await browser.get(earlier)
    assert (answer.status_code, answer.headers["location"]) == (308, present)
