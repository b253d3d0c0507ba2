"""Settings that are wrong, told in plain lines."""

import sys

import structlog

from app.errors import SettingsError
from app.settings import misspelt_settings

log = structlog.get_logger(__name__)

SETTINGS_STATUS = 2
"""Exit status of a command whose settings are wrong."""


def tell_problems(error: SettingsError) -> None:
    """Write every problem to stderr."""
    sys.stderr.write("These settings are wrong or missing:\n" + "".join(f"  {line}\n" for line in error.problems))


def warn_of_misspelt() -> None:
    """Tell the log of names that are nearly settings: they do nothing, and nobody would notice."""
    for name, meant in misspelt_settings().items():
        log.warning("setting.unknown", name=name, meant=meant)
