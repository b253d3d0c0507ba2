"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from http import HTTPStatus

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.models import JournalRow
from routers.problems import problem

_TRY_AGAIN_SECONDS = 5

STREAM_BEGINNING = "retry: 2000\n\n"
"""A client that loses the stream reconnects after two seconds. By then a dead worker has been replaced."""
HEARTBEAT = ": nothing new\n\n"
EVENT_STREAMS_MAX = 200
"""Streams open at once in one process. Each costs memory and time of the event loop for as long as it is open."""


class EventStreams:
    """Counts the open streams of a process."""

    def __init__(self, limit: int = EVENT_STREAMS_MAX) -> None:
        self.limit = limit
        self.open = 0


class EventStream(StreamingResponse):
    """Server-sent events, or 503 when too many streams are open."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[str], streams: EventStreams) -> None:
        # X-Accel-Buffering makes nginx pass on each event at once.
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client for as long as it stays."""
        if self._streams.open >= self._streams.limit:
            detail = (
                f"{self._streams.limit} event streams are open, which is the limit; close some, or poll for the events"
            )
            headers = {"Retry-After": str(_TRY_AGAIN_SECONDS)}
            refusal = problem(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_streams", detail, headers=headers)
            await refusal(scope, receive, send)
            return
        self._streams.open += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.open -= 1


def server_sent(row: JournalRow) -> str:
    """A row of the journal as an event. A client that reconnects sends the last ``id`` that it has seen."""
    return f"id: {row.seq}\nevent: {row.type}\ndata: {json.dumps(asdict(row), ensure_ascii=False)}\n\n"
