"""Read Secure Score from Microsoft Graph with an app-only token, and write a control's state. Nothing else of Graph."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from app.core import clock
from app.core.bounds import line, token_text, whole
from app.core.messages import T
from app.integrations.http.errors import Forbidden, InvalidResponse, RemoteError, ServerError, Throttled, Unauthorized
from app.integrations.http.http_types import RemoteResponse, Request, named_wait
from app.integrations.http.transport import Transport
from app.integrations.microsoft.aadsts import Purpose
from app.integrations.microsoft.entra import token_answer
from app.integrations.microsoft.list_reader import ListReader
from app.integrations.microsoft.schemas import GraphPage

# Graph's own limit for these resources: https://learn.microsoft.com/graph/throttling-limits#security-detections-and-incidents-service-limits
CALLS_AT_ONCE = 4
# A tenant has about three pages of profiles and at most 90 of scores; more is a loop (docs/facts/microsoft-graph.md#edge-3).
MOST_PAGES = 200
ATTEMPTS = 4
# All waits for one page together.
LONGEST_WAIT_FOR_PAGE_SECONDS = 120.0
RENEW_BEFORE = timedelta(minutes=2)
PROFILES_PER_PAGE = 999
# Ninety days of a large tenant are some forty megabytes. They are read item by item (list_reader.py).
LARGEST_LIST_BYTES = 64 * 1024 * 1024
LONGEST_WARNING = 300
# A day, the longest that Entra ID lets an administrator set.
# https://learn.microsoft.com/entra/identity-platform/configurable-token-lifetimes
LONGEST_TOKEN_SECONDS = 86_400


class GraphClient:
    """One app registration; needs the application permission SecurityEvents.Read.All with admin consent."""

    def __init__(
        self,
        transport: Transport,
        *,
        graph_url: str,
        authority: str,
        tenant_id: str,
        client_id: str,
        client_secret: str,
    ) -> None:
        self._transport = transport
        self._graph_url = graph_url
        self._token_url = f"{authority}/{tenant_id}/oauth2/v2.0/token"
        self._credentials = {"client_id": client_id, "client_secret": client_secret}
        self._token: tuple[str, datetime] | None = None
        self._token_lock = asyncio.Lock()
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)

    def scores(self, top: int | None = None) -> AsyncIterator[GraphPage]:
        """Daily snapshots, newest first; with `top`, that many days in exactly one call."""
        # https://learn.microsoft.com/graph/api/security-list-securescores
        path = "/v1.0/security/secureScores"
        if top is not None:
            # Even $top=1 carries a nextLink, which leads through the whole history: docs/facts/microsoft-graph.md#edge-2
            return self._pages(f"{self._graph_url}{path}?$top={top}", follow=False)
        return self._pages(f"{self._graph_url}{path}", follow=True)

    def control_profiles(self) -> AsyncIterator[GraphPage]:
        # https://learn.microsoft.com/graph/api/security-list-securescorecontrolprofiles
        path = "/v1.0/security/secureScoreControlProfiles"
        return self._pages(f"{self._graph_url}{path}?$top={PROFILES_PER_PAGE}", follow=True)

    async def renew_token(self) -> None:
        """Get a fresh token, whatever is cached. Raises as any call does whose token is refused."""
        self._token = None
        await self._access_token()

    async def change_state(self, control_id: str, *, state: str, comment: str) -> None:
        """Set a control's state. Needs SecurityEvents.ReadWrite.All; device controls refuse it.

        Sent once: a caller that gets Ambiguous reads the profile before it repeats.
        """
        # https://learn.microsoft.com/graph/api/securescorecontrolprofile-update
        # docs/facts/microsoft-graph.md#1-5-state-updates-reading-and-writing
        path = f"/v1.0/security/secureScoreControlProfiles/{quote(control_id, safe='')}"
        body = {
            "state": state,
            "comment": comment,
            "vendorInformation": {
                "provider": "SecureScore",
                "providerVersion": None,
                "subProvider": None,
                "vendor": "Microsoft",
            },
        }
        url = f"{self._graph_url}{path}"
        answer = await self._send(url, method="PATCH", body=body)
        if answer.status == 401:
            self._token = None
            answer = await self._send(url, method="PATCH", body=body)
        if answer.status not in (200, 204):
            raise _bad_write(answer)

    async def _pages(self, url: str, *, follow: bool) -> AsyncIterator[GraphPage]:
        seen: set[str] = set()
        while True:
            seen.add(url)
            answer = await self._read(url)
            warning = line(answer.header("warning"), LONGEST_WARNING) or None if answer.status == 206 else None
            reader = ListReader(answer.body)
            for items in reader.portions():
                yield GraphPage(items=items, warning=warning)
            if not follow or reader.next_link is None:
                return
            url = self._checked(reader.next_link, seen)

    def _checked(self, link: object, seen: set[str]) -> str:
        """The address of the next page, byte for byte. Raises InvalidResponse unless it is Graph's own and new."""
        # The token goes to Graph and nowhere else: docs/facts/microsoft-graph.md#edge-3
        if not isinstance(link, str):
            raise InvalidResponse(T("Graph’s answer has a broken link to its next page."))
        try:
            here, there = urlsplit(self._graph_url), urlsplit(link)
        except ValueError as error:
            raise InvalidResponse(T("Graph’s answer has a broken link to its next page.")) from error
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            raise InvalidResponse(T("Graph’s next page is on another host, so it was not fetched."))
        if link in seen or len(seen) >= MOST_PAGES:
            raise InvalidResponse(T("Graph’s pages lead in a circle, so the list is not complete."))
        return link

    async def _read(self, url: str) -> RemoteResponse:
        """One page. Waits for 429 and 5xx (backoff, bounded in attempts and seconds), and gets one new token for a 401."""
        # docs/facts/microsoft-graph.md#edge-6 and docs/facts/microsoft-graph.md#edge-7
        renewed = False
        waited = 0.0
        for attempt in range(1, ATTEMPTS + 1):
            answer = await self._send(url)
            if answer.status == 401 and not renewed:
                self._token, renewed = None, True
                continue
            if answer.status not in (429, 502, 503, 504) or attempt == ATTEMPTS:
                break
            pause = named_wait(answer)
            pause = 2.0**attempt if pause is None else pause
            if waited + pause > LONGEST_WAIT_FOR_PAGE_SECONDS:
                break
            waited += pause
            await clock.sleep(pause)
        else:
            raise ServerError
        return _good(answer)

    async def _send(self, url: str, *, method: str = "GET", body: object = None) -> RemoteResponse:
        token = await self._access_token()
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        async with self._slots:
            return await self._transport.send(
                Request(method, url, headers=headers, body=body, largest_answer=LARGEST_LIST_BYTES)
            )

    async def _access_token(self) -> str:
        async with self._token_lock:
            if self._token and self._token[1] > clock.now() + RENEW_BEFORE:
                return self._token[0]
            answer = await self._transport.send(
                Request(
                    "POST",
                    self._token_url,
                    headers={"Accept": "application/json"},
                    form={
                        "grant_type": "client_credentials",
                        "scope": f"{self._graph_url}/.default",
                        **self._credentials,
                    },
                )
            )
            content = token_answer(answer, Purpose.APP_TOKEN)
            token = token_text(content.get("access_token"))
            if token is None:
                raise InvalidResponse(T("Microsoft’s answer holds no access token."))
            self._token = (token, clock.now() + timedelta(seconds=_seconds(content.get("expires_in"))))
            return token


def _good(answer: RemoteResponse) -> RemoteResponse:
    if answer.status in (200, 206):
        if not answer.is_json():
            raise InvalidResponse(T("A web page answered in place of Microsoft Graph. A proxy may stand in between."))
        return answer
    raise _bad(answer)


def _bad(answer: RemoteResponse) -> RemoteError:
    if answer.status == 429:
        return Throttled(seconds=named_wait(answer))
    if answer.status == 401:
        return Unauthorized(T("Graph does not accept this application’s token. Check the app registration."))
    if answer.status == 403:
        return Forbidden(
            T(
                "Graph refuses to show Secure Score. The app registration needs SecurityEvents.Read.All as an "
                "application permission (the delegated one is not enough), with admin consent."
            )
        )
    if answer.status >= 500:
        return ServerError(T("Microsoft Graph reported an internal error (status %(status)s).", status=answer.status))
    return InvalidResponse(T("Microsoft Graph refused the request (status %(status)s).", status=answer.status))


def _bad_write(answer: RemoteResponse) -> RemoteError:
    # In a write, 400 and 403 have meanings of their own: docs/facts/microsoft-graph.md#1-5-state-updates-reading-and-writing
    if answer.status == 403:
        return Forbidden(
            T(
                "Graph refuses to change a status. The app registration needs SecurityEvents.ReadWrite.All as an "
                "application permission, with admin consent."
            )
        )
    if 400 <= answer.status < 500 and answer.status not in (401, 429):
        return Forbidden(
            T(
                "Microsoft refused this status (status %(status)s). Set it in Microsoft’s portal; it will show here after "
                "the next import.",
                status=answer.status,
            )
        )
    return _bad(answer)


def _seconds(value: Any) -> int:  # noqa: ANN401 - straight from JSON.
    return whole(value, 0, LONGEST_TOKEN_SECONDS) or 0
