"""OpenTelemetry traces of requests, jobs and calls, when an endpoint is set; nothing at all when none is.

Spans carry the correlation id of the log lines, so that a trace and its lines find each other. No address with a query,
no form, no header and no text of a ticket becomes an attribute.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from app.core.logging import current_correlation_id

Attribute = str | int | float | bool


class Recorded(Protocol):
    """The part of a span that callers use."""

    def set_attribute(self, key: str, value: Attribute) -> None: ...


class _Unrecorded:
    def set_attribute(self, key: str, value: Attribute) -> None:
        """Drop it: no endpoint is set."""


UNRECORDED = _Unrecorded()
_state: dict[str, object] = {}


def configure_tracing(endpoint: str, *, process: str) -> None:
    """Send spans to this OTLP endpoint over HTTP, in batches from a thread; `process` is web or worker.

    The library is loaded only here: without an endpoint it costs neither memory nor time.
    https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    described = Resource.create({"service.name": f"security-center-{process}"})
    provider = TracerProvider(resource=described)
    # The endpoint is the collector's base address, as OTEL_EXPORTER_OTLP_ENDPOINT means it everywhere.
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _state["provider"] = provider
    _state["tracer"] = provider.get_tracer("security-center")


def stop_tracing() -> None:
    """Send what has not left yet, for a few seconds at most, and record nothing more."""
    provider = _state.pop("provider", None)
    _state.pop("tracer", None)
    if provider is not None:
        provider.shutdown()  # type: ignore[attr-defined]


@contextmanager
def span(name: str, **attributes: Attribute) -> Iterator[Recorded]:
    """A span around the block, a child of the one around it; an exception that leaves the block is recorded by its class."""
    tracer = _state.get("tracer")
    if tracer is None:
        yield UNRECORDED
        return
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - loaded by configure_tracing.

    # The library would store the text of an exception, which may hold what a person typed.
    options = {"record_exception": False, "set_status_on_exception": False}
    with tracer.start_as_current_span(name, **options) as recorded:  # type: ignore[attr-defined]
        recorded.set_attribute("correlation_id", current_correlation_id())
        for key, value in attributes.items():
            recorded.set_attribute(key.replace("_", ".", 1), value)
        try:
            yield recorded
        except BaseException as error:
            recorded.set_status(StatusCode.ERROR, type(error).__name__)
            raise
