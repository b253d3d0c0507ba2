"""Connections of strangers, with bounds: nobody has shown a key yet, and live calls share the process.

uvicorn gives a client all the time and all the headers it likes, and reads a quarter of a megabyte of websocket frames
in one go, which are 40,000 of the shortest: more than a second in which no call is heard.
"""

import asyncio
from collections import OrderedDict
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

REQUEST_SECONDS = 15.0
"""For a whole request, head and body."""
HEAD_BYTES_MAX = 64 * 1024
"""Also of what follows a body in chunks."""
UNFINISHED_MAX = 500
"""Connections on which a request has begun, or none yet. Of more the oldest is closed: honest ones are soon done."""

_FRAMES_FIRST = 300
_FRAMES_SECOND = 250
_FRAMES_MAX = 2500
"""Speech is 50 frames a second, a hundred at most. What is not used is saved up, for what waited through a stall."""
_GOODBYE_SECONDS = 3.0
"""How long a client may take to answer that the websocket is closed; until then its file stays open."""
_PIECE_BYTES = 2048
"""So much is read before the frames are counted: a hundred lost over the last of those allowed."""
_POLICY_VIOLATION = 1008
_HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Unfinished:
    """Connections that owe the rest of a request, of one process."""

    def __init__(self, limit: int = UNFINISHED_MAX) -> None:
        self._limit = limit
        self._connections: OrderedDict[asyncio.Transport, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: asyncio.Transport) -> None:
        """The longest that waits is closed when there are too many."""
        self._connections[connection] = None
        if len(self._connections) > self._limit:
            oldest, _ = self._connections.popitem(last=False)
            oldest.abort()

    def discard(self, connection: asyncio.Transport) -> None:
        """It has sent all of the request, or is closed."""
        self._connections.pop(connection, None)


class BoundedHttp(HttpToolsProtocol):
    """HTTP/1.1 whose requests come within a time and whose heads have a size."""

    def __init__(self, *arguments: Any, unfinished: Unfinished, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unfinished = unfinished
        self._patience: asyncio.TimerHandle | None = None
        self._owes = True
        self._parts = 0
        self._is_in_head = True
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """A client, who has said nothing."""
        super().connection_made(transport)
        self._be_patient()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever closed it."""
        self._be_content()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A piece of a request, or several requests."""
        part = self._parts
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if self._is_in_head and self._parts == part else 0
        if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()
        elif self._owes and self._patience is None and not self.transport.is_closing():
            self._be_patient()

    def handle_websocket_upgrade(self) -> None:
        """From here on it is a websocket's."""
        self._owes = False
        self._be_content()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """The first line comes."""
        self._owes = True
        self._enter(head=True)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """What follows is the body."""
        self._enter(head=False)
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """After the last chunk come headers again."""
        self._enter(head=True)

    def on_body(self, body: bytes) -> None:
        """A piece of it; how large it may be is the application's to say."""
        self._enter(head=False)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Nothing is owed."""
        self._owes = False
        self._enter(head=False)
        self._be_content()
        super().on_message_complete()

    def _enter(self, *, head: bool) -> None:
        self._is_in_head = head
        self._parts += 1

    def _be_patient(self) -> None:
        self._patience = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)
        self._unfinished.add(self.transport)

    def _be_content(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
            self._unfinished.discard(self.transport)


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A websocket whose frames, pings and empty ones too, come at a pace that leaves the others their time."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.close_timeout = _GOODBYE_SECONDS
        self._frames = float(_FRAMES_FIRST)
        self._counted_at = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Frames, or pieces of them; as uvicorn's own, which counts nothing."""
        now = self.loop.time()
        self._frames = min(self._frames + (now - self._counted_at) * _FRAMES_SECOND, _FRAMES_MAX)
        self._counted_at = now
        for start in range(0, len(data), _PIECE_BYTES):
            self.conn.receive_data(data[start : start + _PIECE_BYTES])
            self._frames -= len(self.conn.events)
            if self._frames < 0 and self.conn.close_sent is None:
                self.conn.fail(_POLICY_VIOLATION, "too many frames")
            if self.conn.parser_exc is not None or self._frames < 0:
                self._give_up()
                return
            self.handle_events()

    async def send(self, message: Any) -> None:
        """Also a refusal, which is a whole answer; uvicorn would log that the application forgot the handshake."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def handle_ping(self) -> None:
        """Who does not read the answers gets none."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def _give_up(self) -> None:
        if self.conn.close_sent is None:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.handle_parser_exception()


def bounded_http() -> Any:
    """What uvicorn is given as ``http``, for one server."""
    return partial(BoundedHttp, unfinished=Unfinished())
