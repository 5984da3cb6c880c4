"""Requests as an attacker writes them, byte by byte: odd addresses, headers and forms, sent past every client's manners."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_from_bytes, unquote, urlencode

from fastapi import FastAPI
from fastapi.routing import APIRoute
from hypothesis import strategies as st

from app.features.secure_score.actions.action_list import FACET_NAMES
from app.main import PAGES
from tests.conventions.files import ROOT

LARGEST_ANSWER = 1024 * 1024
# CPU time of the event loop's thread for one request. The largest honest page takes a tenth of it on a slow machine.
MOST_CPU_SECONDS = 2.0

ODD_BYTES = (
    b"", b"0", b"-1", b"1", b"10" * 16, b"9" * 5000, b"\xed\xa0\x80", b"\x00", b"a\x00b", b"\xff\xfe", b"\xc2\xb2",
    b"\xd9\xa3", b"NaN", b"1e999", b"<script>alert(1)</script>", b"'\"><img>", b"../../etc/passwd", b"%00", b"%", b"%zz",
    b"\r\nX: y", b"x" * 3000, b"\"" * 3000, "\u202e\ufeff".encode(), "😀".encode() * 300, b"//evil.example", b"/\\evil",
    b"http://[", b"yes", b"all", b"one", b"incident", b"change", b"save", b"2026-12-31", b"99999-01-01", b"0000-00-00",
    b"0b7c1c8e-0000-4a6e-9c3e-5d1f0a00ffff", b"AdminMFAV2", b"{{7*7}}", b"${x}", b"[]", b"null",
)  # fmt: skip
ODD_CHARSETS = (
    "utf-8",
    "undefined",
    "idna",
    "punycode",
    "unicode_escape",
    "utf-7",
    "utf-16",
    "zlib",
    "no-such",
    "latin-1",
)
# Headers that a page's work may depend on, and those by which a request is turned away before a page is reached.
HEADERS = (
    "referer", "hx-request", "hx-current-url", "cookie", "accept-language", "x-forwarded-for", "x-forwarded-proto",
    "if-none-match", "authorization", "range", "expect", "user-agent", "if-modified-since", "x-http-method-override",
)  # fmt: skip
GATES = (
    "host", "origin", "sec-fetch-site", "x-forwarded-host", "forwarded", "accept", "content-length", "transfer-encoding",
)  # fmt: skip
ODD_HEADERS = (
    b"", b"http://[", b"http://security-center.test/tickets", b"https://[::1", b"http://\xff", b"x" * 5000, b"\xb2", b"9" * 5000,
    b"Bearer scs1.a.b", b"Bearer \xff", b"bearer", b"session=\xff; session=a", b"session=" + b"a" * 3000, b"a;" * 900,
    b"true", b"same-origin", b"cross-site", b"none", b"null", b"de-DE,de;q=0.9,*;q=zzz", b"q=" * 900, b"text/html",
    b"security-center.test", b"evil.example", "bücher.example".encode(), b"host=" * 900, b"127.0.0.1, ::1", b'"' * 99,
    b"bytes=0-,-1", b"100-continue", "é".encode() * 100 + b".example", b"[::1]:99999",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One request; `role` is None for a visitor. `path` and `query` are as they travel."""

    method: str
    path: bytes
    query: bytes
    role: str | None
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""


@dataclass
class Got:
    """The answer, and the CPU seconds of the thread that gave it."""

    status: int = 0
    size: int = 0
    seconds: float = 0.0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""


def routes() -> list[tuple[str, APIRoute]]:
    """Every method of every route of the pages."""
    found = []
    for page in PAGES:
        for route in page.router.routes:
            assert isinstance(route, APIRoute)
            found += [(method, route) for method in sorted((route.methods or set()) - {"HEAD"})]
    return found


def _names() -> list[str]:
    """Names of fields and parameters: those of all templates and routes, and some that nothing has."""
    found = {
        *FACET_NAMES,
        "sort",
        "dir",
        "col",
        "group",
        "include",
        "days",
        "since",
        "until",
        "shown",
        "action",
        "nothing",
    }
    for file in (ROOT / "templates").rglob("*.html"):
        found.update(re.findall(r"\bname=\"([\w:-]+)\"", file.read_text(encoding="utf-8")))
    for _, route in routes():
        found.update(param.alias for param in route.dependant.query_params)
    return sorted(found | {"line:impact", "value:impact", "search:impact", "add", "do"})


NAMES = _names()
odd_bytes = st.one_of(st.sampled_from(ODD_BYTES), st.binary(max_size=30), st.text(max_size=20).map(str.encode))
pairs = st.lists(st.tuples(st.sampled_from(NAMES).map(str.encode), odd_bytes), max_size=6)


@st.composite
def queries(draw: st.DrawFn) -> bytes:
    """A query string: a few odd values, one name with very many, or bytes without any form."""
    kind = draw(st.sampled_from(("few", "few", "many", "raw")))
    if kind == "raw":
        return bytes(byte for byte in draw(st.binary(max_size=200)) if byte > 32 and byte not in b"#\x7f")
    if kind == "few":
        return urlencode(draw(pairs)).encode()
    name, count = draw(st.sampled_from(NAMES)), draw(st.sampled_from((60, 900, 3000)))
    return "&".join(f"{name}=x{number}" for number in range(count)).encode()


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """(content type, body) of a form, or of something that says it is one."""
    fields = draw(pairs)
    kind = draw(st.sampled_from(("form", "form", "form", "many", "large", "multipart", "multipart", "other")))
    if kind == "form":
        return b"application/x-www-form-urlencoded", urlencode(fields).encode()
    if kind == "many":
        name = draw(st.sampled_from(NAMES))
        return b"application/x-www-form-urlencoded", "&".join(f"{name}=x{number}" for number in range(2500)).encode()
    if kind == "large":
        # A quotation mark takes one byte here and five in a page.
        names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=20, unique=True))
        return b"application/x-www-form-urlencoded", "&".join(f"{name}=" + '"' * 19_000 for name in names).encode()
    if kind == "multipart":
        charset = draw(st.sampled_from(ODD_CHARSETS)).encode()
        parts = b"".join(
            b'--b\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + value + b"\r\n"
            for name, value in fields
        )
        return b"multipart/form-data; boundary=b; charset=" + charset, parts + draw(
            st.sampled_from((b"--b--\r\n", b"", b"--"))
        )
    types = (
        b"application/json",
        b"text/plain",
        b"multipart/form-data",
        b"",
        b"\xff",
        b"application/x-www-form-urlencoded; charset=undefined",
    )
    return draw(st.sampled_from(types)), draw(odd_bytes)


@st.composite
def requests(draw: st.DrawFn, roles: Sequence[str | None], ids: Sequence[str]) -> Asked:
    """A request to any route. `ids` are values that parts of paths may really have."""
    method, route = draw(st.sampled_from(routes()))
    real = st.sampled_from([one.encode() for one in ids])

    def part(_: re.Match[str]) -> str:
        return quote_from_bytes(draw(st.one_of(real, real, odd_bytes))[:1000], safe="")

    path = re.sub(r"\{\w+(:\w+)?\}", part, route.path).encode()
    odd = st.sampled_from(ODD_HEADERS)
    names = [*draw(st.sets(st.sampled_from(HEADERS), max_size=6))]
    if draw(st.integers(0, 4)) == 0:
        names += draw(st.sets(st.sampled_from(GATES), min_size=1, max_size=3))
    headers = [(name.encode(), draw(odd)) for name in sorted(names)]
    body = b""
    if method != "GET":
        content_type, body = draw(bodies())
        headers.append((b"content-type", content_type))
    asked_of = draw(st.sampled_from(("its own", "its own", "its own", "another")))
    if asked_of == "another":
        method = draw(st.sampled_from(("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE")))
    return Asked(method, path, draw(queries()), draw(st.sampled_from(roles)), headers, body)


async def send_raw(app: FastAPI, asked: Asked, cookie: str = "") -> Got:
    """Give the request to the application as a server would. What escapes from it is raised."""
    got, waiting = Got(), [{"type": "http.request", "body": asked.body, "more_body": False}]
    names = {name for name, _ in asked.headers}
    headers = [*asked.headers, *([(b"host", b"security-center.test")] if b"host" not in names else [])]
    headers += [(b"cookie", cookie.encode())] if cookie else []
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": asked.method,
        "scheme": "http", "path": unquote(asked.path.decode("ascii")), "raw_path": asked.path, "query_string": asked.query,
        "root_path": "", "headers": headers, "client": ("192.0.2.7", 50000), "server": ("security-center.test", 80), "state": {},
    }  # fmt: skip

    async def receive() -> Any:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            got.status, got.headers = message["status"], list(message["headers"])
        got.size += len(message.get("body", b""))
        got.body += message.get("body", b"")

    began = time.thread_time()
    await app(scope, receive, send)
    got.seconds = time.thread_time() - began
    return got
