"""Aggregate API: record counts, optionally grouped, as strings. Offers no sum, minimum or average."""
# See docs/facts/servicenow.md#3-2-aggregate

from __future__ import annotations

from collections import Counter

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.servicenow.record_acl import READ_ROLES, RowAcl, roles_of
from sandbox.servicenow.record_shapes import is_known, labels_of
from sandbox.servicenow.request_context import ApiError, RequestContext, respond
from sandbox.servicenow.table_api import check_table, matching_rows


async def handle(request: Request) -> Response:
    """Handle `GET /api/now/[v1|v2/]stats/{table}`."""
    return await respond(request, "Aggregate API", _count)


async def _count(context: RequestContext) -> Response:
    table = context.request.path_params["table"]
    if context.method not in ("GET", "HEAD"):
        raise ApiError(405, "Method not supported")
    check_table(context, table)
    if table in READ_ROLES and READ_ROLES[table] not in roles_of(context.instance, context.user):
        raise ApiError(403, "User Not Authorized", "ACL restricts the record retrieval")
    reader = RowAcl(context.instance, context.user, table)
    rows = [row for row in matching_rows(context, table) if reader.may_read(row)]
    names = [name for name in context.option("sysparm_group_by").split(",") if is_known(context.instance, table, name)]
    if not names:
        return JSONResponse({"result": {"stats": _stats(context, len(rows))}})
    groups = Counter(tuple(row.get(name, "") for name in names) for row in rows)
    labels = {name: labels_of(context.instance, table, name) for name in names}
    shows_labels = context.option("sysparm_display_value") == "true"
    return JSONResponse(
        {
            "result": [
                {
                    "stats": _stats(context, count),
                    "groupby_fields": [
                        {"field": name, "value": labels[name].get(value, value) if shows_labels else value}
                        for name, value in zip(names, values, strict=True)
                    ],
                }
                for values, count in sorted(groups.items())
            ]
        }
    )


def _stats(context: RequestContext, count: int) -> dict[str, str]:
    # See docs/facts/servicenow.md#sandbox-40: a count is a string, present only when asked for.
    return {"count": str(count)} if context.option("sysparm_count") == "true" else {}
