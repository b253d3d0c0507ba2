"""Timeouts for clients: what a connection waits for, and for how long.

::

    the rest of a request      until ``request_seconds`` after its first byte    counted
    the next request           until uvicorn's keep-alive is over                counted
    a websocket's acceptance   until ``request_seconds`` after its first byte    counted
    the close of a websocket   until uvicorn's time for it is over               counted
    an answer to be read       as long as some of it is read each ``reading_seconds``

"Counted" connections share one limit per process; see :class:`Unfinished`.
"""

import asyncio
import resource
from collections import OrderedDict
from dataclasses import dataclass

UNFINISHED_MAX = 500
_SHARE = 4
"""Waiting connections get a quarter of the file descriptors. Calls, vendors and the database need the rest."""


def within_files(limit: int, files: int | None = None) -> int:
    """The limit, or less if the process may open only a few ``files``. Default: as many as the host allows."""
    if files is None:
        _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit if files == resource.RLIM_INFINITY else max(1, min(limit, files // _SHARE))


class Unfinished:
    """The connections of one process that wait for their client."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = within_files(UNFINISHED_MAX) if limit is None else limit
        self._connections: OrderedDict[asyncio.Transport, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: asyncio.Transport) -> None:
        """The connection waits from now on. Above the limit, the one that has waited longest is closed."""
        self._connections[connection] = None
        self._connections.move_to_end(connection)
        if len(self._connections) > self._limit:
            oldest, _ = self._connections.popitem(last=False)
            oldest.abort()

    def discard(self, connection: asyncio.Transport) -> None:
        """The client has sent the whole request, or the connection is closed."""
        self._connections.pop(connection, None)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may use before its client has shown a key."""

    request_seconds: float = 15.0
    """For a whole request, head and body, and for a websocket until it is accepted or refused."""
    reading_seconds: float = 10.0
    """A client that reads nothing of its response is closed after one to two of these periods."""
    head_bytes: int = 64 * 1024
    """The size of the head, and of the trailers after a chunked body."""
    headers: int = 100
    """The number of headers in the head, and in the trailers."""


class ClientWatch:
    """The timers of one connection. The connection's owner calls :meth:`stop` when it is lost."""

    def __init__(self, loop: asyncio.AbstractEventLoop, unfinished: Unfinished, limits: ConnectionLimits) -> None:
        self._loop = loop
        self._unfinished = unfinished
        self._limits = limits
        self._transport: asyncio.Transport
        self._request: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._unread_bytes = 0
        self._has_read = False

    def start(self, transport: asyncio.Transport) -> None:
        """The connection is open, and its client has sent nothing yet."""
        self._transport = transport
        self._reading = self._loop.call_later(self._limits.reading_seconds, self._check_reading)
        self.expect()

    def expect(self) -> None:
        """The rest of a request must come. A deadline that already runs stays."""
        if self._request is None:
            self._request = self._loop.call_later(self._limits.request_seconds, self._give_up)
            self._unfinished.add(self._transport)

    def idle(self) -> None:
        """The client may send another request or close the connection. uvicorn has a timer for both."""
        self.content()
        self._unfinished.add(self._transport)

    def content(self) -> None:
        """The client need not send anything."""
        if self._request is not None:
            self._request.cancel()
            self._request = None
        self._unfinished.discard(self._transport)

    def read(self) -> None:
        """The client has read most of its response."""
        self._has_read = True

    def stop(self) -> None:
        """The connection is lost."""
        self.content()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _give_up(self) -> None:
        if self._transport.is_closing() or self._transport.is_reading():
            self._transport.abort()
        else:  # we are slow, not the client
            self._request = self._loop.call_later(self._limits.request_seconds, self._give_up)

    def _check_reading(self) -> None:
        """Close a client that does not read. A closing transport counts, too: it stays open until all is read."""
        unread = self._transport.get_write_buffer_size()
        if 0 < self._unread_bytes <= unread and not self._has_read:
            self._transport.abort()
            return
        self._unread_bytes, self._has_read = unread, False
        self._reading = self._loop.call_later(self._limits.reading_seconds, self._check_reading)
