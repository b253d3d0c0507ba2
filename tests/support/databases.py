"""The databases of tests: a SQLite file, or on Postgres a database that the file's name stands for.

A test names the file ``calls.db`` of a folder. Which of the two that is, the folder of the test decides: those of the
storage run on both, the calls from end to end on the one that ``TESTS_ON`` names.
"""

import os
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from app.clock import set_lease_clock
from app.storage.schema import metadata
from tests.support.postgres import Cluster, give_back, lend_database, program

CALLS_ARE_ON_POSTGRES = os.environ.get("TESTS_ON") == "postgres"


class Databases:
    """Those of the test that runs now."""

    def __init__(self) -> None:
        self.are_on_postgres = False
        self._lent: dict[Path, tuple[Cluster, str]] = {}

    def of(self, path: Path) -> tuple[Cluster, str]:
        """The Postgres database that the path stands for."""
        if path not in self._lent:
            self._lent[path] = lend_database()
        return self._lent[path]

    def forget(self) -> None:
        """Give all back, and let leases count by this machine's clock again."""
        set_lease_clock(0.0)
        for database in self._lent.values():
            give_back(*database)
        self._lent.clear()


databases = Databases()


def url_of(path: Path) -> str:
    """SQLAlchemy's address of a database."""
    if databases.are_on_postgres:
        cluster, name = databases.of(path)
        return cluster.url(name)
    return f"sqlite+aiosqlite:///{path}"


def look(path: Path, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """What another process sees in the database; a question mark stands for each parameter."""
    if databases.are_on_postgres:
        cluster, name = databases.of(path)
        numbers = count(1)
        return cluster.query(name, re.sub(r"\?", lambda _mark: f"${next(numbers)}", query), *parameters)
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(query, parameters).fetchall()


change = look
"""What another process writes there."""


@contextmanager
def locked(path: Path) -> Iterator[Callable[[], None]]:
    """Another program lets nobody write until the given function is called, or to the end."""
    lock = _locked_postgres if databases.are_on_postgres else _locked_sqlite
    with lock(path) as release:
        yield release


@contextmanager
def _locked_sqlite(path: Path) -> Iterator[Callable[[], None]]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")

    def release() -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    try:
        yield release
    finally:
        release()
        connection.close()


@contextmanager
def _locked_postgres(path: Path) -> Iterator[Callable[[], None]]:
    """Every table, in a transaction of a program of its own."""
    cluster, name = databases.of(path)
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    with subprocess.Popen(
        [program("psql"), "-qAtX", cluster.url(name).replace("+asyncpg", "")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as psql:
        assert psql.stdin is not None
        assert psql.stdout is not None
        psql.stdin.write(f"BEGIN; LOCK TABLE {tables} IN EXCLUSIVE MODE; SELECT 'locked';\n")
        psql.stdin.flush()
        assert psql.stdout.readline() == "locked\n"

        def release() -> None:
            assert psql.stdin is not None
            if not psql.stdin.closed:
                psql.stdin.write("ROLLBACK;\n")
                psql.stdin.close()

        try:
            yield release
        finally:
            release()
