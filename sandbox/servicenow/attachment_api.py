"""Attachment API: list, read, upload raw or as a form, download, delete. Keeps contents beside the records."""
# See docs/facts/servicenow.md#3-4-attachment

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from typing import Any
from urllib.parse import quote

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.servicenow.record_acl import RowAcl, may_write
from sandbox.servicenow.request_context import LARGEST_BODY, ApiError, RequestContext, respond
from sandbox.servicenow.store import Record
from sandbox.servicenow.table_api import check_table, matching_rows, number_option, paging_headers
from sandbox.servicenow.table_schema import fields_of, stamp

TABLE, CONTENTS = "sys_attachment", "_attachment_content"


async def handle(request: Request) -> Response:
    """Handle every call to `/api/now/[v1|v2/]attachment…`."""
    return await respond(request, "Attachment API", _call)


async def _call(context: RequestContext) -> Response:
    parts = [part for part in context.request.path_params.get("path", "").split("/") if part]
    match (context.method, parts):
        case ("GET", []):
            return _list(context)
        case ("POST", ["file"]):
            return await _upload_raw(context)
        case ("POST", ["upload"]):
            return await _upload_form(context)
        case ("GET", [sys_id]):
            return JSONResponse({"result": _shaped(context, _one(context, sys_id))})
        case ("GET", [sys_id, "file"]):
            return _download(context, _one(context, sys_id))
        case ("DELETE", [sys_id]):
            return _delete(context, _one(context, sys_id))
        case (_, [] | ["file" | "upload"] | [_] | [_, "file"]):
            raise ApiError(405, "Method not supported")
        case _:
            raise ApiError(400, "Requested URI does not represent any resource")


def _list(context: RequestContext) -> Response:
    limit, offset = number_option(context, "sysparm_limit", 1000), number_option(context, "sysparm_offset", 0)
    matching = matching_rows(context, TABLE)
    visible = [row for row in matching[offset : offset + limit] if _record_of(context, row) is not None]
    headers = paging_headers(context, len(matching), len(visible), limit, offset)
    return JSONResponse({"result": [_shaped(context, row) for row in visible]}, headers=headers)


def _one(context: RequestContext, sys_id: str) -> Record:
    found = context.instance.store.get(TABLE, sys_id)
    if found is None or _record_of(context, found) is None:
        raise ApiError(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
    return found


def _record_of(context: RequestContext, attachment: Record) -> Record | None:
    """Return the record an attachment belongs to, or None where there is none or the caller may not read it."""
    record = context.instance.store.get(attachment["table_name"], attachment["table_sys_id"])
    reader = RowAcl(context.instance, context.user, attachment["table_name"])
    return record if record is not None and reader.may_read(record) else None


def _download(context: RequestContext, attachment: Record) -> Response:
    content = context.instance.store.get(CONTENTS, attachment["sys_id"]) or {"body": ""}
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(attachment['file_name'])}",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(b64decode(content["body"]), headers=headers, media_type=attachment["content_type"])


def _delete(context: RequestContext, attachment: Record) -> Response:
    if not may_write(context.instance, context.user, attachment["table_name"], "write"):
        raise ApiError(403, "Operation Failed", "ACL Exception Delete Failed due to security constraints")
    context.instance.store.remove(TABLE, attachment["sys_id"])
    context.instance.store.remove(CONTENTS, attachment["sys_id"])
    return Response(status_code=204)


async def _upload_raw(context: RequestContext) -> Response:
    kind = context.request.headers.get("content-type", "")
    if not kind:
        raise ApiError(400, "Missing header", "Content-Type must be that of the file")
    given = {name: context.option(name) for name in ("table_name", "table_sys_id", "file_name")}
    return _keep(context, given, kind, await context.request.body())


async def _upload_form(context: RequestContext) -> Response:
    if "multipart/form-data" not in context.request.headers.get("content-type", ""):
        raise ApiError(415, "Unsupported Media Type", "Content-Type must be multipart/form-data")
    async with context.request.form() as form:
        file = form.get("uploadFile") or next((part for part in form.values() if isinstance(part, UploadFile)), None)
        if not isinstance(file, UploadFile):
            raise ApiError(400, "Exception while reading request", "Missing file part uploadFile")
        given = {name: str(form.get(name, "")) for name in ("table_name", "table_sys_id")}
        kind = file.content_type or "application/octet-stream"
        return _keep(context, given | {"file_name": file.filename or ""}, kind, await file.read())


def _keep(context: RequestContext, given: Record, kind: str, body: bytes) -> Response:
    """Store an attachment of a record that the caller may write."""
    missing = [name for name, value in given.items() if not value]
    if missing:
        raise ApiError(400, "Missing parameters", f"Required parameters: {', '.join(missing)}")
    if len(body) > LARGEST_BODY:
        raise ApiError(413, "File size exceeds maximum", f"Max allowed: {LARGEST_BODY} bytes.")
    check_table(context, given["table_name"])
    if _record_of(context, given) is None:
        raise ApiError(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
    if not may_write(context.instance, context.user, given["table_name"], "write"):
        raise ApiError(403, "Operation Failed", "ACL Exception Insert Failed due to security constraints")
    store = context.instance.store
    row = given | {
        "content_type": kind.partition(";")[0].strip(), "size_bytes": str(len(body)), "size_compressed": str(len(body)),
        "compressed": "true", "chunk_size_bytes": "700000", "state": "available",
        "hash": hashlib.sha256(body).hexdigest(),
    }  # fmt: skip
    stored = stamp(store, TABLE, row, by=context.user["user_name"])
    store.put(CONTENTS, {"sys_id": stored["sys_id"], "body": b64encode(body).decode()})
    location = f"{context.origin}/api/now/attachment/{stored['sys_id']}"
    return JSONResponse({"result": _shaped(context, stored)}, 201, {"Location": location})


def _shaped(context: RequestContext, row: Record) -> dict[str, Any]:
    values = {name: row.get(name, "") for name in fields_of(context.instance.store, TABLE)}
    return values | {"download_link": f"{context.origin}/api/now/attachment/{row['sys_id']}/file"}
