"""Sends traces to a collector over OTLP/HTTP, with OpenTelemetry's SDK, in a thread of its own.

The environment's own names for the SDK hold where the settings say nothing: OTEL_TRACES_SAMPLER,
OTEL_RESOURCE_ATTRIBUTES, OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_CERTIFICATE and the others.
Importing this file takes the package ``opentelemetry-sdk`` and its exporter, which are an extra.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.re import parse_env_headers

from app.clients.traces import CallSpans, NotExported
from app.journal.spans import Span
from app.observability.trace_ids import span_id, trace_id

_AT_ONCE = 512
"""Spans in a request, so that a long call is no huge one."""
_TRACES_PATH = "/v1/traces"
_KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEX = 16


class OtlpTraces:
    """Exports the traces of calls, one after another."""

    def __init__(self, endpoint: str, headers: str | None, *, service_name: str, version: str) -> None:
        """``endpoint`` is the collector's address without a path for traces; ``headers`` is ``name=value,...``."""
        # It logs each attempt, at length; whoever exports logs each outage once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        named = Resource.create({SERVICE_VERSION: version, SERVICE_NAME: service_name})
        provider = TracerProvider(resource=named, shutdown_on_exit=False)
        self._sampler = provider.sampler
        self._resource = provider.resource
        self._scope = InstrumentationScope("voice-agent", version)
        self._exporter = OTLPSpanExporter(
            endpoint=endpoint + _TRACES_PATH,
            headers=None if headers is None else parse_env_headers(headers, liberal=True),
        )
        self._thread = ThreadPoolExecutor(1, "traces")

    def is_sampled(self, call_id: str) -> bool:
        """Whether the trace of this call is sent, by OTEL_TRACES_SAMPLER; by default each is."""
        wanted = self._sampler.should_sample(None, int(trace_id(call_id), _HEX), "call")
        return wanted.decision is Decision.RECORD_AND_SAMPLE

    async def export(self, call_id: str, spans: CallSpans) -> int:
        """Make the spans and send them; returns their number. Raises NotExported.

        The exporter tries again for OTEL_EXPORTER_OTLP_TIMEOUT seconds, 10 if that is not set.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._export, call_id, spans)

    def close(self) -> None:
        """End what is being sent, as soon as its attempt ends."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the package has no types here
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _export(self, call_id: str, spans: CallSpans) -> int:
        trace = spans()
        if trace is None:
            return 0
        made = [self._span(call_id, trace.began_at, span) for span in trace.spans]
        for first in range(0, len(made), _AT_ONCE):
            if self._exporter.export(made[first : first + _AT_ONCE]) is not SpanExportResult.SUCCESS:
                raise NotExported(len(made) - first)
        return len(made)

    def _span(self, call_id: str, began_at: datetime, span: Span) -> ReadableSpan:
        error = {} if span.error is None else {"error.type": span.error}
        return ReadableSpan(
            span.name,
            context=_context(call_id, span.key),
            parent=None if span.parent is None else _context(call_id, span.parent),
            resource=self._resource,
            attributes={**span.attributes, **error},
            kind=_KINDS[span.kind],
            status=Status(StatusCode.UNSET if span.error is None else StatusCode.ERROR),
            start_time=_nanoseconds(began_at, span.began),
            end_time=_nanoseconds(began_at, span.ended),
            instrumentation_scope=self._scope,
        )


def _context(call_id: str, key: str) -> SpanContext:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(
        int(trace_id(call_id), _HEX), int(span_id(call_id, key), _HEX), is_remote=False, trace_flags=sampled
    )


def _nanoseconds(began_at: datetime, seconds: float) -> int:
    """Since 1970, in whole microseconds: a double has no more for a time of day."""
    return (began_at + timedelta(seconds=seconds) - _EPOCH) // timedelta(microseconds=1) * 1000
