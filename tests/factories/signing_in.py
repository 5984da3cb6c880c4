"""Signs in through the Entra ID sandbox, as a browser does: the form, the picker of people, and the way back."""

from __future__ import annotations

import httpx

from tests.factories.leaving import leads_to
from tests.factories.microsoft import Person


async def answer_of_entra(browser: httpx.AsyncClient, person: Person, return_to: str = "/") -> str:
    """Begin a sign-in as this person; returns the callback address."""
    start = await browser.post("/sign-in", params={"return_to": return_to})
    at_entra = httpx.URL(leads_to(start))
    picked = at_entra.copy_with(path=at_entra.path.replace("authorize", "pick"), query=None)
    back = await browser.post(picked, data={**dict(at_entra.params), "oid": person.oid})
    return back.headers["location"]


async def sign_in(browser: httpx.AsyncClient, person: Person, return_to: str = "/") -> httpx.Response:
    """Sign in completely; returns the answer to the callback."""
    return await browser.get(await answer_of_entra(browser, person, return_to))
