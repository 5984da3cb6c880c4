"""Spans reach a collector when an endpoint is set, hold no secret, and are nothing at all without one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.core.logging import bind_correlation_id
from app.core.tracing import UNRECORDED, configure_tracing, span, stop_tracing


@contextmanager
def collector() -> Iterator[tuple[str, list[Any]]]:
    """A collector's address, and the spans that it received."""
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = ExportTraceServiceRequest.FromString(body)
            assert self.path == "/v1/traces"
            received.extend(
                one for resource in request.resource_spans for scope in resource.scope_spans for one in scope.spans
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def attributes(one: Any) -> dict[str, str]:
    return {item.key: item.value.string_value for item in one.attributes}


def test_without_an_endpoint_nothing_is_recorded() -> None:
    with span("anything", ticket="1") as recorded:
        assert recorded is UNRECORDED


def test_spans_reach_the_collector_with_the_correlation_id_and_their_parent() -> None:
    with collector() as (endpoint, received):
        configure_tracing(endpoint, process="web")
        try:
            bind_correlation_id("abc123")
            with span("outer"), span("inner", http_method="GET"):
                pass
        finally:
            stop_tracing()
    inner, outer = received
    assert (inner.name, outer.name) == ("inner", "outer")
    assert inner.parent_span_id == outer.span_id
    assert attributes(inner) == {"correlation_id": "abc123", "http.method": "GET"}


def test_an_error_is_recorded_without_its_text() -> None:
    with collector() as (endpoint, received):
        configure_tracing(endpoint, process="worker")
        try:
            with pytest.raises(ValueError, match="s3cret"), span("fails"):
                raise ValueError("the s3cret word")
        finally:
            stop_tracing()
    (failed,) = received
    assert failed.status.code == failed.status.STATUS_CODE_ERROR
    assert "s3cret" not in str(failed)


def test_a_collector_that_is_away_delays_nothing_and_raises_nothing() -> None:
    configure_tracing("http://127.0.0.1:9", process="web")
    with span("unsent"):
        pass
    stop_tracing()
    with span("after") as recorded:
        assert recorded is UNRECORDED
