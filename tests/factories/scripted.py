"""A transport that gives prepared answers, for what a sandbox over HTTP cannot say: odd statuses, headers, bodies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.integrations.http.http_types import RemoteResponse, Request
from app.integrations.microsoft.graph import GraphClient

GRAPH = "https://graph.microsoft.com"
TOKEN = {"access_token": "token-1", "expires_in": 3599, "token_type": "Bearer"}
Reply = RemoteResponse | Exception | Callable[[Request], RemoteResponse]


def answer(status: int = 200, body: Any = None, **headers: str) -> RemoteResponse:
    """An answer; a body that is no text is sent as JSON. Underscores in header names stand for hyphens."""
    content = body if isinstance(body, str) else json.dumps(body if body is not None else {})
    named = {"content-type": "application/json"} | {
        name.replace("_", "-").lower(): value for name, value in headers.items()
    }
    return RemoteResponse(status, named, content.encode())


def page(items: Sequence[dict[str, Any]], link: object = None, status: int = 200, **headers: str) -> RemoteResponse:
    """A list, with a link to its next page if one is given."""
    body: dict[str, Any] = {"@odata.context": "c", "value": list(items)}
    if link is not None:
        body["@odata.nextLink"] = link
    return answer(status, body, **headers)


@dataclass
class ScriptedGraph:
    """Answers token requests by itself and everything else from `replies`, the last of which is repeated."""

    replies: list[Reply]
    requests: list[Request] = field(default_factory=list)
    tokens: int = 0
    at_once: int = 0
    most_at_once: int = 0

    async def send(self, request: Request) -> RemoteResponse:
        if "/oauth2/v2.0/token" in request.url:
            self.tokens += 1
            return answer(200, TOKEN | {"access_token": f"token-{self.tokens}"})
        self.requests.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, RemoteResponse) else reply(request)

    @property
    def urls(self) -> list[str]:
        """The addresses of all requests, in order."""
        return [request.url for request in self.requests]


def graph_over(transport: ScriptedGraph, *, graph_url: str = GRAPH, tenant_id: str = "tenant") -> GraphClient:
    """A Graph client that uses this transport."""
    client: Any = transport
    return GraphClient(
        client,
        graph_url=graph_url,
        authority="https://login.microsoftonline.com",
        tenant_id=tenant_id,
        client_id="client",
        client_secret="made up",
    )
