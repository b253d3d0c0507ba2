"""Copies of the agents' files as they last were good, in the data folder.

A worker that died may have to start again while somebody edits a file. It then has the agent of the copy, as the other
workers still have the agent that they read.
"""

import hashlib
import os
import secrets
from collections.abc import Iterable
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

    def keep(self, files: Iterable[tuple[Path, str]]) -> None:
        """Copy these files, each with the hash of what was read of it. A file that has changed since is left out."""
        for path, sha256 in files:
            try:
                self._keep(path, sha256)
            except OSError as error:
                log.warning("agent.not_kept", path=str(path), error=error.strerror)

    def _keep(self, path: Path, sha256: str) -> None:
        copy = self._copy(path)
        if copy.is_file() and _hash(copy.read_bytes()) == sha256:
            return
        content = path.read_bytes()
        if _hash(content) != sha256:
            return
        copy.parent.mkdir(mode=_MODE, parents=True, exist_ok=True)
        new = copy.with_name(f"{secrets.token_hex(8)}.new")
        new.write_bytes(content)
        new.replace(copy)  # in one step: other workers read it and write it, too

    def _copy(self, path: Path) -> Path:
        """In a folder of its own, because an agent has the name of its file."""
        return self._folder / _hash(os.fsencode(path.absolute()))[:16] / path.name


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
