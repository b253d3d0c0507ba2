"""uvicorn's protocols with limits. Clients that have not shown a key share the process with live calls.

uvicorn itself sets no limit on the time of a request, the number of headers, or the number of pipelined requests. It
leaves an upgrade unanswered if its websocket library cannot read it. It parses a quarter of a megabyte of websocket
frames in one go: 40,000 of the shortest ones, more than a second during which no call gets any audio.

Both classes use private parts of uvicorn. ``tests/routers/test_connections_uvicorn.py`` fails when those change, and
says what to do then.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, NoReturn

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from routers.client_watch import ClientWatch, ConnectionLimits, Unfinished
from routers.pacing import Pacer

_PARSED_BYTES = 512
"""How much is parsed before checking whether a request waits: 28 of the shortest requests."""
_FRAMES_FIRST = 300
_FRAMES_SECOND = 250
_FRAMES_MAX = 2500
"""Speech is 50 frames a second, a hundred at most. Unused frames are saved up for a burst after a stall."""
_GOODBYE_SECONDS = 3.0
"""How long a client may take to acknowledge the close of its websocket. Until then the socket stays open."""
_PIECE_BYTES = 2048
"""How much is parsed before counting the frames. So the limit can be exceeded by a hundred or so."""
_POLICY_VIOLATION = 1008
_INVALID_DATA = 1007
_VERSIONS = ("1.0", "1.1")
_HOST = re.compile(rb"[\w.~!$&'()*+,;=:%\[\]-]*", re.ASCII)
"""A host, with or without a port."""
_CODES = {HTTPStatus.BAD_REQUEST: "malformed_request", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "head_too_large"}


class _Refused(Exception):
    """A request that is refused while it is parsed. Raised in a callback of the parser, it ends the parsing."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


_MALFORMED = _Refused(HTTPStatus.BAD_REQUEST, "this is no HTTP/1.1 request")


class _Flow(FlowControl):
    """Reads only while no request waits, and does nothing on a closing connection."""

    def __init__(self, transport: asyncio.Transport, must_wait: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._must_wait = must_wait

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            super().pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing() and not self._must_wait():
            super().resume_reading()


class BoundedHttp(HttpToolsProtocol):
    """HTTP/1.1 with limits on the time of a request, the size of its head, and the pipeline.

    The next request is parsed while the current one is being answered. Reading continues when no request waits::

        socket -> _unparsed (one or two reads) -> pipeline (what 512 bytes hold) -> _running (one)
    """

    def __init__(
        self, *arguments: Any, unfinished: Unfinished, starts: Pacer, limits: ConnectionLimits, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._starts = starts
        self._limits = limits
        self._watch = ClientWatch(self.loop, unfinished, limits)
        self._unparsed = b""
        self._running: RequestResponseCycle | None = None
        self._cause: _Refused | None = None
        self._refusal: _Refused | None = None
        self._is_over = False
        """Nothing more is parsed: a request was refused, or the client switched to another protocol."""
        self._owes = True
        self._parts = 0
        self._is_in_head = True
        self._is_in_trailers = False
        self._head_bytes = 0
        self._header_count = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """A client has connected."""
        super().connection_made(transport)
        self.flow = _Flow(transport, lambda: bool(self.pipeline or self._unparsed or self._is_over))
        self._watch.start(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed. uvicorn informs only the newest request, which may not have started."""
        self._watch.stop()
        self._unparsed = b""
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._watch.read()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """A piece of a request, or several requests."""
        self._unset_keepalive_if_required()
        if self._is_over:
            return
        self._unparsed += data
        self._parse_unparsed()
        if not self.transport.is_closing() and (self._owes or not self._is_answering()):
            self._watch.expect()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to a websocket. The watch goes on until it is accepted; a bad upgrade is refused."""
        if self.transport.is_closing():
            return
        super().handle_websocket_upgrade()
        websocket: Any = self.transport.get_protocol()
        websocket.watch = self._watch
        if not websocket.handshake_initiated and not self.transport.is_closing():
            _write_refusal(self.transport, _Refused(HTTPStatus.BAD_REQUEST, "the websocket's upgrade cannot be read"))

    def on_message_begin(self) -> None:
        """A request begins."""
        self._owes = True
        self._is_in_trailers = False
        self._enter(head=True)
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. Trailers are counted and dropped: the application would take them for headers of the head."""
        self._header_count += 1
        if self._header_count > self._limits.headers:
            self._stop_parsing(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"send {self._limits.headers} headers at most"
            )
        if not self._is_in_trailers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete; the body follows."""
        self._enter(head=False)
        self._is_in_trailers = True
        if self.parser.get_http_version() not in _VERSIONS:
            self._stop_parsing(HTTPStatus.BAD_REQUEST, str(_MALFORMED))
        self._check_host()
        wants_more = self.parser.should_upgrade()
        if wants_more and self._should_upgrade():
            self._check_upgrade()
        super().on_headers_complete()
        if wants_more and not self._should_upgrade():
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        """A chunk begins. Trailers may follow the last one."""
        self._enter(head=True)

    def on_body(self, body: bytes) -> None:
        """A piece of the body. The application limits its size."""
        self._enter(head=False)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete, unless it is to become a websocket."""
        self._enter(head=False)
        if not (self.parser.should_upgrade() and self._should_upgrade()):
            self._owes = False
            self._watch.content()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the next waiting request; if there is none, parse more."""
        super().on_response_complete()
        if self._refusal is not None and not self._is_answering():
            _write_refusal(self.transport, self._refusal)
        elif not self.pipeline:
            self.loop.call_soon(self._go_on)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        self._starts.add(partial(self._start_now, cycle, app))

    def _start_now(self, cycle: RequestResponseCycle, app: Any) -> None:
        if not cycle.disconnected:
            super()._start_asgi_task(cycle, app)

    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _go_on(self) -> None:
        if self.transport.is_closing() or self._is_over:
            return
        self._parse_unparsed()
        if self._owes:
            self._unset_keepalive_if_required()
            self._watch.expect()
        elif not self._is_answering():
            self._watch.idle()
        self.flow.resume_reading()

    def _parse_unparsed(self) -> None:
        """Parse until a request waits for the response to another one."""
        data, begin = self._unparsed, 0
        while begin < len(data) and not (self.pipeline or self._is_over or self.transport.is_closing()):
            self._parse(data[begin : begin + _PARSED_BYTES])
            begin += _PARSED_BYTES
        self._unparsed = b"" if self._is_over else data[begin:]
        if self._unparsed or self.pipeline:
            self.flow.pause_reading()

    def _parse(self, piece: bytes) -> None:
        part = self._parts
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserError:
            self._refuse(self._cause or _MALFORMED)
        except httptools.HttpParserUpgrade:
            self._is_over = True
            if self._should_upgrade():
                self._starts.add(self.handle_websocket_upgrade)
        else:
            self._head_bytes = self._head_bytes + len(piece) if self._is_in_head and self._parts == part else 0
            if self._head_bytes > self._limits.head_bytes:
                detail = f"a head has at most {self._limits.head_bytes} bytes"
                self._refuse(_Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail))

    def _stop_parsing(self, status: HTTPStatus, detail: str) -> NoReturn:
        """Raise from a callback of the parser. Keeps the cause, because the parser's own error hides it."""
        self._cause = _Refused(status, detail)
        raise self._cause

    def _check_host(self) -> None:
        """Refuse a request without a Host, with two, or with one that is no host (RFC 9112, 3.2). 1.0 needs none."""
        hosts = [value for name, value in self.headers if name == b"host"]
        is_missing = not hosts and self.parser.get_http_version() == "1.1"
        if is_missing or len(hosts) > 1 or not all(map(_HOST.fullmatch, hosts)):
            self._stop_parsing(HTTPStatus.BAD_REQUEST, "HTTP/1.1 needs one header Host, with the name of the server")

    def _check_upgrade(self) -> None:
        """Refuse an upgrade that the websocket library would not answer, or would answer amid another response."""
        body = dict(self.headers).get(b"content-length", b"0") != b"0" or b"transfer-encoding" in dict(self.headers)
        if self.parser.get_method() != b"GET" or self.parser.get_http_version() != "1.1" or body:
            self._stop_parsing(HTTPStatus.BAD_REQUEST, "a websocket begins with GET and HTTP/1.1, and without a body")
        if self._is_answering() or self.pipeline:
            self._stop_parsing(
                HTTPStatus.BAD_REQUEST, "a websocket does not begin before the request before it is answered"
            )

    def _refuse(self, refusal: _Refused) -> None:
        """Refuse a request once the earlier ones are answered. If the current one's body is bad, refuse at once."""
        self._is_over = True
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()
        running = self._running
        if running is None or running.response_complete:
            _write_refusal(self.transport, refusal)
        elif not running.more_body:
            self._refusal = refusal
        elif running.response_started:
            self.transport.close()
        else:
            running.disconnected = True
            running.message_event.set()
            _write_refusal(self.transport, refusal)

    def _enter(self, *, head: bool) -> None:
        self._is_in_head = head
        if head:
            self._header_count = 0
        self._parts += 1


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A websocket with a limited rate of frames, including pings and empty ones, so that other calls get their time."""

    watch: ClientWatch | None = None
    """The watch of the connection, which began as HTTP."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = _QUIET
        self.close_timeout = _GOODBYE_SECONDS
        self._frames = float(_FRAMES_FIRST)
        self._counted_at = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        if self.watch is not None:
            self.watch.stop()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """The client reads again."""
        if self.watch is not None:
            self.watch.read()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Frames, or pieces of them. Works as uvicorn's own method, and counts the frames."""
        now = self.loop.time()
        self._frames = min(self._frames + (now - self._counted_at) * _FRAMES_SECOND, _FRAMES_MAX)
        self._counted_at = now
        for start in range(0, len(data), _PIECE_BYTES):
            if self.transport.is_closing():
                return
            self.conn.receive_data(data[start : start + _PIECE_BYTES])
            self._frames -= len(self.conn.events)
            if self._frames < 0 and self.conn.close_sent is None:
                self.conn.fail(_POLICY_VIOLATION, "too many frames")
            if self.conn.parser_exc is not None or self._frames < 0:
                self._give_up()
                return
            self.handle_events()

    async def send(self, message: Any) -> None:
        """Send a message. For a complete refusal, uvicorn would log that the application forgot the handshake."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True
        if self.handshake_complete and self.watch is not None:
            if self.close_sent:
                self.watch.idle()  # until the client has closed it too
            else:
                self.watch.content()

    def send_receive_event_to_app(self) -> None:
        """Pass on a whole message. Close for text that is not UTF-8, for which uvicorn would log a traceback."""
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(b"".join(self.frames)):
            self.frames = []
            if self.conn.close_sent is None:  # a close in the same data has been answered already
                self.conn.send_close(_INVALID_DATA)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Answer a ping, unless the client does not read."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def _give_up(self) -> None:
        if self.conn.close_sent is None:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.handle_parser_exception()


_QUIET = logging.getLogger("uvicorn.error.websockets")
"""uvicorn's websockets would log a line for each connection, with a path as long as a stranger likes."""
_QUIET.setLevel(logging.WARNING)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _write_refusal(transport: asyncio.Transport, refusal: _Refused) -> None:
    """Write a problem document as the connection's last response, and close."""
    if transport.is_closing():
        return
    status = refusal.status
    document = {"type": "about:blank", "title": status.phrase, "status": status.value}
    body = json.dumps({**document, "code": _CODES[status], "detail": str(refusal)}).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    transport.write(head.encode() + body)
    transport.close()


def bounded_http(limits: ConnectionLimits | None = None) -> Any:
    """The ``http`` argument for uvicorn, for one server."""
    return partial(BoundedHttp, unfinished=Unfinished(), starts=Pacer(), limits=limits or ConnectionLimits())
