"""The message that a caller has left, computed from the rows of a call.

The words are those of the turns that follow ``message.requested``. If speech to text was gone, the words of
``message.transcribed`` take their place, because the recording has everything.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.models import JournalRow


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """What the caller wants to be passed on."""

    text: str
    """Empty when nothing could transcribe it; the recording of the call may have it."""
    heard: str
    """``live``, ``recording`` (transcribed after it was spoken) or ``none``."""


@dataclass(slots=True)
class MessageReader:
    """Reads the rows in their order."""

    _turns: list[str] = field(default_factory=list)
    _transcribed: str = ""
    _is_requested: bool = False

    def requested(self, _row: JournalRow) -> None:
        """Take a row ``message.requested``."""
        self._is_requested = True

    def turn(self, row: JournalRow) -> None:
        """Take a row ``turn.taken``."""
        if self._is_requested:
            self._turns.append(row.data["text"])

    def transcribed(self, row: JournalRow) -> None:
        """Take a row ``message.transcribed``."""
        self._transcribed = row.data["text"].strip()

    def message(self, end_reason: str | None) -> MessageRecord | None:
        """The message; None when the caller has left none."""
        if self._transcribed:
            return MessageRecord(self._transcribed, "recording")
        if self._turns:
            return MessageRecord(_joined(self._turns), "live")
        return MessageRecord("", "none") if end_reason == "message_taken" else None


def _joined(turns: Iterable[str]) -> str:
    return " ".join(turn.strip() for turn in turns)
