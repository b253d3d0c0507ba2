"""What every leg has in common: the listener that it reports to."""

from typing import Protocol


class LegListener(Protocol):
    """The call, as a leg sees it: the leg tells it what the caller does. Nothing here waits."""

    async def handle_audio_received(self, audio_data: bytes) -> None:
        """The next sound of the caller, in the leg's format; returns at once."""

    def press(self, digit: str) -> None:
        """A key."""

    def type_text(self, text: str) -> None:
        """What the caller typed instead of saying it: a turn."""

    def mark_played(self, name: str) -> None:
        """Everything before the mark has been played."""

    def cleared(self, played_samples: int | None) -> None:
        """The answer to a clear: samples played, ever, until then; None when the client does not tell."""

    def hold(self, is_held: bool) -> None:
        """The far end holds the caller, so that nothing is heard either way, or no more."""

    def lost_line(self, seconds_ago: float) -> None:
        """The leg has lost the room, so long ago: nothing is heard either way until :meth:`regained_line`."""

    def regained_line(self, away_seconds: float) -> None:
        """The leg has the room back, and the caller is there."""

    def leave(self, reason: str, detail: str | None = None) -> None:
        """The caller is gone: ``caller_hangup``, ``media_lost`` or ``media_timeout``.

        ``detail`` is the code of the error that the client was told, with its likely cause where that is known, or
        ``closed with`` and the code of the close.
        """
