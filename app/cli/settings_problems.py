"""Prints problems with the settings as plain lines."""

import sys

import structlog

from app.errors import SettingsError
from app.settings import misspelt_settings

log = structlog.get_logger(__name__)

SETTINGS_STATUS = 2
"""Exit status of a command whose settings are wrong."""


def print_problems(error: SettingsError) -> None:
    """Write every problem to stderr."""
    sys.stderr.write("These settings are wrong or missing:\n" + "".join(f"  {line}\n" for line in error.problems))


def warn_of_misspelt() -> None:
    """Log a warning for each misspelt setting, which would silently do nothing."""
    for name, meant in misspelt_settings().items():
        log.warning("setting.unknown", name=name, meant=meant)
