"""Postgres as the database: transactions of several connections at once, by one clock for all machines.

Each write is a task ``storage.write`` of its own. What was rolled back because two transactions collided, or because
the server closed the connection before the commit, is run again here. Whether a commit that was cut off has happened is
unknown: that is a StorageError, and who tries again must find what is there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import URL, Connection, NullPool, func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.clock import machine_now, set_lease_clock
from app.errors import StorageError
from app.service_loops import ServiceLoop
from app.storage.database import (
    BUSY_MILLISECONDS,
    WRITES_WAITING,
    Database,
    NotPrepared,
    closed,
    engine_options,
    over,
    too_many_writes,
    upgrade_schema,
)
from app.storage.dialects.listener import PostgresWakeups
from app.storage.dialects.statements import Lock, hold
from app.storage.dialects.tables import fit_tables

T = TypeVar("T")

_CONNECTIONS = 4
"""Of each kind, those that write and those that read."""
_CONNECT_SECONDS = 5.0
"""For each host of the address."""
_ANSWER_SECONDS = 5.0
"""A transaction that takes longer is given up with its connection: its server may be gone without a word."""
_ATTEMPTS = 5
_ROUND_TRIP_SECONDS = 0.5
"""A slower answer says too little about the time."""
_STEP_SECONDS = 0.25
"""A database's clock that seems to have moved by less has not been set."""
_COLLISIONS = {"40001", "40P01", "0A000"}
"""Serialization failure; deadlock; a plan from before a migration."""
_NOT_THE_PRIMARY = "25006"
_NO_TABLE = "42P01"
_VALUES_REFUSED = ("22", "23")
"""Classes of errors for which the values of the statement are to blame."""
_FAILURES = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.ClientConfigurationError,
    OSError,
    UnicodeError,
    OverflowError,
)
_MEANINGS = {
    "08": "the connection was lost",
    "25006": "it may not be written",
    "28": "it refuses the user or the password",
    "3D": "there is no database of this name",
    "42501": "the user may not do that",
    "42P01": "it has not been prepared",
    "53": "its disk, its memory or its connections are used up",
    "55P03": "another process keeps it locked",
    "57": "it does not serve at the moment",
    "58": "the disk failed",
    "XX": "the data is damaged: restore it",
}


@dataclass(slots=True)
class _Progress:
    """How far a transaction has come."""

    has_begun: bool = False
    is_committing: bool = False


class PostgresDatabase(Database):
    """Loop ``storage.listener`` is told of other processes' writes, and follows the clock of the database.

    It ends in :meth:`close`.
    """

    unmoved_seconds = 1.2

    def __init__(
        self, writers: AsyncEngine, readers: AsyncEngine, listener: AsyncEngine, answer_seconds: float
    ) -> None:
        super().__init__()
        self.wakeups: PostgresWakeups = PostgresWakeups(listener, self._follow_clock)
        self._answer_seconds = answer_seconds
        self._writers = writers
        self._readers = readers
        self._writes: set[asyncio.Task[Any]] = set()
        self._waiting = 0
        self._ahead: float | None = None
        self.loop = ServiceLoop("storage.listener", self.wakeups.listen, part="storage")

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Database {state}, {self.transactions} transactions, {self._waiting} waiting>"

    @classmethod
    async def connect(
        cls, target: URL, busy_milliseconds: int, turn_seconds: float, answer_seconds: float = _ANSWER_SECONDS
    ) -> "PostgresDatabase":
        """As :meth:`Database.open`. A transaction may take ``answer_seconds`` more than it waits for a lock."""
        pool: dict[str, Any] = {"pool_size": _CONNECTIONS, "max_overflow": 0, "pool_timeout": turn_seconds}
        writers = _engine(target, busy_milliseconds, **pool)
        alone: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
        readers = _engine(target, busy_milliseconds, default_transaction_read_only="on", **alone, **pool)
        listener = _engine(target, busy_milliseconds, poolclass=NullPool, synchronous_commit="off", **alone)
        database = cls(writers, readers, listener, busy_milliseconds / 1000 + answer_seconds)
        try:
            await database._read_clock()
            await database.ping()
            await database.write(lambda connection: None)
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """As :meth:`Database.close`."""
        self._closed = True
        self.loop.cancel()
        await asyncio.gather(self.loop.wait(), *map(over, self._writes), *map(over, self._reads))
        await self._writers.dispose()
        await self._readers.dispose()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """As :meth:`Database.write`."""
        if self._closed:
            raise closed()
        if self._waiting >= WRITES_WAITING:
            raise too_many_writes()
        self._waiting += 1
        progress = _Progress()
        writing = asyncio.get_running_loop().create_task(self._write(work, progress), name="storage.write")
        self._writes.add(writing)
        writing.add_done_callback(partial(self._written, progress))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            if not progress.has_begun:
                writing.cancel()
            raise

    def _written(self, progress: _Progress, writing: asyncio.Task[Any]) -> None:
        self._begin(progress)
        self._writes.discard(writing)
        if not writing.cancelled():
            writing.exception()  # nobody else may be there to look at it

    def _begin(self, progress: _Progress) -> None:
        if not progress.has_begun:
            progress.has_begun = True
            self._waiting -= 1

    async def truncate_log(self) -> bool:
        """Nothing: the server's log is in its operator's hands."""
        return True

    async def _read(self, work: Callable[[Connection], T]) -> T:
        async def run(connection: AsyncConnection, _progress: _Progress) -> T:
            return await connection.run_sync(work)

        return await _transact(self._readers, run, _Progress())

    async def _write(self, work: Callable[[Connection], T], progress: _Progress) -> T:
        clock = asyncio.get_running_loop().time
        asked_at = clock()

        async def run(connection: AsyncConnection, progress: _Progress) -> T:
            self._begin(progress)
            result = await connection.run_sync(work)
            progress.is_committing = True
            await connection.commit()
            return result

        result = await _transact(self._writers, run, progress, self._answer_seconds)
        self.transactions += 1
        self.on_written(clock() - asked_at)
        return result

    async def _follow_clock(self) -> None:
        with suppress(StorageError):  # those who read and write say so
            await self._read_clock()

    async def _read_clock(self) -> None:
        """Let the lease clock be the database's, unless the answer took so long that it is older than our own."""
        began = machine_now()
        now = await self._read(lambda connection: connection.execute(_NOW).scalar_one())
        ended = machine_now()
        ahead = float(now) - (began + ended) / 2
        moved = self._ahead is None or abs(ahead - self._ahead) > _STEP_SECONDS
        if self._ahead is None or (moved and ended - began < _ROUND_TRIP_SECONDS):
            self._ahead = ahead
            set_lease_clock(ahead)


_NOW = select(func.extract("epoch", func.clock_timestamp()))


async def _transact(
    engine: AsyncEngine,
    run: Callable[[AsyncConnection, _Progress], Awaitable[T]],
    progress: _Progress,
    answer_seconds: float = _ANSWER_SECONDS,
) -> T:
    """Run a transaction, again if nothing of it can have stayed. Raises StorageError."""
    for left in reversed(range(_ATTEMPTS)):
        try:
            async with engine.connect() as connection:
                try:
                    async with asyncio.timeout(answer_seconds):
                        return await run(connection, progress)
                except DBAPIError as error:
                    if state_of(error) == _NOT_THE_PRIMARY and not connection.invalidated:
                        await connection.invalidate()  # a primary no more: the next connection finds the new one
                    raise
        except DBAPIError as error:
            is_undone = state_of(error) in _COLLISIONS or (error.connection_invalidated and not progress.is_committing)
            if not (is_undone and left):
                raise storage_error(error) from error
        except NoConnection as error:
            raise StorageError("the database is busy, or locked by another process") from error
        except TimeoutError as error:
            raise StorageError("the database does not answer") from error
        except _FAILURES as error:
            raise storage_error(error) from error
        progress.is_committing = False
    raise AssertionError


def storage_error(error: Exception) -> StorageError:
    """Map a database error to StorageError. The message names the kind of failure and contains no values.

    ``retryable`` is False when the values themselves were refused, so that a retry cannot help.
    """
    cause = error
    if isinstance(error, StatementError) and error.orig is not None:
        cause = error.orig.__cause__ or error.orig  # type: ignore[assignment]
    state, name = state_of(error), type(cause).__name__
    meaning = next((meaning for beginning, meaning in _MEANINGS.items() if state.startswith(beginning)), None)
    if isinstance(cause, OSError):
        meaning = "it cannot be reached"
    kind = NotPrepared if state == _NO_TABLE else StorageError
    mapped = kind(f"the database failed: {name}" + (f", {meaning}" if meaning else ""))
    unwrapped = type(error) is StatementError  # raised before the statement reached the database
    is_encoding = isinstance(cause, ValueError | OverflowError) and not isinstance(cause, OSError)
    mapped.retryable = not (unwrapped or is_encoding or state.startswith(_VALUES_REFUSED))
    return mapped


def state_of(error: BaseException) -> str:
    """The five letters by which Postgres names an error; empty for what did not come from there."""
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")


def prepare(target: URL) -> None:
    """As :func:`app.storage.database.migrate`. Several machines may do so at once: one does it, the others wait."""
    try:
        _in_own_loop(_prepare(target))
    except StorageError as error:
        raise StorageError(f"cannot prepare the database {target.database}: {error}") from error


def look(target: URL, work: Callable[[Connection], T]) -> T:
    """Run ``work`` on a read-only connection. Raises StorageError, also for errors inside."""
    return _in_own_loop(_look(target, work))


async def _prepare(target: URL) -> None:
    def run(connection: Connection) -> None:
        hold(connection, Lock.SCHEMA)
        if upgrade_schema(connection):
            fit_tables(connection)

    await _once(_engine(target, 0, poolclass=NullPool, statement_timeout="0"), run)


async def _look(target: URL, work: Callable[[Connection], T]) -> T:
    reader = _engine(target, BUSY_MILLISECONDS, poolclass=NullPool, default_transaction_read_only="on")
    return await _once(reader, work)


async def _once(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    except _FAILURES as error:
        raise storage_error(error) from error
    finally:
        await engine.dispose()


def _in_own_loop(work: Coroutine[Any, Any, T]) -> T:
    """Do it in a thread of its own: the caller may be on an event loop."""
    with ThreadPoolExecutor(1, "storage.apart") as apart:
        return apart.submit(asyncio.run, work).result()


def _engine(
    target: URL,
    busy_milliseconds: int,
    *,
    default_transaction_read_only: str = "off",
    statement_timeout: str = "15000",
    synchronous_commit: str | None = None,
    **options: Any,
) -> AsyncEngine:
    server = {
        "application_name": "voice-agent",
        "default_transaction_read_only": default_transaction_read_only,
        "idle_in_transaction_session_timeout": "15000",
        "jit": "off",  # our statements are short
        "lock_timeout": str(busy_milliseconds),
        "statement_timeout": statement_timeout,
    }
    if synchronous_commit is not None:
        server["synchronous_commit"] = synchronous_commit
    connect: dict[str, Any] = {"server_settings": server, "timeout": _CONNECT_SECONDS}
    if "target_session_attrs" not in target.query:
        connect["target_session_attrs"] = "primary"
    return create_async_engine(target, connect_args=connect, **options, **engine_options())
