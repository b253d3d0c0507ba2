"""The port of the database: transactions that are plain functions of a connection, and the migration.

Two databases stand behind it: a SQLite file for one machine (:mod:`app.storage.dialects.sqlite`) and Postgres for any
number of machines (:mod:`app.storage.dialects.postgres`). Each is loaded only where it is used.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, inspect, make_url, text
from sqlalchemy.exc import ArgumentError

from app.errors import StorageError
from app.observability.listeners import Listeners
from app.service_loops import ServiceLoop
from app.storage.schema import REVISION, decode_object, encode_json
from app.storage.wakeups import Wakeups

T = TypeVar("T")

WRITES_WAITING = 1000
"""So many writes may wait; one more is refused."""
BUSY_MILLISECONDS = 5000
"""How long a write waits for what another process has locked."""
TURN_SECONDS = 5.0
"""A write that has waited longer fails instead of starting; otherwise a lock would delay everyone behind it."""
_SQLITE, _POSTGRES = "sqlite", "postgresql"


class NotPrepared(StorageError):
    """A database without the tables, which :func:`migrate` makes."""


class Database(ABC):
    """Runs transactions that are plain functions of a connection.

    A function passed to :meth:`write` or :meth:`read` cannot await anything but its own statements, so no transaction
    outlives it. It may be run again if its transaction was rolled back. Each read is a task ``storage.read`` of its own
    and delays nobody.
    """

    loop: ServiceLoop
    """Ends in :meth:`close`."""
    unmoved_seconds = 0.0
    """How long a lease that has run out must also have stood still; see :mod:`app.storage.lease_sightings`."""

    def __init__(self) -> None:
        self._closed = False
        self._reads: set[asyncio.Task[Any]] = set()
        self.wakeups = Wakeups()
        self.transactions = 0
        """How many write transactions were committed."""
        self.on_written = Listeners[[float]]("storage.written")
        """Called after each write with the seconds from its request to its commit."""

    @staticmethod
    async def open(
        url: str, *, busy_milliseconds: int = BUSY_MILLISECONDS, turn_seconds: float = TURN_SECONDS
    ) -> "Database":
        """Connect to a database that :func:`migrate` has prepared.

        ``url`` is SQLAlchemy's: ``sqlite+aiosqlite:////data/calls.db``, ``postgresql+asyncpg://user@host/calls``.
        ``busy_milliseconds`` is how long a write waits for another process's lock, ``turn_seconds`` how long it waits
        for its turn. Raises StorageError.
        """
        target = parsed(url)
        if is_postgres(target):
            from app.storage.dialects.postgres import PostgresDatabase

            return await PostgresDatabase.connect(target, busy_milliseconds, turn_seconds)
        from app.storage.dialects.sqlite import SqliteDatabase

        return await SqliteDatabase.connect(target, busy_milliseconds, turn_seconds)

    @abstractmethod
    async def close(self) -> None:
        """Finish waiting writes and reads, then close every connection; calling it again does nothing."""

    @abstractmethod
    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction, committed when this returns and rolled back when it raises.

        Cancelling leaves nothing half done: a transaction that has begun finishes, one that has not never begins.
        Raises StorageError, also at once when 1,000 writes wait, and when its turn does not come within 5 s.
        """

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a connection that cannot write; each statement sees the newest commit.

        A cancelled caller does not interrupt the statement, which would cost the connection. Raises StorageError.
        """
        return await asyncio.shield(self.reading(work))

    def reading(self, work: Callable[[Connection], T]) -> "asyncio.Task[T]":
        """As :meth:`read`, for several that wait for the same and do not cancel it. Raises StorageError when closed."""
        if self._closed:
            raise closed()
        reading = asyncio.get_running_loop().create_task(self._read(work), name="storage.read")
        self._reads.add(reading)
        reading.add_done_callback(self._reads.discard)
        return reading

    @abstractmethod
    async def _read(self, work: Callable[[Connection], T]) -> T:
        """Do the same in its own task."""

    async def ping(self) -> None:
        """Ask the database for something that it must be there for. Raises StorageError."""
        await self.read(lambda connection: connection.execute(text("SELECT version_num FROM alembic_version")).all())

    @abstractmethod
    async def truncate_log(self) -> bool:
        """Remove what was deleted from the database's own log, where that is in the service's hands.

        False when other connections use the log; a later call, or the last close, empties it. Writes wait during the
        attempt, so it gives up soon.
        """


def migrate(url: str) -> None:
    """Create the database's tables or update its schema, in one transaction. Call it before :meth:`Database.open`.

    On SQLite, whose processes are all of this machine, it also releases calls that were live when the machine went
    down, so that they can be ended, and what dead workers had claimed. So no worker may run meanwhile.

    Raises StorageError when the database cannot be written, is none, or has a newer schema than this version.
    """
    target = parsed(url)
    if is_postgres(target):
        from app.storage.dialects.postgres import prepare
    else:
        from app.storage.dialects.sqlite import prepare
    prepare(target)


def look(url: str, work: Callable[[Connection], T]) -> T:
    """Run ``work`` on a read-only connection, for other programs than the service. Raises StorageError."""
    target = parsed(url)
    if is_postgres(target):
        from app.storage.dialects.postgres import look as look_there
    else:
        from app.storage.dialects.sqlite import look as look_there
    return look_there(target, work)


def upgrade_schema(connection: Connection) -> bool:
    """Upgrade the schema as part of a transaction; whether there was anything to do. Alembic is loaded only then."""
    if inspect(connection).has_table("alembic_version"):
        revisions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        if revisions == [REVISION]:
            return False
    from app.storage.migrations import upgrade  # Alembic takes a third of a second to load

    upgrade(connection)
    return True


def database_file(url: str) -> Path | None:
    """The file of a SQLite database; None when it is not a file. Raises StorageError."""
    target = parsed(url)
    return Path(target.database) if target.get_backend_name() == _SQLITE and target.database else None


def is_shared(url: str) -> bool:
    """Whether other machines may use the same database."""
    return is_postgres(parsed(url))


def parsed(url: str) -> URL:
    """An address of SQLAlchemy. Raises StorageError."""
    try:
        return make_url(url)
    except ArgumentError as error:
        raise StorageError("database_url is not the address of a database") from error


def is_postgres(target: URL) -> bool:
    """Whether the address is one of Postgres."""
    return target.get_backend_name() == _POSTGRES


def engine_options() -> dict[str, Any]:
    """What engines of both databases have: no values in errors, and our JSON."""
    return {"hide_parameters": True, "json_serializer": encode_json, "json_deserializer": decode_object}


async def over(task: asyncio.Task[Any]) -> None:
    """Wait until a read or a write is over; its result or error goes to its caller."""
    await asyncio.wait([task])


def closed() -> StorageError:
    """The error of a database that was closed."""
    return StorageError("the database is closed")


def too_many_writes() -> StorageError:
    """The error when :data:`WRITES_WAITING` writes wait."""
    return StorageError("too many writes wait for the database")
