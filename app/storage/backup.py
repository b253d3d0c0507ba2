"""Copies the whole database as it is at one moment, while the service writes, and puts such a copy back.

SQLite's online backup: https://www.sqlite.org/backup.html
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from app.errors import StorageError
from app.storage.database import database_file, storage_error

COPY_NAME = "calls.db"
"""The name of the copy."""


def copy_database(url: str, copy: Path) -> None:
    """Copy the database to a new file, in one read transaction, which delays no writer. Raises StorageError."""
    try:
        with closing(sqlite3.connect(f"{_file(url).absolute().as_uri()}?mode=ro", uri=True)) as source:
            copy.touch(mode=0o600)
            with closing(sqlite3.connect(copy)) as target:
                source.backup(target)
    except (sqlite3.Error, OSError) as error:
        raise _failed(error) from error


def recorded_calls(copy: Path) -> list[str]:
    """The ids of the calls in a copy that have a recording. Raises StorageError."""
    wanted = "SELECT call_id FROM calls WHERE recording AND recording_erased_at IS NULL ORDER BY call_id"
    try:
        with closing(sqlite3.connect(copy)) as connection:
            return [str(call_id) for (call_id,) in connection.execute(wanted)]
    except sqlite3.Error as error:
        raise _failed(error) from error


def is_empty(url: str) -> bool:
    """Whether there is no database yet. Raises StorageError."""
    return not _file(url).exists()


def put_back(url: str, copy: Path) -> None:
    """Put a copy in the place of a database that does not exist yet. Raises StorageError."""
    file = _file(url)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy.rename(file)
    except OSError as error:
        raise _failed(error) from error


def _file(url: str) -> Path:
    file = database_file(url)
    if file is None:
        raise StorageError("only a database in a SQLite file can be backed up")
    return file


def _failed(error: Exception) -> StorageError:
    if isinstance(error, OSError):
        return StorageError(f"the database cannot be copied: {error.strerror}")
    return storage_error(error)
