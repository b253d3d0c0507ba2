"""Notices that an agent's file has changed, or a file of its knowledge."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.calls.agent.file import knowledge_names
from app.errors import SettingsError

_SUFFIXES = frozenset({".yaml", ".yml"})
_TESTS = ".tests"
"""``clinic.tests.yaml`` holds tests of the agent ``clinic``."""

Stamp = tuple[int, int, int]
"""What shows that a file has changed: its inode, its size, and the time of its last change."""
_GONE: Stamp = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Stamps:
    """The stamps of an agent's files."""

    own: Stamp
    knowledge: tuple[tuple[str, Stamp], ...]
    """Those of its knowledge, also of files that are not there, by their names."""


def file_stamps(folder: Path | None, before: Mapping[Path, Stamps]) -> dict[Path, Stamps]:
    """The agents' files in the folder, each with its stamps. Hidden files belong to other programs, and do not count.

    A file whose own stamp is as ``before`` names the same files, and is not read. Raises SettingsError.
    """
    if folder is None:
        return {}
    stamps: dict[Path, Stamps] = {}
    try:
        for path in sorted(folder.iterdir()):
            is_agent = path.suffix.lower() in _SUFFIXES and not path.stem.endswith(_TESTS)
            if is_agent and not path.name.startswith(".") and path.is_file():
                with suppress(FileNotFoundError):  # removed just now
                    stamps[path] = _stamps(path, before.get(path))
    except OSError as error:
        raise SettingsError([f"AGENTS_DIR: {folder} cannot be read: {error.strerror}"]) from error
    return stamps


def _stamps(path: Path, before: Stamps | None) -> Stamps:
    own = _stamp(path)
    if before is not None and before.own == own:
        names = tuple(name for name, _ in before.knowledge)
    else:
        names = knowledge_names(path)
    return Stamps(own, tuple((name, _stamp_if_there(path.parent / name)) for name in names))


def _stamp_if_there(path: Path) -> Stamp:
    try:
        return _stamp(path)
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return _GONE


def _stamp(path: Path) -> Stamp:
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns
