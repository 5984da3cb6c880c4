"""After Ctrl-C and another start everything is still there: the session, the connection with its tokens, and the tickets."""

from __future__ import annotations

import re
import signal

import pytest
from playwright.sync_api import expect

from tests.browser.people import FOLLOWS_MS, Visit, ensure_connected, share


@pytest.mark.thorough
def test_another_start_finds_everything_as_it_was(visit: Visit) -> None:
    ensure_connected(visit)
    page = visit.sign_in("Security Operator")
    share(page, "Change request", "From before the restart")
    ticket = page.url
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"CHG\d{7}"), timeout=FOLLOWS_MS)
    page.goto("about:blank")  # A page that goes on asking a stopped server complains, and rightly.
    assert visit.demo.stop(signal.SIGINT) == 0
    visit.demo.launch().ready()
    page.goto(ticket)
    expect(page.get_by_role("main")).to_contain_text("From before the restart")
    share(page, "Incident", "From after the restart")
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"INC\d{7}"), timeout=FOLLOWS_MS)
    console = visit.open()
    console.goto(f"{visit.demo.servicenow}/_sandbox/")
    for name in ("From before the restart", "From after the restart"):
        expect(console.get_by_role("row").filter(has_text=name)).to_have_count(1)
