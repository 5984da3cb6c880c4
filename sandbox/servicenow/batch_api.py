"""Batch API: several requests in one call, executed in order, each under its own access rules. Batches cannot nest."""
# See docs/facts/servicenow.md#3-1-batch and #sandbox-39

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Scope

from sandbox.servicenow.request_context import ApiError, RequestContext, respond

# Requests not started within this time are returned in `unserviced_requests`: docs/facts/servicenow.md#3-1-batch
SECONDS = 30.0
# 5 MB per request item, by default: docs/facts/servicenow.md#3-1-batch
LARGEST_ITEM = 5 * 1024 * 1024


async def handle(request: Request) -> Response:
    """Handle `POST /api/now/[v1/]batch`."""
    return await respond(request, "REST Batch API", _batch)


async def _batch(context: RequestContext) -> Response:
    if context.method != "POST":
        raise ApiError(405, "Method not supported")
    content = await context.content()
    items = content.get("rest_requests")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ApiError(400, "Exception while reading request", "rest_requests must be a list")
    serviced: list[dict[str, Any]] = []
    left_over: list[str] = []
    most, until = context.instance.switches.batch_services, time.monotonic() + SECONDS
    for item in items:
        if (most and len(serviced) >= most) or time.monotonic() > until:
            left_over.append(str(item.get("id", "")))
        else:
            serviced.append(await _do(context, item))
    return JSONResponse(
        {
            "batch_request_id": str(content.get("batch_request_id", "")),
            "serviced_requests": serviced,
            "unserviced_requests": left_over,
        }
    )


async def _do(context: RequestContext, item: dict[str, Any]) -> dict[str, Any]:
    # The batch is answered 200 with any statuses of its items: a client has to check each `status_code`.
    started = time.monotonic()
    try:
        body = b64decode(str(item.get("body") or ""), validate=True)
    except NotBase64:
        return _failed(item, "the body is not base64")
    parts = urlsplit(str(item.get("url", "")))
    if parts.netloc or not parts.path.startswith("/api/") or parts.path.rstrip("/").endswith("/batch"):
        return _failed(item, "the url must be a relative one of a REST API")
    if len(body) > LARGEST_ITEM:
        return _failed(item, "the body is too large")
    answer = await _answer(context, str(item.get("method", "GET")).upper(), parts.path, parts.query, item, body)
    headers = [{"name": name, "value": value} for name, value in answer.headers]
    return {
        "id": str(item.get("id", "")),
        "status_code": answer.status,
        "status_text": HTTPStatus(answer.status).phrase,
        "body": b64encode(answer.body).decode(),
        "headers": [] if item.get("exclude_response_headers") else headers,
        "execution_time": int((time.monotonic() - started) * 1000),
    }


def _failed(item: dict[str, Any], why: str) -> dict[str, Any]:
    body = json.dumps({"error": {"message": "Invalid batch item", "detail": why}, "status": "failure"}).encode()
    return {
        "id": str(item.get("id", "")), "status_code": 400, "status_text": "Bad Request", "error_message": why,
        "body": b64encode(body).decode(), "headers": [], "execution_time": 0,
    }  # fmt: skip


class _ItemResponse:
    """Captures an item's response in place of sending it."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[tuple[str, str]] = []
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        else:
            self.body += bytes(message.get("body", b""))


async def _answer(
    context: RequestContext, method: str, path: str, query: str, item: dict[str, Any], body: bytes
) -> _ItemResponse:
    """Run the item through the same application, with the batch's own token."""
    named = item.get("headers") if isinstance(item.get("headers"), list) else []
    headers = {"accept": "application/json", "content-type": "application/json"}
    headers |= {str(one.get("name", "")).lower(): str(one.get("value", "")) for one in named or []}
    headers["authorization"] = context.request.headers.get("authorization", "")
    headers["host"] = context.request.headers.get("host", "")
    scope: Scope = {
        **{name: context.request.scope[name] for name in ("type", "asgi", "http_version", "scheme", "server", "client")},
        "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "state": {},
    }  # fmt: skip
    answer = _ItemResponse()
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    await context.request.app(scope, receive, answer)
    if scope["state"].get("note"):
        context.note(scope["state"]["note"])
    return answer
