"""One websocket to Cartesia that carries many contexts at once.

Its task ``cartesia:socket``, with ``cartesia:read`` and ``cartesia:write`` inside it, ends when the socket is lost,
permanently refused, closed, or retired and without contexts. However it ends, every context is notified. An unreadable
message affects at most the context that it names, never the socket.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Protocol, Self

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from app.clients.cartesia.messages import (
    API_VERSION,
    PROVIDER,
    Answer,
    AudioChunk,
    ContextDone,
    Failure,
    error_for_status,
    parse_answer,
)
from app.clients.messages import Unreadable
from app.clients.rate_limit_headers import retry_after_seconds
from app.clients.tls import tls_for
from app.errors import (
    ContentRejected,
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)

log = structlog.get_logger(__name__)

_PING_SECONDS = 3.0
_CLOSE_SECONDS = 0.5
_MESSAGE_BYTES_MAX = 4 * 2**20
_MESSAGES_UNSENT_MAX = 1024

# at DEBUG the library would log whole frames and the key
_library_log = logging.getLogger("websockets.cartesia")
_library_log.setLevel(logging.INFO)


class ContextListener(Protocol):
    """The user of a context. The reader of all contexts calls these methods, so they must return at once."""

    def received(self, answer: Answer) -> None:
        """The next message of the context; :class:`ContextDone` is the last."""

    def suspected(self, error: ProviderError) -> None:
        """The vendor refused something without naming a context; it may have been this one."""

    def failed(self, error: ProviderError) -> None:
        """The context is lost; no call follows. A shared error goes to every context of the socket."""


class CartesiaSocket:
    """An open socket, from :meth:`open`; the client owns and closes it."""

    def __init__(self, connection: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        self._clock: Callable[[], float] = loop.time
        self._connection = connection
        self._listeners: dict[str, ContextListener] = {}
        self._unsent: asyncio.Queue[str] = asyncio.Queue(_MESSAGES_UNSENT_MAX)
        self._retired = False
        self._loss: ProviderError | None = None
        self._ending = asyncio.Event()
        self.opened_at = self.used_at = self._clock()
        """The loop time of the opening, and of the last request."""
        self.chunks_dropped = 0
        """How many audio messages were dropped, because their context was cancelled, for example."""
        self.unreadable = 0
        """How many unreadable messages named no context."""
        self.stray_at = -math.inf
        """The loop time of the last message that no context could take. One of them may wait for it in vain."""
        self._task = loop.create_task(self._run(), name="cartesia:socket")

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed" if self.is_over else "retired"
        return f"<CartesiaSocket {state}, {len(self._listeners)} contexts, {self.chunks_dropped} chunks dropped>"

    @classmethod
    async def open(cls, url: str, *, api_key: str, seconds: float) -> Self:
        """Open a socket within ``seconds``. Raises ProviderError."""
        try:
            connection = await connect(
                url,
                ssl=tls_for(url),
                additional_headers={"Authorization": f"Bearer {api_key}", "Cartesia-Version": API_VERSION},
                compression=None,
                proxy=None,
                open_timeout=seconds,
                close_timeout=_CLOSE_SECONDS,
                ping_interval=_PING_SECONDS,
                ping_timeout=_PING_SECONDS,
                max_size=_MESSAGE_BYTES_MAX,
                logger=_library_log,
            )
        except InvalidStatus as refused:
            response = refused.response
            wait = retry_after_seconds(response.headers.get("Retry-After"))
            error = error_for_status(response.status_code, retry_after=wait)
            if isinstance(error, ContentRejected):  # a handshake has no content, so our request is wrong
                error = ProviderRejected(PROVIDER, f"status {error.status}", status=error.status)
            raise error from refused
        except TimeoutError as late:
            raise ProviderTimeout(PROVIDER, "no socket before the deadline") from late
        except (OSError, WebSocketException) as broken:
            raise ProviderUnavailable(PROVIDER, f"no socket: {type(broken).__name__}") from broken
        return cls(connection)

    @property
    def is_open(self) -> bool:
        """Whether new contexts may use it; its task may still be running otherwise."""
        return not self._retired and not self.is_over and self._connection.close_code is None

    @property
    def is_over(self) -> bool:
        """Whether its task has ended."""
        return self._task.done()

    def attach(self, context_id: str, listener: ContextListener) -> None:
        """Deliver a context's messages to ``listener``, until it is done, failed or detached."""
        if self._loss is not None:
            listener.failed(self._loss)
        else:
            self._listeners[context_id] = listener

    def detach(self, context_id: str) -> None:
        """Drop further messages of a context."""
        self._listeners.pop(context_id, None)
        self._close_if_done()

    def post(self, request: str) -> None:
        """Queue a request without waiting. If the vendor stops reading, the socket fails."""
        self.used_at = self._clock()
        try:
            self._unsent.put_nowait(request)
        except asyncio.QueueFull:
            self._fail_all(ProviderUnavailable(PROVIDER, "the socket takes no more text"))

    def retire(self) -> None:
        """Accept no new context, and close once the last one has ended."""
        self._retired = True
        self._close_if_done()

    async def aclose(self) -> None:
        """Fail live contexts and close, within about half a second even if the vendor does not answer."""
        self._ending.set()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                parts = (
                    tasks.create_task(self._read(), name="cartesia:read"),
                    tasks.create_task(self._write(), name="cartesia:write"),
                )
                await self._ending.wait()
                for part in parts:
                    part.cancel()
        finally:
            self._fail_all(ProviderUnavailable(PROVIDER, "the socket was closed"))
            try:
                await self._connection.close()
            finally:
                self._connection.transport.abort()  # cancelled in the middle of the closing handshake
            log.debug(
                "socket.closed", provider=PROVIDER, chunks_dropped=self.chunks_dropped, unreadable=self.unreadable
            )

    async def _read(self) -> None:
        """Deliver messages until the socket ends, then fail every context with the reason."""
        try:
            while True:
                # as bytes: text that is not UTF-8 would close the connection
                message = await self._connection.recv(decode=False)
                try:
                    answer = parse_answer(message)
                except Unreadable as error:
                    self._note_unreadable(error)
                else:
                    self._deliver(answer)
        except ConnectionClosed:
            pass  # the code is read below
        except _RefusedForGood as refused:
            self._fail_all(refused.error)
        self._fail_all(ProviderUnavailable(PROVIDER, f"the socket was lost, code {self._connection.close_code}"))

    def _deliver(self, answer: Answer | Failure | None) -> None:
        if answer is None:
            self.stray_at = self._clock()
            return
        if isinstance(answer, Failure):
            self._deliver_failure(answer)
            return
        listener = self._listeners.get(answer.context_id)
        if listener is None:
            if isinstance(answer, AudioChunk):  # usually of a context that was cancelled
                self.chunks_dropped += 1
            else:
                self.stray_at = self._clock()
            return
        if isinstance(answer, ContextDone):
            self.detach(answer.context_id)
        try:
            listener.received(answer)
        except Exception as error:
            log.exception("context.crashed", provider=PROVIDER, error=type(error).__name__)
            self.detach(answer.context_id)
            listener.failed(ProviderProtocolError(PROVIDER, "an answer that could not be taken"))

    def _deliver_failure(self, failure: Failure) -> None:
        if failure.context_id is None:
            self._deliver_to_all(failure.error)
            return
        listener = self._listeners.get(failure.context_id)
        if listener is not None:
            self.detach(failure.context_id)
            listener.failed(failure.error)

    def _deliver_to_all(self, error: ProviderError) -> None:
        """Handle an error that names no context, by its status.

        A wrong key, no credit or a forbidden region affects every context, permanently. Anything else is about one
        request that the vendor could not read or answer; contexts that still get sound are not affected.
        """
        if isinstance(error, ProviderRejected) and not isinstance(error, ContentRejected):
            raise _RefusedForGood(error)
        if isinstance(error, ContentRejected):
            error = ProviderProtocolError(PROVIDER, f"{error.status} for no context", request_id=error.request_id)
        error.is_shared = True
        for listener in list(self._listeners.values()):
            listener.suspected(error)

    def _note_unreadable(self, error: Unreadable) -> None:
        self.stray_at = self._clock()
        self.unreadable += 1
        if self.unreadable == 1:
            log.warning("provider.unreadable_message", provider=PROVIDER, detail=str(error))

    async def _write(self) -> None:
        try:
            while True:
                await self._connection.send(await self._unsent.get())
        except ConnectionClosed:
            return  # the reader sees the same close and fails every context

    def _fail_all(self, error: ProviderError) -> None:
        error = self._loss or error
        error.is_shared = self._retired = True
        self._loss = error
        listeners, self._listeners = self._listeners, {}
        self._ending.set()
        for listener in listeners.values():
            listener.failed(error)

    def _close_if_done(self) -> None:
        if self._retired and not self._listeners:
            self._ending.set()


class _RefusedForGood(Exception):
    """The vendor refuses every request; ``error`` says why."""

    def __init__(self, error: ProviderError) -> None:
        self.error = error
        super().__init__(str(error))
