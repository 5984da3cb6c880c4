"""Answer in XML to a caller that accepts nothing else. Reads no XML."""
# See docs/facts/servicenow.md#2-1-url-and-methods

from __future__ import annotations

import json
import re
from typing import Any
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response

XML = "application/xml;charset=UTF-8"


def as_accepted(request: Request, response: Response) -> Response:
    """Return the answer in XML where the `Accept` header names XML and no JSON."""
    accept = request.headers.get("accept", "")
    if (
        "xml" not in accept
        or "json" in accept
        or "*/*" in accept
        or "json" not in response.headers.get("content-type", "")
    ):
        return response
    body = f'<?xml version="1.0" encoding="UTF-8"?>{_element("response", json.loads(bytes(response.body)))}'
    kept = {k: v for k, v in response.headers.items() if k not in ("content-type", "content-length")}
    return Response(body, response.status_code, kept, media_type=XML)


def _element(name: str, value: Any) -> str:  # noqa: ANN401 - whatever JSON holds.
    # A list repeats its element, as the result of a list query does.
    if isinstance(value, list):
        return "".join(_element(name, one) for one in value)
    # A dot-walked name is a legal element name; anything else that XML forbids is not.
    tag = re.sub(r"[^\w.-]", "_", name)
    if isinstance(value, dict):
        return f"<{tag}>{''.join(_element(key, one) for key, one in value.items())}</{tag}>"
    text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
    return f"<{tag}>{escape(text)}</{tag}>" if text else f"<{tag}/>"
