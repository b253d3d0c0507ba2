"""The database: one connection that writes, a few that read, and the migration to the current schema."""

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
from app.storage.leases import release_claims, release_leases_of_earlier_boots
from app.storage.schema import REVISION, decode_object, encode_json

log = structlog.get_logger(__name__)

# At level DEBUG the driver would log the parameters of every statement, which include callers' words.
logging.getLogger("aiosqlite").setLevel(logging.INFO)

T = TypeVar("T")

_BUSY_MILLISECONDS = 5000
"""How long a writer waits for a writer of another process."""
_CHECKPOINT_MILLISECONDS = 250
_READERS = 4
_WRITES_WAITING = 1000
_TURN_SECONDS = 5.0
"""A write that has waited longer fails instead of starting; otherwise a lock would delay everyone behind it."""
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
_READER_PRAGMAS = (f"busy_timeout={_BUSY_MILLISECONDS}", "query_only=ON")


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[], Any]
    """Runs in the writer's thread."""
    done: asyncio.Future[Any]
    asked_at: float
    """On the loop's clock."""


class Database:
    """Runs transactions that are plain functions of a connection.

    A function passed to :meth:`write` or :meth:`read` cannot await, so no transaction outlives it. Loop
    ``storage.writer`` runs the writes one after another and ends in :meth:`close`, after the last one. Each write runs
    in a thread from begin to commit, so a late event loop does not keep other processes waiting for the lock. Each read
    is a task ``storage.read`` of its own and delays nobody.
    """

    def __init__(self, writer: Engine, readers: AsyncEngine, turn_seconds: float) -> None:
        self._writer = writer
        self._turn_seconds = turn_seconds
        self._thread = ThreadPoolExecutor(1, "storage.writer")
        self._readers = readers
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue(_WRITES_WAITING + 1)  # one slot for the end marker
        self._closed = False
        self._reads: set[asyncio.Task[Any]] = set()
        self.transactions = 0
        """How many write transactions were committed."""
        self.on_written = Listeners[[float]]("storage.written")
        """Called after each write with the seconds from its request to its commit."""
        self.loop = ServiceLoop("storage.writer", self._run_job, part="storage", is_vital=True, steady_seconds=1.0)
        self.loop.on_gone.add(self._refuse_waiting)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Database {state}, {self.transactions} transactions, {self._jobs.qsize()} waiting>"

    @classmethod
    async def open(
        cls, url: str, *, busy_milliseconds: int = _BUSY_MILLISECONDS, turn_seconds: float = _TURN_SECONDS
    ) -> "Database":
        """Connect to a database that :func:`migrate` has prepared.

        ``url`` is SQLAlchemy's, such as ``sqlite+aiosqlite:////data/calls.db``. ``busy_milliseconds`` is how long a
        write waits for another process's lock, ``turn_seconds`` how long it waits for its turn. Raises StorageError.
        """
        target = _parsed(url)
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
        """Finish waiting writes and reads, then close every connection; calling it again does nothing."""
        if not self._closed:
            self._closed = True
            self._jobs.put_nowait(None)
        if self.loop.is_failing:
            self._refuse_waiting()
        await asyncio.gather(self.loop.wait(), *map(_over, self._reads))
        with suppress(RuntimeError):  # no thread can be started any more: the process is ending
            await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.dispose)
        self._thread.shutdown()
        await self._readers.dispose()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction, committed when this returns and rolled back when it raises.

        Cancelling leaves nothing half done: a transaction that has begun finishes, one that has not never begins.
        Raises StorageError, also at once when 1,000 writes wait, and when its turn does not come within 5 s.
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
        """Move the write-ahead log into the database file and empty it, so that it contains no deleted row.

        False when other connections use the log; a later call, or the last close, empties it. Writes wait during the
        attempt, so it gives up soon.
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
    """Make each transaction of a SQLite engine take the write lock when it begins, not at its first write."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))


@contextmanager
def read_only(url: str) -> Iterator[Connection]:
    """A read-only connection for other programs than the service. Raises StorageError, also for errors inside."""
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
    """Create the database or update its schema, in one transaction. Call it before :meth:`Database.open`.

    It also releases calls that were live when the machine went down, so that they can be ended, and what dead workers
    had claimed. So no worker may run meanwhile.

    Raises StorageError when the file cannot be written, is not a database, or has a newer schema than this version.
    """
    target = _parsed(url)
    if target.get_backend_name() == "sqlite":
        _create_file(target)
    engine = _sync_engine(target, (f"busy_timeout={_BUSY_MILLISECONDS}", *_WRITER_PRAGMAS))
    begin_immediate(engine)
    boot = boot_identity()
    try:
        with engine.begin() as connection:
            _upgrade(connection)
            release_leases_of_earlier_boots(connection, boot)
            release_claims(connection)
    except SQLAlchemyError as error:
        mapped = storage_error(error)
        raise StorageError(f"cannot prepare the database {target.database}: {mapped}") from error
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    """Upgrade the schema; a current one needs nothing, and then Alembic is not loaded."""
    if inspect(connection).has_table("alembic_version"):
        revisions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        if revisions == [REVISION]:
            return
    from app.storage.migrations import upgrade  # Alembic takes a third of a second to load

    upgrade(connection)


def database_file(url: str) -> Path | None:
    """The file of a SQLite database; None when it is not a file. Raises StorageError."""
    target = _parsed(url)
    return Path(target.database) if target.get_backend_name() == "sqlite" and target.database else None


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


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        raise StorageError("database_url is not the address of a database") from error


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
        options["connect_args"] = {"isolation_level": None}  # the driver begins no transaction by itself
    return options


def _reading_engine(target: URL) -> AsyncEngine:
    """An engine whose readers have no transaction: the rollback would be nearly half the cost of a read."""
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
    cursor = connection.connection.cursor()  # the driver's cursor: a checkpoint cannot run inside a transaction
    cursor.execute(f"PRAGMA busy_timeout={_CHECKPOINT_MILLISECONDS}")
    try:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy = cursor.fetchone()
    finally:
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
        cursor.close()
    return busy is not None and busy[0] == 0


async def _over(reading: asyncio.Task[Any]) -> None:
    """Wait until a read is over; its result or error goes to its caller."""
    await asyncio.wait([reading])


def _without_writer() -> StorageError:
    return StorageError("the database's writer does not work")


def _closed() -> StorageError:
    return StorageError("the database is closed")
