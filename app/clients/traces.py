"""Where the traces of calls go, and what tells an HTTP endpoint which trace its request belongs to."""

from collections.abc import Callable
from typing import Protocol

import structlog

from app.journal.spans import CallTrace
from app.observability.trace_ids import traceparent
from app.settings import Settings

log = structlog.get_logger(__name__)

CallSpans = Callable[[], CallTrace | None]
"""Works the spans of a call out; it runs in a thread."""
TraceHeaders = Callable[[str, str], dict[str, str]]
"""Headers of a request, from the id of its call and the key of its span."""


class NotExported(Exception):
    """The collector has not taken the spans."""

    def __init__(self, dropped: int) -> None:
        """``dropped`` is the number of spans that are lost."""
        self.dropped = dropped
        super().__init__(f"{dropped} spans were not taken")


class TraceExporter(Protocol):
    """Sends traces to a collector."""

    def is_sampled(self, call_id: str) -> bool:
        """Whether the trace of this call is sent."""

    async def export(self, call_id: str, spans: CallSpans) -> int:
        """Send the spans of a call; returns their number. Raises NotExported."""

    def close(self) -> None:
        """Stop sending."""


def no_trace(_call_id: str, _key: str) -> dict[str, str]:
    """The headers where no traces are sent."""
    return {}


def trace_exporter(settings: Settings, version: str) -> TraceExporter | None:
    """The exporter of the settings; None without an endpoint, and, with a warning, without OpenTelemetry's packages."""
    if settings.otel_exporter_otlp_endpoint is None:
        return None
    try:
        from app.clients.otlp import OtlpTraces  # who sends no traces need neither have nor load it
    except ImportError as error:
        log.warning("traces.not_installed", advice="pip install .[otel]", missing=error.name)
        return None
    headers = settings.otel_exporter_otlp_headers
    return OtlpTraces(
        settings.otel_exporter_otlp_endpoint,
        None if headers is None else headers.get_secret_value(),
        service_name=settings.otel_service_name,
        version=version,
    )


def trace_headers(exporter: TraceExporter | None) -> TraceHeaders:
    """The headers where traces go to that exporter, as https://www.w3.org/TR/trace-context/ says; none without one."""
    if exporter is None:
        return no_trace

    def headers(call_id: str, key: str) -> dict[str, str]:
        return {"traceparent": traceparent(call_id, key, is_sampled=exporter.is_sampled(call_id))}

    return headers
