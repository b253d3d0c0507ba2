"""``voice-agent backup`` and ``restore``: everything that the service has stored, as one file, while it runs.

The file is a tar archive: a copy of the database, the recordings of the calls in it, the last rows of calls that the
database had not taken yet, and at last ``manifest.json`` with the size and SHA-256 of each. An archive that ends early
has no manifest, and is not restored. The copy of the database comes first: whatever it names is there or was erased
since, and a recording that goes on meanwhile is at least as long as its journal.
"""

import hashlib
import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, Any, Final

from app.clock import iso_utc, utc_now
from app.errors import StorageError
from app.observability.printable import printable
from app.settings import Settings, load_settings
from app.storage.backup import (
    POSTGRES_COPY,
    SQLITE_COPY,
    copy_database,
    copy_name,
    is_empty,
    put_back,
    recorded_calls,
)
from app.storage.database import migrate
from app.storage.schema import REVISION

_FAILED: Final = 1
_MANIFEST: Final = "manifest.json"
_KINDS: Final = ("recordings", "unsaved")
"""The folders of an archive."""
_OWN_FILE, _OWN_FOLDER = 0o600, 0o700
"""Callers' words are in it."""
_BLOCK_BYTES = 1 << 20


class _Unfit(Exception):
    """An archive that cannot be made or restored; the message says why and what to do."""


@dataclass(slots=True)
class _Contents:
    """What an archive says of itself."""

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Size and digest of each file, by its name in the archive."""
    calls: int = 0
    """How many calls have a recording in it."""


def backup_command(target: Path) -> int:
    """Write everything to a new file. Returns the exit status."""
    settings = load_settings()
    part = target.with_name(f"{target.name}.part")
    try:
        if target.exists():
            raise _Unfit(f"{target} exists already: give another name, or remove it")
        contents = _write(settings, part)
        part.rename(target)
    except (_Unfit, StorageError, OSError) as error:
        with suppress(OSError):
            part.unlink()
        sys.stderr.write(f"Nothing was backed up: {printable(str(error))}\n")
        return _FAILED
    size = target.stat().st_size / 1e6
    sys.stdout.write(f"{target}: the database and {contents.calls} recordings, {size:.1f} MB\n")
    return 0


def restore_command(source: Path) -> int:
    """Put everything back, where nothing is yet. Returns the exit status."""
    settings = load_settings()
    try:
        _check_free(settings)
        manifest = _checked(source)
        if copy_name(settings.database) not in manifest["files"]:
            raise _Unfit("it is of the other kind of database: SQLite and Postgres cannot be restored into each other")
        _unpack(source, settings, manifest)
        migrate(settings.database)
    except (_Unfit, StorageError, OSError, tarfile.TarError, ValueError) as error:
        sys.stderr.write(f"Nothing was restored: {printable(str(error))}\n")
        return _FAILED
    files = manifest["files"]
    recordings = {PurePosixPath(name).parts[1] for name in files if name.startswith("recordings/")}
    sys.stdout.write(f"Restored the database of {manifest['made_at']} and {len(recordings)} recordings.\n")
    return 0


def _write(settings: Settings, path: Path) -> _Contents:
    contents = _Contents()
    with TemporaryDirectory(dir=path.parent, prefix=".backup-") as folder, _new_file(path) as file:
        copy = Path(folder) / copy_name(settings.database)
        copy_database(settings.database, copy)
        with tarfile.open(fileobj=file, mode="w") as archive:
            _add(archive, contents, copy.name, copy)
            for call_id in recorded_calls(settings.database):
                found = [_add(archive, contents, f"recordings/{name}", settings.recordings_dir / name) for name in
                         _names(settings.recordings_dir, call_id)]  # fmt: skip
                contents.calls += any(found)
            for name in _names(settings.data_dir, "unsaved"):
                _add(archive, contents, name, settings.data_dir / name)
            made = {"version": version("voice-agent"), "schema": REVISION, "made_at": iso_utc(utc_now())}
            _add_bytes(archive, _MANIFEST, json.dumps({**made, "files": contents.files}).encode())
        os.fsync(file.fileno())
    return contents


def _names(root: Path, folder: str) -> Iterator[str]:
    """The files in a folder, as their names in an archive; none if it is gone."""
    yield from sorted(f"{folder}/{path.name}" for path in _all(root / folder) if path.is_file())


def _add(archive: tarfile.TarFile, contents: _Contents, name: str, path: Path) -> bool:
    """Add a file as long as it is now; it may grow or vanish meanwhile. Returns whether it was there."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return False
    with file:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = os.fstat(file.fileno()).st_size, _OWN_FILE
        counted = _Counted(file, entry.size)
        archive.addfile(entry, counted)  # type: ignore[arg-type]  # it reads only
    contents.files[name] = {"bytes": entry.size, "sha256": counted.digest.hexdigest()}
    return True


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), _OWN_FILE
    archive.addfile(entry, io.BytesIO(data))


class _Counted:
    """Reads a file up to a length, and digests what it has read."""

    def __init__(self, file: IO[bytes], length: int) -> None:
        self.digest = hashlib.sha256()
        self._file, self._left = file, length

    def read(self, size: int) -> bytes:
        """The next bytes; empty after the length."""
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        self.digest.update(data)
        return data


def _check_free(settings: Settings) -> None:
    """Raises _Unfit where something would be overwritten, perhaps under a running service."""
    if not is_empty(settings.database) or any(next(_all(settings.data_dir / kind), None) for kind in _KINDS):
        raise _Unfit(
            f"{settings.data_dir} has calls already. Stop the service, move the folder away, and restore into a new one"
        )


def _all(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from folder.iterdir()


def _checked(source: Path) -> dict[str, Any]:
    """The manifest of an archive, all of whose files are as they were written. Raises _Unfit, OSError, TarError."""
    found: dict[str, dict[str, Any]] = {}
    manifest: dict[str, Any] | None = None
    with tarfile.open(source) as archive:
        for entry in archive:
            data = archive.extractfile(entry)
            if data is None or not _is_ours(entry.name):
                raise _Unfit(f"{source} is no backup of this service: it has {entry.name!r}")
            if entry.name == _MANIFEST:
                manifest = json.load(data)
                continue
            digest = hashlib.sha256()
            while block := data.read(_BLOCK_BYTES):
                digest.update(block)
            found[entry.name] = {"bytes": entry.size, "sha256": digest.hexdigest()}
    if manifest is None:
        raise _Unfit(f"{source} has no manifest: it is no backup of this service, or was cut off")
    if (schema := str(manifest["schema"])) > REVISION:
        raise _Unfit(f"a newer version made it (schema {schema}, this one has {REVISION}): install that version")
    wrong = [name for name in manifest["files"].keys() | found.keys() if manifest["files"].get(name) != found.get(name)]
    if wrong:
        raise _Unfit(f"{source} is damaged: {min(wrong)} and {len(wrong) - 1} others are not as they were written")
    return manifest


def _is_ours(name: str) -> bool:
    """Whether a file of that name goes where it belongs, and nowhere else."""
    parts = PurePosixPath(name).parts
    if name in (SQLITE_COPY, POSTGRES_COPY, _MANIFEST):
        return True
    depth = {"recordings": 3, "unsaved": 2}.get(parts[0] if parts else "")
    return len(parts) == depth and ".." not in parts and str(PurePosixPath(*parts)) == name


def _unpack(source: Path, settings: Settings, manifest: dict[str, Any]) -> None:
    """The database comes last: without it there is nothing that a service could take for whole."""
    settings.data_dir.mkdir(mode=_OWN_FOLDER, parents=True, exist_ok=True)
    with (
        TemporaryDirectory(dir=settings.data_dir, prefix=".restore-") as folder,
        tarfile.open(source) as archive,
    ):
        archive.extractall(folder, members=[archive.getmember(name) for name in manifest["files"]], filter="data")
        for kind in _KINDS:
            for path in _all(Path(folder) / kind):
                target = settings.data_dir / kind / path.name
                target.parent.mkdir(mode=_OWN_FOLDER, exist_ok=True)
                path.rename(target)
                if target.is_dir():
                    target.chmod(_OWN_FOLDER)
        put_back(settings.database, Path(folder) / copy_name(settings.database))


def _new_file(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWN_FILE), "wb")
