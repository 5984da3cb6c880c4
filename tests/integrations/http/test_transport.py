"""Bugs 75 to 77 of other connectors: tokens that follow links, unchecked certificates, forgotten proxies; endless answers."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.core import clock
from app.integrations.http import transport as transport_module
from app.integrations.http.errors import Ambiguous, Unreachable
from app.integrations.http.http_types import Request
from app.integrations.http.transport import Transport
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.oauth import ServiceNowOAuth
from app.integrations.servicenow.protocol import ByIds
from tests.factories.servers import serve
from tests.factories.servicenow import running_servicenow

TOKENS = b'{"access_token":"a","refresh_token":"r","scope":"","token_type":"Bearer","expires_in":1799}'


@contextmanager
def listening(context: ssl.SSLContext | None = None, *, leads_to: int = 0) -> Iterator[tuple[int, list[str]]]:
    """A server that gives every request the same tokens, with its port and the addresses it was asked for.

    Or one that sends everybody to another port of this machine.
    """
    asked: list[str] = []

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            asked.append(self.path)
            self.send_response(302 if leads_to else 200)
            if leads_to:
                self.send_header("Location", f"http://127.0.0.1:{leads_to}{self.path}")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(TOKENS)))
            self.end_headers()
            self.wfile.write(TOKENS)

        do_POST = do_GET  # noqa: N815 - the base's name.

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up in the handshake is what some of these tests are about."""

    with Quiet(("127.0.0.1", 0), Answering) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join(5)


def self_signed(folder: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 that no authority has signed, made for this test."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "server.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.mark.fact("other-connectors bug-75")
async def test_the_token_goes_to_the_instance_and_nowhere_an_answer_points_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running_servicenow() as servicenow, listening() as (port, asked), listening(leads_to=port) as (door, knocks):
        elsewhere = f"http://127.0.0.1:{port}"
        monkeypatch.setattr("sandbox.servicenow.table_api.FOREIGN_ORIGIN", elsewhere)
        servicenow.instance.switches.foreign_links = True
        token = servicenow.tokens()["access_token"]
        transport = Transport("servicenow")
        try:
            client = ServiceNowClient(transport, servicenow.url, token)
            assert (
                await client.fetch_page("incident", ByIds([row["sys_id"] for row in servicenow.records("incident")]))
            ).rows
            page = Request("GET", f"{servicenow.url}/api/now/table/incident", query={"sysparm_limit": "1"})
            assert f"<{elsewhere}/" in (await client.answer(page)).header("link")
            # A redirect is an answer too, and is not followed.
            with pytest.raises(Exception, match="web page"):
                await ServiceNowClient(transport, f"http://127.0.0.1:{door}", token).whoami()
            assert len(knocks) == 1
            assert asked == []
            await transport.send(Request("GET", elsewhere))
            assert len(asked) == 1, "the listener hears whoever comes"
        finally:
            await transport.close()


async def test_an_answer_that_trickles_ends_and_may_have_been_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then keeps the library's own time-outs from ever striking."""
    monkeypatch.setattr(transport_module, "SPARE_SECONDS", 0.3)

    async def trickle(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        with contextlib.suppress(OSError):
            for _ in range(40):
                await send({"type": "http.response.body", "body": b" ", "more_body": True})
                await asyncio.sleep(0.1)
            await send({"type": "http.response.body", "body": b'{"result":[]}'})

    with serve(trickle) as url:
        transport = Transport("servicenow", answer_seconds=0.7, max_connections=1)
        started = time.monotonic()
        try:
            with pytest.raises(Ambiguous):
                await transport.send(Request("POST", url))
            assert time.monotonic() - started > 0.9
            # Its place in the pool is free again, and the time in the queue does not count as time of a call.
            endings = await asyncio.gather(
                *(transport.send(Request("GET", url)) for _ in range(2)), return_exceptions=True
            )
            assert {type(ending) for ending in endings} <= {Ambiguous, Unreachable}
        finally:
            await transport.close()


async def test_a_request_that_waited_too_long_does_not_leave() -> None:
    """As in a process that was frozen between noting a create and sending it, while others took the ticket over."""
    transport = Transport("servicenow")
    with listening() as (port, asked):
        late = Request("POST", f"http://127.0.0.1:{port}", body={}, leave_by=clock.seconds_awake_and_asleep() - 1)
        try:
            with pytest.raises(Unreachable, match="waited too long") as caught:
                await transport.send(late)
            assert not caught.value.is_instance_wide
            assert asked == []
            await transport.send(replace(late, leave_by=clock.seconds_awake_and_asleep() + 60))
            assert len(asked) == 1
        finally:
            await transport.close()


async def test_a_request_whose_body_would_be_late_may_have_arrived_and_has_done_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[bytes] = []

    async def record(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            done.append(message.get("body", b""))
            if not message.get("more_body"):
                await send({"type": "http.response.start", "status": 201, "headers": []})
                await send({"type": "http.response.body", "body": b"{}"})
                return

    times = iter([0.0, 100.0])
    monkeypatch.setattr(clock, "seconds_awake_and_asleep", lambda: next(times))
    transport = Transport("servicenow")
    with serve(record) as url:
        try:
            with pytest.raises(Ambiguous):
                await transport.send(Request("POST", url, body={"short_description": "x"}, leave_by=50.0))
        finally:
            await transport.close()
    assert b"".join(done) == b""


@pytest.mark.fact("other-connectors bug-76")
async def test_a_certificate_that_no_authority_signed_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    transport = Transport("servicenow")
    with listening(self_signed(tmp_path)) as (port, asked):
        try:
            with pytest.raises(Unreachable, match="TLS"):
                await transport.send(Request("GET", f"https://127.0.0.1:{port}/api/now/v2/table/incident"))
        finally:
            await transport.close()
    assert asked == []


@pytest.mark.fact("other-connectors bug-77")
async def test_calls_and_token_requests_go_through_the_proxy_unless_excepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with listening() as (proxy, through), listening() as (own, direct):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        transport = Transport("servicenow")
        instance = "http://contoso.example"
        try:
            oauth = ServiceNowOAuth(transport, instance, client_id="c", client_secret="s", redirect_uri="http://x/cb")
            for _ in range(2):  # Before and after a renewal alike.
                await transport.send(Request("GET", f"{instance}/api/now/v2/table/incident"))
                assert (await oauth.refresh("r")).access_token == "a"
            await transport.send(Request("GET", f"http://127.0.0.1:{own}/health"))
        finally:
            await transport.close()
    assert through == [f"{instance}/api/now/v2/table/incident", f"{instance}/oauth_token.do"] * 2
    assert direct == ["/health"]
