"""A SQLite file as the database: one connection that writes, a few that read."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, NullPool, Pool, QueuePool, create_engine, event
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.clock import boot_identity
from app.errors import StorageError
from app.service_loops import LoopFinished, ServiceLoop
from app.storage.database import (
    BUSY_MILLISECONDS,
    WRITES_WAITING,
    Database,
    closed,
    engine_options,
    over,
    too_many_writes,
    upgrade_schema,
)
from app.storage.leases import release_claims, release_leases_of_earlier_boots

# At level DEBUG the driver would log the parameters of every statement, which include callers' words.
logging.getLogger("aiosqlite").setLevel(logging.INFO)

T = TypeVar("T")

_CHECKPOINT_MILLISECONDS = 250
_READERS = 4
_WRITER_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",  # a commit survives a power cut; with NORMAL the last ones may be lost
    "foreign_keys=ON",
    "secure_delete=ON",  # deleted data is overwritten with zeros
)
_MEANINGS = {
    "SQLITE_BUSY": "another process keeps it locked",
    "SQLITE_LOCKED": "another process keeps it locked",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_READONLY": "it may not be written",
    "SQLITE_CANTOPEN": "it cannot be opened",
    "SQLITE_IOERR": "the disk failed",
    "SQLITE_CORRUPT": "the file is damaged: restore it",
    "SQLITE_NOTADB": "the file is damaged: restore it",
}
_READER_PRAGMAS = (f"busy_timeout={BUSY_MILLISECONDS}", "query_only=ON")


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[], Any]
    """Runs in the writer's thread."""
    done: asyncio.Future[Any]
    asked_at: float
    """On the loop's clock."""


class SqliteDatabase(Database):
    """Loop ``storage.writer`` runs the writes one after another and ends in :meth:`close`, after the last one.

    Each write runs in a thread from begin to commit, so a late event loop does not keep other processes waiting for the
    lock.
    """

    def __init__(self, writer: Engine, readers: AsyncEngine, turn_seconds: float) -> None:
        super().__init__()
        self._writer = writer
        self._turn_seconds = turn_seconds
        self._thread = ThreadPoolExecutor(1, "storage.writer")
        self._readers = readers
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue(WRITES_WAITING + 1)  # one slot for the end marker
        self.loop = ServiceLoop("storage.writer", self._run_job, part="storage", is_vital=True, steady_seconds=1.0)
        self.loop.on_gone.add(self._refuse_waiting)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Database {state}, {self.transactions} transactions, {self._jobs.qsize()} waiting>"

    @classmethod
    async def connect(cls, target: URL, busy_milliseconds: int, turn_seconds: float) -> "SqliteDatabase":
        """As :meth:`Database.open`."""
        await asyncio.to_thread(_check_file, target)
        pragmas = (f"busy_timeout={busy_milliseconds}", *_WRITER_PRAGMAS)
        writer = _sync_engine(target, pragmas, QueuePool)  # used by one thread, so it has one connection
        begin_immediate(writer)
        database = cls(writer, _reading_engine(target), turn_seconds)
        try:
            await database.write(lambda connection: None)
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """As :meth:`Database.close`."""
        if not self._closed:
            self._closed = True
            self._jobs.put_nowait(None)
        if self.loop.is_failing:
            self._refuse_waiting()
        await asyncio.gather(self.loop.wait(), *map(over, self._reads))
        with suppress(RuntimeError):  # no thread can be started any more: the process is ending
            await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.dispose)
        self._thread.shutdown()
        await self._readers.dispose()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """As :meth:`Database.write`."""
        result: T = await self._enqueue(partial(self._transact, work))
        return result

    async def truncate_log(self) -> bool:
        """Move the write-ahead log into the database file and empty it, so that it contains no deleted row."""
        emptied: bool = await self._enqueue(self._checkpoint)
        return emptied

    async def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            async with self._readers.connect() as connection:
                return await connection.run_sync(work)
        except (SQLAlchemyError, UnicodeError, OverflowError) as error:
            raise storage_error(error) from error

    async def _enqueue(self, run: Callable[[], Any]) -> Any:
        if self._closed:
            raise closed()
        if self.loop.is_gone:
            raise _without_writer()
        if self._jobs.qsize() >= WRITES_WAITING:
            raise too_many_writes()
        loop = asyncio.get_running_loop()
        job = _Job(run, loop.create_future(), loop.time())
        self._jobs.put_nowait(job)
        return await job.done

    async def _run_job(self) -> None:
        """Run the next write. Raises LoopFinished after the last one, and whatever stops the thread from working."""
        loop = asyncio.get_running_loop()
        if (job := await self._jobs.get()) is None:
            raise LoopFinished
        if job.done.done():
            return
        if loop.time() - job.asked_at > self._turn_seconds:
            job.done.set_exception(StorageError("the database is busy, or locked by another process"))
            return
        try:
            running = loop.run_in_executor(self._thread, job.run)
        except BaseException:
            job.done.set_exception(_without_writer())
            self._thread = ThreadPoolExecutor(1, "storage.writer")
            if self._closed:
                self._refuse_waiting()
            raise
        running.add_done_callback(partial(self._deliver, job))  # also if this loop is cancelled meanwhile
        await asyncio.wait([running])

    def _deliver(self, job: _Job, written: asyncio.Future[Any]) -> None:
        """Pass a write's result or error to its caller."""
        error = _without_writer() if written.cancelled() else written.exception()
        if not job.done.done():
            if error is not None:
                job.done.set_exception(error)
            else:
                job.done.set_result(written.result())
        if error is None:
            self.on_written(asyncio.get_running_loop().time() - job.asked_at)

    def _refuse_waiting(self) -> None:
        """Fail all waiting writes: there is no writer any more."""
        while not self._jobs.empty():
            if (job := self._jobs.get_nowait()) is not None and not job.done.done():
                job.done.set_exception(_without_writer())
        self.loop.cancel()

    def _transact(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._writer.begin() as connection:
                result = work(connection)
        except (SQLAlchemyError, UnicodeError, OverflowError) as error:
            raise storage_error(error) from error
        self.transactions += 1
        return result

    def _checkpoint(self) -> bool:
        try:
            with self._writer.connect() as connection:
                return _truncate_log(connection)
        except SQLAlchemyError as error:
            raise storage_error(error) from error


def storage_error(error: Exception) -> StorageError:
    """Map a database error to StorageError. The message names the kind of failure and contains no values.

    ``retryable`` is False when the values themselves were refused, so that a retry cannot help.
    """
    cause = getattr(error, "orig", None) or error
    name = getattr(cause, "sqlite_errorname", None) or type(cause).__name__
    mapped = StorageError(f"the database failed: {name}" + (f", {meaning}" if (meaning := _meaning(name)) else ""))
    unwrapped = type(error) is StatementError  # raised before the statement reached the database
    mapped.retryable = not (unwrapped or isinstance(error, IntegrityError | DataError | UnicodeError | OverflowError))
    return mapped


def _meaning(name: str) -> str | None:
    """The meaning of SQLite's error name, which may have a suffix, as in ``SQLITE_IOERR_WRITE``."""
    return next((meaning for beginning, meaning in _MEANINGS.items() if name.startswith(beginning)), None)


def begin_immediate(engine: Engine) -> None:
    """Make each transaction take the write lock when it begins, not at its first write."""
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))


def look(target: URL, work: Callable[[Connection], T]) -> T:
    """Run ``work`` on a read-only connection. Raises StorageError, also for errors inside."""
    _check_file(target)
    engine = _sync_engine(target, _READER_PRAGMAS)
    try:
        with engine.connect() as connection:
            return work(connection)
    except SQLAlchemyError as error:
        raise storage_error(error) from error
    finally:
        engine.dispose()


def prepare(target: URL) -> None:
    """As :func:`app.storage.database.migrate`."""
    _create_file(target)
    engine = _sync_engine(target, (f"busy_timeout={BUSY_MILLISECONDS}", *_WRITER_PRAGMAS))
    begin_immediate(engine)
    boot = boot_identity()
    try:
        with engine.begin() as connection:
            upgrade_schema(connection)
            release_leases_of_earlier_boots(connection, boot)
            release_claims(connection)
    except SQLAlchemyError as error:
        mapped = storage_error(error)
        raise StorageError(f"cannot prepare the database {target.database}: {mapped}") from error
    finally:
        engine.dispose()


def _create_file(target: URL) -> None:
    """Create the file readable by its owner only, because the database contains personal data."""
    path = Path(target.database or "")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        with path.open("ab"):
            pass
    except OSError as error:
        raise StorageError(f"cannot write the database {path}: {error.strerror}") from error


def _check_file(target: URL) -> None:
    if not Path(target.database or "").is_file():
        raise StorageError(f"there is no database {target.database}: it has not been prepared")


def _sync_engine(target: URL, pragmas: tuple[str, ...], pool: type[Pool] = NullPool) -> Engine:
    plain = target.set(drivername=target.get_backend_name())
    engine = create_engine(plain, poolclass=pool, **_engine_options())
    _set_pragmas(engine, pragmas)
    return engine


def _engine_options() -> dict[str, Any]:
    return {**engine_options(), "connect_args": {"isolation_level": None}}  # the driver begins no transaction by itself


def _reading_engine(target: URL) -> AsyncEngine:
    """An engine whose readers have no transaction: the rollback would be nearly half the cost of a read."""
    no_transactions: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
    engine = create_async_engine(
        target, pool_size=_READERS, max_overflow=0, pool_timeout=5, **no_transactions, **_engine_options()
    )
    _set_pragmas(engine.sync_engine, _READER_PRAGMAS)
    return engine


def _set_pragmas(engine: Engine, pragmas: tuple[str, ...]) -> None:
    def connected(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine, "connect", connected)


def _truncate_log(connection: Connection) -> bool:
    cursor = connection.connection.cursor()  # the driver's cursor: a checkpoint cannot run inside a transaction
    cursor.execute(f"PRAGMA busy_timeout={_CHECKPOINT_MILLISECONDS}")
    try:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy = cursor.fetchone()
    finally:
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
        cursor.close()
    return busy is not None and busy[0] == 0


def _without_writer() -> StorageError:
    return StorageError("the database's writer does not work")
