"""Checks before the service starts, apart from those of the settings themselves."""

import stat
from pathlib import Path
from tempfile import TemporaryFile

import structlog

from app.calls.agent.directory import AgentDirectory
from app.errors import SettingsError
from app.settings import Settings
from app.storage.database import database_file

log = structlog.get_logger(__name__)

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PRIVATE = ("recordings", "phrases", "unsaved", "spool", "agents")
"""Folders in the data folder that hold personal data."""
_OF_THE_DISK = "lost+found"
"""What a file system keeps in its own top folder."""
_DATABASE = "calls.db"
"""Also a prefix: copies of the database begin with it."""
_OF_A_DATABASE = ("", "-wal", "-shm", "-journal")
"""What SQLite appends to the name of a database for its own files."""


def check_settings(settings: Settings) -> None:
    """Check the agents' files and the data folder. Raises SettingsError with every problem."""
    problems = []
    for check in (AgentDirectory, _prepare_data_dir):
        try:
            check(settings)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)


def _prepare_data_dir(settings: Settings) -> None:
    """Make the data folder, and check that files can be made in it."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=settings.data_dir):
            pass
    except OSError as error:
        problem = (
            f"DATA_DIR: {settings.data_dir} cannot be written: {error.strerror}. "
            "Name a folder on a disk that is not read-only, in which the user of this process may make files"
        )
        raise SettingsError([problem]) from error
    keep_private(settings.data_dir, database_file(settings.database))


def keep_private(folder: Path, database: Path | None = None) -> None:
    """Take away other users' access to the data folder and to the database, wherever it is: calls are personal data.

    A data folder with files that are not ours, or that belongs to another user, keeps its mode, and the log gets a
    warning: all programs may share it.
    """
    folder = folder.absolute()
    kept = {folder / name for name in _PRIVATE} | set(folder.glob(f"{_DATABASE}*"))
    if database is not None:
        kept |= {database.absolute().with_name(database.name + ending) for ending in _OF_A_DATABASE}
    others = set(folder.iterdir()) - kept - {folder / _OF_THE_DISK}
    for path in [*sorted(kept), folder]:
        try:
            mode = path.stat().st_mode
            if not mode & _OTHERS:
                continue
            if path == folder and others:
                log.warning("data.readable_by_others", path=str(path), mode=oct(stat.S_IMODE(mode)))
            else:
                path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("data.readable_by_others", path=str(path), error=error.strerror)


def warn_of_root(user: int) -> None:
    """Warn when the service runs as root: its attacker would have the machine. ``user`` is the process's user id."""
    if user == 0:
        log.warning("service.runs_as_root", advice="run it as a user of its own that owns DATA_DIR")
