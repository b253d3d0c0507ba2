"""Where the traces of calls go, and what tells an HTTP endpoint which trace its request belongs to."""

from collections.abc import Callable
from typing import Protocol

from app.journal.spans import CallTrace
from app.observability.trace_ids import traceparent

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


def trace_headers(exporter: TraceExporter) -> TraceHeaders:
    """The headers where traces go to that exporter, as https://www.w3.org/TR/trace-context/ says."""

    def headers(call_id: str, key: str) -> dict[str, str]:
        return {"traceparent": traceparent(call_id, key, is_sampled=exporter.is_sampled(call_id))}

    return headers
