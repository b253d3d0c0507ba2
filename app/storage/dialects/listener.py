"""One connection of a process on which it is told of other processes' writes, by LISTEN and NOTIFY of Postgres.

Notices are sent after the commit that they are about, and not in it: a transaction that notifies holds a lock of the
whole server while it commits, so all journals would wait for each other. They are gathered for some milliseconds and
sent together. Rows of a call are announced only while somebody follows it elsewhere.

A process that follows a call says so every few seconds; the others remember it for a little longer.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import StorageError
from app.storage.wakeups import Topic, Wakeups

T = TypeVar("T")

_CHANNEL = "voice_agent"
_GATHERED_SECONDS = 0.01
_ALIVE_SECONDS = 10.0
"""How often to ask for a sign of life when there is nothing to send."""
_ANSWER_SECONDS = 5.0
_FOLLOWED_SECONDS = 30.0
_WAITING_MAX = 1000
"""More notices than that at once are not sent: everybody polls."""
_SEND = "SELECT pg_notify($1, notice) FROM unnest($2::text[]) AS notice"


class PostgresWakeups(Wakeups):
    """Gathers the notices of this process, and hands on those of the others. :meth:`listen` is a loop's round."""

    def __init__(self, engine: AsyncEngine, on_alive: Callable[[], Any]) -> None:
        """``engine`` makes the connection; ``on_alive`` is awaited when it works, every ten seconds."""
        super().__init__()
        self._engine = engine
        self._on_alive = on_alive
        self._notices: dict[str, None] = {}
        self._is_waiting = asyncio.Event()
        self._followed: dict[str, float] = {}
        """Calls that other processes follow, and until when."""
        self._own: int | None = None
        """The server's process for our connection."""
        self.heard["follow"].add(self._note_followed)

    def tell(self, topic: Topic, call_id: str = "") -> None:
        """As :meth:`Wakeups.tell`."""
        if self.is_listening and len(self._notices) < _WAITING_MAX:
            self._notices[f"{topic} {call_id}"] = None
            self._is_waiting.set()

    def rows_committed(self, call_id: str) -> None:
        """As :meth:`Wakeups.rows_committed`."""
        until = self._followed.get(call_id)
        if until is None:
            return
        if until < asyncio.get_running_loop().time():
            del self._followed[call_id]
        else:
            self.tell("rows", call_id)

    async def listen(self) -> None:
        """Listen until the connection is lost. Raises StorageError then."""
        try:
            connection = await _asked(self._engine.connect().start())
            try:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                await _asked(driver.add_listener(_CHANNEL, self._hear))
                self._own = driver.get_server_pid()
                self.is_listening = True
                self._catch_up()
                while True:
                    await self._send(driver)
            finally:
                self.is_listening = False
                await connection.invalidate()
                await connection.close()
        except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise StorageError(f"the connection for notices was lost: {type(error).__name__}") from error

    def _catch_up(self) -> None:
        """What came while nobody listened is unknown, so everybody looks."""
        for topic in ("calls", "requests"):
            self.heard[topic]("")

    async def _send(self, driver: Any) -> None:
        """Send what was gathered, or ask for a sign of life."""
        try:
            async with asyncio.timeout(_ALIVE_SECONDS):
                await self._is_waiting.wait()
        except TimeoutError:
            await _asked(driver.execute("SELECT 1"))
            await self._on_alive()
            return
        await asyncio.sleep(_GATHERED_SECONDS)
        notices, self._notices = list(self._notices), {}
        self._is_waiting.clear()
        await _asked(driver.execute(_SEND, _CHANNEL, notices))

    def _hear(self, _driver: Any, process: int, _channel: str, notice: str) -> None:
        topic, _, call_id = notice.partition(" ")
        if process != self._own and topic in self.heard:
            self.heard[topic](call_id)

    def _note_followed(self, call_id: str) -> None:
        self._followed[call_id] = asyncio.get_running_loop().time() + _FOLLOWED_SECONDS


async def _asked(question: Coroutine[Any, Any, T]) -> T:
    """What the server answers. Raises TimeoutError when it does not."""
    async with asyncio.timeout(_ANSWER_SECONDS):
        return await asyncio.get_running_loop().create_task(question, name="storage.notice")
