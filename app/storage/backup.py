"""Copies the whole database as it is at one moment, while the service writes, and puts such a copy back.

SQLite by its online backup (https://www.sqlite.org/backup.html), Postgres by its own programs pg_dump and pg_restore
(https://www.postgresql.org/docs/current/app-pgdump.html), which must not be older than the server.
"""

import os
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import URL, inspect, select

from app.errors import StorageError
from app.storage.database import database_file, look, parsed
from app.storage.schema import calls

SQLITE_COPY, POSTGRES_COPY = "calls.db", "calls.dump"
"""The names of copies."""
_PORT: Final = 5432
_OWN = 0o600
_REASON_MAX = 300


def copy_name(url: str) -> str:
    """The name of a copy, which says of what kind it is."""
    return SQLITE_COPY if database_file(url) is not None else POSTGRES_COPY


def copy_database(url: str, copy: Path) -> None:
    """Copy the database to a new file, in one read transaction, which delays no writer. Raises StorageError."""
    copy.touch(mode=_OWN, exist_ok=False)
    file = database_file(url)
    if file is None:
        _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={copy}")
        return
    try:
        with (
            closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
    except sqlite3.Error as error:
        raise StorageError(f"the database cannot be copied: {error}") from error


def recorded_calls(url: str) -> list[str]:
    """The ids of the calls that have a recording. Raises StorageError."""
    wanted = select(calls.c.call_id).where(calls.c.recording, calls.c.recording_erased_at.is_(None))
    return look(url, lambda connection: list(connection.execute(wanted.order_by(calls.c.call_id)).scalars()))


def is_empty(url: str) -> bool:
    """Whether there are no calls yet. Raises StorageError."""
    file = database_file(url)
    if file is not None and not file.exists():
        return True
    if file is not None:
        return False
    return look(url, lambda connection: not inspect(connection).get_table_names())


def put_back(url: str, copy: Path) -> None:
    """Put a copy where there is nothing yet, whole or not at all. Raises StorageError."""
    file = database_file(url)
    if file is None:
        options = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
        _run("pg_restore", url, *options, f"--dbname={parsed(url).database or ''}", str(copy))
        return
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy.rename(file)
    except OSError as error:
        raise StorageError(f"the database cannot be put back: {error.strerror}") from error


def _run(program: str, url: str, *arguments: str) -> None:
    environment = {**os.environ, **_libpq(parsed(url))}
    try:
        done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    except FileNotFoundError as error:
        raise StorageError(f"{program} is not here: install PostgreSQL's client programs") from error
    if done.returncode:
        reason = " ".join(done.stderr.split())[:_REASON_MAX]
        raise StorageError(f"{program} failed with status {done.returncode}: {reason}")


def _libpq(target: URL) -> Mapping[str, str]:
    """Where the server is, as libpq's programs read it; a password is not in their arguments, which others can see.

    https://www.postgresql.org/docs/current/libpq-envars.html
    """
    named = target.query.get("host", target.host or "localhost")
    hosts = [named] if isinstance(named, str) else list(named)
    places = [host.rpartition(":") if ":" in host else (host, "", str(target.port or _PORT)) for host in hosts]
    settings = {
        "PGHOST": ",".join(host for host, _, _ in places),
        "PGPORT": ",".join(port for _, _, port in places),
        "PGDATABASE": target.database,
        "PGUSER": target.username,
        "PGPASSWORD": target.password,
        "PGTARGETSESSIONATTRS": "primary" if len(hosts) > 1 else None,
    }
    return {name: value for name, value in settings.items() if value}
