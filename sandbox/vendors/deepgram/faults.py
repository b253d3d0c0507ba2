"""What Deepgram's stand-in can get wrong in the content of its answers, by name."""

from typing import Final

NAMED: Final[dict[str, str]] = {}
"""Kind of the fault to one sentence that says what happens."""
