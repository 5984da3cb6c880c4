"""The bare minimum that pages are compared with: one FastAPI route, one trivial Jinja template, one uvicorn process.

`/bare?bytes=N` answers with a page of about N bytes. Served as the product serves: uvloop, the same protocol class, no
access log. No session, no database, no middleware.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Query
from fastapi.responses import HTMLResponse
from jinja2 import Environment

from app.web.slow_clients import ImpatientProtocol

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{{ title }}</title></head>
<body><h1>{{ title }}</h1>
<ul>{% for word in words %}<li>{{ word }}</li>{% endfor %}</ul>
<p>{{ text }}</p></body>
</html>
"""
page = Environment(autoescape=True).from_string(TEMPLATE)
TEXTS: dict[int, str] = {}
application = FastAPI(title="Bare", openapi_url=None, docs_url=None, redoc_url=None)


@application.get("/bare")
async def bare(size: Annotated[int, Query(alias="bytes", ge=0, le=1_000_000)] = 1_000) -> HTMLResponse:
    text = TEXTS.setdefault(size, "a word " * (size // 7))
    return HTMLResponse(page.render(title="Bare", words=("one", "two", "three"), text=text))


def main() -> None:
    """Serve on the port that the command line names until a signal."""
    from uvloop import new_event_loop  # noqa: PLC0415 - not there on Windows.

    config = uvicorn.Config(
        application, host="127.0.0.1", port=int(sys.argv[1]), log_config=None, access_log=False, server_header=False,
        http=ImpatientProtocol, ws="none", proxy_headers=False, lifespan="off",
    )  # fmt: skip
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
