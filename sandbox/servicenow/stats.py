"""The aggregate API (facts 3.2): counts of records, grouped or not, as strings."""

from __future__ import annotations

from collections import Counter

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.servicenow.access import READERS, Reader, roles_of
from sandbox.servicenow.call import Call, Problem, answered
from sandbox.servicenow.shapes import is_known, labels_of
from sandbox.servicenow.tables import check_table, matching_rows


async def handle(request: Request) -> Response:
    """GET /api/now/[v1|v2/]stats/{table}"""
    return await answered(request, "Aggregate API", _count)


async def _count(call: Call) -> Response:
    table = call.request.path_params["table"]
    if call.method not in ("GET", "HEAD"):
        raise Problem(405, "Method not supported")
    check_table(call, table)
    if table in READERS and READERS[table] not in roles_of(call.instance, call.user):
        raise Problem(403, "User Not Authorized", "ACL restricts the record retrieval")
    reader = Reader(call.instance, call.user, table)
    rows = [row for row in matching_rows(call, table) if reader.may_read(row)]
    names = [name for name in call.option("sysparm_group_by").split(",") if is_known(call.instance, table, name)]
    if not names:
        return JSONResponse({"result": {"stats": _stats(call, len(rows))}})
    groups = Counter(tuple(row.get(name, "") for name in names) for row in rows)
    labels = {name: labels_of(call.instance, table, name) for name in names}
    shows_labels = call.option("sysparm_display_value") == "true"
    return JSONResponse(
        {
            "result": [
                {
                    "stats": _stats(call, count),
                    "groupby_fields": [
                        {"field": name, "value": labels[name].get(value, value) if shows_labels else value}
                        for name, value in zip(names, values, strict=True)
                    ],
                }
                for values, count in sorted(groups.items())
            ]
        }
    )


def _stats(call: Call, count: int) -> dict[str, str]:
    """40: a count is a string, and only there when it was asked for."""
    return {"count": str(count)} if call.option("sysparm_count") == "true" else {}
