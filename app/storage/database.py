"""The database itself: one connection that writes, a few that read, and its migration to the current schema."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    Pool,
    QueuePool,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, SQLAlchemyError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.clock import boot_identity
from app.errors import StorageError
from app.observability.listeners import Listeners
from app.service_loops import LoopFinished, ServiceLoop
from app.storage.leases import release_leases_of_earlier_boots
from app.storage.schema import REVISION, decode_object, encode_json

log = structlog.get_logger(__name__)

# At level DEBUG the driver logs the parameters of every statement, which are the caller's words.
logging.getLogger("aiosqlite").setLevel(logging.INFO)

T = TypeVar("T")

_BUSY_MILLISECONDS = 5000
"""How long a writer waits for the writer of another process."""
_CHECKPOINT_MILLISECONDS = 250
_READERS = 4
_WRITES_WAITING = 1000
_TURN_SECONDS_MAX = 5.0
"""A write whose turn comes later is not begun: behind a lock everybody would wait for all those before him."""
_WRITER_PRAGMAS = (
    f"busy_timeout={_BUSY_MILLISECONDS}",
    "journal_mode=WAL",
    "synchronous=FULL",  # a commit survives a power cut; NORMAL may lose the last ones
    "foreign_keys=ON",
    "secure_delete=ON",  # what is deleted is overwritten with zeros
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
_READER_PRAGMAS = (f"busy_timeout={_BUSY_MILLISECONDS}", "query_only=ON")


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[], Any]
    """Called in the writer's thread."""
    done: asyncio.Future[Any]
    asked_at: float
    """The loop's clock."""


class Database:
    """Transactions as plain functions of a connection.

    A function that is given to :meth:`write` or :meth:`read` cannot await anything, so no transaction outlives it.
    Loop ``storage.writer`` runs the writes one after the other; it ends in :meth:`close`, after the last of them.
    A write runs in a thread from its beginning to its commit: a loop that is late keeps no other process waiting for
    the lock. A task ``storage.read`` is one read, and holds nobody up.
    """

    def __init__(self, writer: Engine, readers: AsyncEngine) -> None:
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, "storage.writer")
        self._readers = readers
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue(_WRITES_WAITING + 1)  # one place is for the end
        self._closed = False
        self._reads: set[asyncio.Task[Any]] = set()
        self.transactions = 0
        """Write transactions that were committed."""
        self.on_written = Listeners[[float]]("storage.written")
        """Told of each write how many seconds it took from the wish for it."""
        self.loop = ServiceLoop("storage.writer", self._run_job, part="storage", is_vital=True, steady_seconds=1.0)
        self.loop.on_gone.add(self._refuse_waiting)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Database {state}, {self.transactions} transactions, {self._jobs.qsize()} waiting>"

    @classmethod
    async def open(cls, url: str) -> "Database":
        """Connect to a database that :func:`migrate` has prepared.

        ``url`` is SQLAlchemy's, such as ``sqlite+aiosqlite:////data/calls.db``. Raises StorageError.
        """
        target = _parsed(url)
        await asyncio.to_thread(_check_file, target)
        writer = _sync_engine(target, _WRITER_PRAGMAS, QueuePool)  # of one thread, and so one connection
        begin_immediate(writer)
        database = cls(writer, _reading_engine(target))
        try:
            await database.write(lambda connection: None)
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Finish the writes that wait and the reads, then close every connection; again it does nothing."""
        if not self._closed:
            self._closed = True
            self._jobs.put_nowait(None)
        if self.loop.is_failing:
            self._refuse_waiting()
        await asyncio.gather(self.loop.wait(), *map(_over, self._reads))
        with suppress(RuntimeError):  # a thread that cannot be had closes nothing; the process ends
            await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.dispose)
        self._thread.shutdown()
        await self._readers.dispose()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction, committed when this returns and rolled back when it raises.

        A cancelled caller leaves no half: a transaction that has begun runs to its end, another is not begun. Raises
        StorageError, also at once when 1,000 writes wait already, and when its turn does not come within 5 s.
        """
        result: T = await self._enqueue(partial(self._transact, work))
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a connection that cannot write; each statement sees the newest commit.

        A cancelled caller does not interrupt the statement, which would cost the connection. Raises StorageError.
        """
        return await asyncio.shield(self.reading(work))

    def reading(self, work: Callable[[Connection], T]) -> "asyncio.Task[T]":
        """As :meth:`read`, for several that wait for the same and do not cancel it. Raises StorageError when closed."""
        if self._closed:
            raise _closed()
        reading = asyncio.get_running_loop().create_task(self._read(work), name="storage.read")
        self._reads.add(reading)
        reading.add_done_callback(self._reads.discard)
        return reading

    async def ping(self) -> None:
        """Ask the database for something that it must be there for. Raises StorageError."""
        await self.read(lambda connection: connection.execute(text("SELECT version_num FROM alembic_version")).all())

    async def truncate_log(self) -> bool:
        """Move the write-ahead log into the database file and empty it, so that no deleted row is left there.

        False when other connections keep it in use; a later call, or the last close, empties it. Writes wait
        meanwhile, so it is not insisted on.
        """
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
            raise _closed()
        if self.loop.is_gone:
            raise _without_writer()
        if self._jobs.qsize() >= _WRITES_WAITING:
            raise StorageError("too many writes wait for the database")
        loop = asyncio.get_running_loop()
        job = _Job(run, loop.create_future(), loop.time())
        self._jobs.put_nowait(job)
        return await job.done

    async def _run_job(self) -> None:
        """The next write. Raises LoopFinished after the last, and what keeps the thread from working."""
        loop = asyncio.get_running_loop()
        if (job := await self._jobs.get()) is None:
            raise LoopFinished
        if job.done.done():
            return
        if loop.time() - job.asked_at > _TURN_SECONDS_MAX:
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
        running.add_done_callback(partial(self._deliver, job))  # also when this loop is cancelled meanwhile
        await asyncio.wait([running])

    def _deliver(self, job: _Job, written: asyncio.Future[Any]) -> None:
        """Give the outcome of a write to the one who asked for it; an error belongs to them, and is raised there."""
        error = _without_writer() if written.cancelled() else written.exception()
        if not job.done.done():
            if error is not None:
                job.done.set_exception(error)
            else:
                job.done.set_result(written.result())
        if error is None:
            self.on_written(asyncio.get_running_loop().time() - job.asked_at)

    def _refuse_waiting(self) -> None:
        """Without a writer nobody waits for it."""
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
    """The service's error for the database's. It names the kind of failure and quotes no value.

    ``retryable`` is False when the values themselves were refused, so that trying again cannot help.
    """
    cause = getattr(error, "orig", None) or error
    name = getattr(cause, "sqlite_errorname", None) or type(cause).__name__
    mapped = StorageError(f"the database failed: {name}" + (f", {meaning}" if (meaning := _meaning(name)) else ""))
    unwrapped = type(error) is StatementError  # raised before the database was asked
    mapped.retryable = not (unwrapped or isinstance(error, IntegrityError | DataError | UnicodeError | OverflowError))
    return mapped


def _meaning(name: str) -> str | None:
    """Of SQLite's name for an error, which may have more behind it, as in ``SQLITE_IOERR_WRITE``."""
    return next((meaning for beginning, meaning in _MEANINGS.items() if name.startswith(beginning)), None)


def begin_immediate(engine: Engine) -> None:
    """Make each transaction of a SQLite engine take the write lock at its beginning, not at its first write."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))


@contextmanager
def read_only(url: str) -> Iterator[Connection]:
    """A connection that cannot write, for who is not the service. Raises StorageError, also for what fails inside."""
    target = _parsed(url)
    _check_file(target)
    engine = _sync_engine(target, _READER_PRAGMAS)
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise storage_error(error) from error
    finally:
        engine.dispose()


def migrate(url: str) -> None:
    """Create the database or bring its schema up to date, in one transaction. To be called before it is opened.

    Calls that lived when the machine was shut down are released, so that they can be ended.

    Raises StorageError when the database cannot be written, is none, or belongs to a newer version of the service.
    """
    target = _parsed(url)
    if target.get_backend_name() == "sqlite":
        _create_file(target)
    engine = _sync_engine(target, _WRITER_PRAGMAS)
    begin_immediate(engine)
    boot = boot_identity()
    try:
        with engine.begin() as connection:
            _upgrade(connection)
            release_leases_of_earlier_boots(connection, boot)
    except SQLAlchemyError as error:
        mapped = storage_error(error)
        raise StorageError(f"cannot prepare the database {target.database}: {mapped}") from error
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    """Nothing to do for a schema that is current, so that a start need not load what migrates."""
    if inspect(connection).has_table("alembic_version"):
        revisions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        if revisions == [REVISION]:
            return
    from app.storage.migrations import upgrade  # Alembic takes a third of a second to load

    upgrade(connection)


def database_file(url: str) -> Path | None:
    """The file of a SQLite database; None for one that is no file. Raises StorageError."""
    target = _parsed(url)
    return Path(target.database) if target.get_backend_name() == "sqlite" and target.database else None


def _create_file(target: URL) -> None:
    """The database holds personal data, so a new file is for its owner alone."""
    path = Path(target.database or "")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        with path.open("ab"):
            pass
    except OSError as error:
        raise StorageError(f"cannot write the database {path}: {error.strerror}") from error


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        raise StorageError("database_url is no address of a database") from error


def _check_file(target: URL) -> None:
    if target.get_backend_name() == "sqlite" and not Path(target.database or "").is_file():
        raise StorageError(f"there is no database {target.database}: it has not been prepared")


def _sync_engine(target: URL, pragmas: tuple[str, ...], pool: type[Pool] = NullPool) -> Engine:
    plain = target.set(drivername=target.get_backend_name())
    engine = create_engine(plain, poolclass=pool, **_engine_options(target))
    _set_pragmas(engine, pragmas)
    return engine


def _engine_options(target: URL) -> dict[str, Any]:
    options: dict[str, Any] = {
        "hide_parameters": True,
        "json_serializer": encode_json,
        "json_deserializer": decode_object,
    }
    if target.get_backend_name() == "sqlite":
        options["connect_args"] = {"isolation_level": None}  # the driver begins nothing by itself
    return options


def _reading_engine(target: URL) -> AsyncEngine:
    """A reader has no transaction, so none has to be rolled back, which is nearly half of what a look costs."""
    no_transactions: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
    engine = create_async_engine(
        target, pool_size=_READERS, max_overflow=0, pool_timeout=5, **no_transactions, **_engine_options(target)
    )
    _set_pragmas(engine.sync_engine, _READER_PRAGMAS)
    return engine


def _set_pragmas(engine: Engine, pragmas: tuple[str, ...]) -> None:
    def connected(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", connected)


def _truncate_log(connection: Connection) -> bool:
    cursor = connection.connection.cursor()  # the driver's own: a checkpoint cannot run inside a transaction
    cursor.execute(f"PRAGMA busy_timeout={_CHECKPOINT_MILLISECONDS}")
    try:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy = cursor.fetchone()
    finally:
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
        cursor.close()
    return busy is not None and busy[0] == 0


async def _over(reading: asyncio.Task[Any]) -> None:
    """Whatever comes of it is for the one who asked."""
    await asyncio.wait([reading])


def _without_writer() -> StorageError:
    return StorageError("the database's writer does not work")


def _closed() -> StorageError:
    return StorageError("the database is closed")
