"""A collector of traces: an OTLP/HTTP receiver on a free port of this machine, which reads protobuf."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.running import serving


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as it arrived; ids are hexadecimal, times are in nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    began: int
    ended: int
    attributes: dict[str, Any]
    is_error: bool


@dataclass
class TraceCollector:
    """What was received; ``status`` is what it answers."""

    url: str = ""
    status: int = 200
    requests: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    spans: list[ReceivedSpan] = field(default_factory=list)
    raw: bytes = b""

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        self.requests += 1
        self.headers = headers
        if self.status == 200:
            assert path == "/v1/traces"
            body = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
            self.raw += body
            self._read(ExportTraceServiceRequest.FromString(body))
        return self.status

    def _read(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            self.resource = _values(resource.resource.attributes)
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                self.spans.append(
                    ReceivedSpan(
                        span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), span.name, span.kind,
                        span.start_time_unix_nano, span.end_time_unix_nano, _values(span.attributes),
                        span.status.code == span.status.STATUS_CODE_ERROR,
                    )
                )  # fmt: skip


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each) for each in attributes}


def _value(pair: KeyValue) -> Any:
    return _plain(pair.value)


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(each) for each in value.array_value.values]
    return getattr(value, kind or "string_value")


@asynccontextmanager
async def trace_collector(status: int = 200) -> AsyncIterator[TraceCollector]:
    """Collect until the context is left."""
    collector = TraceCollector(status=status)

    async def answer(request: Request) -> Response:
        answered = collector.take(request.url.path, dict(request.headers), await request.body())
        body = ExportTraceServiceResponse().SerializeToString()
        return Response(body, answered, media_type="application/x-protobuf")

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
    async with serving(app) as collector.url:
        yield collector
