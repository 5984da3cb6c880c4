"""Reads where the page leads from which the browser leaves for another site."""

from __future__ import annotations

import re
from html import unescape

import httpx


def leads_to(answer: httpx.Response) -> str:
    """The address that a page of ours goes on to: by itself and by its link, which are the same."""
    assert answer.status_code == 200, (answer.status_code, answer.headers.get("location"), answer.text[-1500:])
    assert "location" not in answer.headers
    [by_itself] = re.findall(r'<meta http-equiv="refresh" content="0; url=([^"]+)">', answer.text)
    [by_link] = re.findall(r'<a class="button primary" href="([^"]+)" rel="noreferrer" autofocus>', answer.text)
    assert by_itself == by_link
    return unescape(by_itself)
