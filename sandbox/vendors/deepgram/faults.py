"""Content faults of the stand-in for Deepgram, by name."""

from typing import Final

NAMED: Final[dict[str, str]] = {}
"""The kind of each fault, and one sentence that says what happens."""
