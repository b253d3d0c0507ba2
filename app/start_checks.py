"""What is looked at before the service starts, beside the settings themselves."""

from tempfile import TemporaryFile

from app.calls.agent_settings import agent_profile
from app.errors import SettingsError
from app.settings import Settings


def check_settings(settings: Settings) -> None:
    """What can be known before the start. Raises SettingsError with every problem."""
    problems = []
    for check in (agent_profile, _prepare_data_dir):
        try:
            check(settings)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)


def _prepare_data_dir(settings: Settings) -> None:
    """Make it, and see whether a file can be made in it."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=settings.data_dir):
            pass
    except OSError as error:
        problem = (
            f"DATA_DIR: {settings.data_dir} cannot be written: {error.strerror}. "
            "Name a folder on a disk that is not read-only, in which the user of this process may make files"
        )
        raise SettingsError([problem]) from error
