"""Settings that are wrong, told in plain lines."""

import sys

from app.errors import SettingsError

SETTINGS_STATUS = 2
"""Exit status of a command whose settings are wrong."""


def tell_problems(error: SettingsError) -> None:
    """Write every problem to stderr."""
    sys.stderr.write("These settings are wrong or missing:\n" + "".join(f"  {line}\n" for line in error.problems))
