"""Copies of the agents' files as they last were good, in the data folder.

A worker that died may have to start again while somebody edits a file. It then has the agent of the copy, as the other
workers still have the agent that they read.
"""

import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_MODE = 0o700


class KeptFiles:
    """The copies. A file that cannot be copied is only logged: it matters to a later start alone."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is made when the first copy is written."""
        self._folder = folder

    def __repr__(self) -> str:
        return f"<KeptFiles {self._folder}>"

    def find(self, path: Path) -> Path | None:
        """The copy of that file, if there is one."""
        copy = self._copy(path)
        return copy if copy.is_file() else None

    def keep(self, files: Iterable[tuple[Path, Mapping[str, str]]]) -> None:
        """Copy these agents' files, each with the hashes of what was read, by the names of the files in its folder.

        The names are those of the agent's file itself and of the files that it needs. An agent of which a file has
        changed since is left out.
        """
        for path, hashes in files:
            try:
                self._keep(path, hashes)
            except OSError as error:
                log.warning("agent.not_kept", path=str(path), error=error.strerror)

    def _keep(self, path: Path, hashes: Mapping[str, str]) -> None:
        folder = self._copy(path).parent
        missing = {name: sha256 for name, sha256 in hashes.items() if not _has(folder / name, sha256)}
        contents = {name: (path.parent / name).read_bytes() for name in missing}
        if any(_hash(content) != missing[name] for name, content in contents.items()):
            return
        for name, content in contents.items():
            self._write(folder / name, content)

    def _write(self, copy: Path, content: bytes) -> None:
        copy.parent.mkdir(mode=_MODE, parents=True, exist_ok=True)
        new = copy.with_name(f"{secrets.token_hex(8)}.new")
        new.write_bytes(content)
        new.replace(copy)  # in one step: other workers read it and write it, too

    def _copy(self, path: Path) -> Path:
        """In a folder of its own, because an agent has the name of its file."""
        return self._folder / _hash(os.fsencode(path.absolute()))[:16] / path.name


def _has(copy: Path, sha256: str) -> bool:
    return copy.is_file() and _hash(copy.read_bytes()) == sha256


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
