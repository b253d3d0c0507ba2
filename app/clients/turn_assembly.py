"""Builds the caller's turn from a vendor's messages. Pure: no socket, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from app.clients.phrase import Clock, Phrase, main_language, mean_confidence
from app.ports.streams import SpeechEvent, Transcript, TurnEnded, TurnResumed, TurnUpdated


@dataclass(frozen=True, slots=True)
class Heard:
    """What a vendor's message says."""

    events: tuple[SpeechEvent, ...] = ()
    acknowledged: float | None = None
    """Seconds of the socket up to which the transcript is final."""
    until: float | None = None
    """Seconds of the socket up to which the vendor has heard, if it says so."""


class TurnAssembly:
    """The caller's turn so far. Final words survive the loss of a socket."""

    def __init__(self, language: str | None) -> None:
        """``language`` is used for a transcript when the vendor names none."""
        self._language = language
        self._kept: list[Phrase] = []
        self._latest: Phrase | None = None
        self._eager = False
        self.open = False
        """Whether the caller is in the middle of a turn."""
        self.orphaned = False
        """Whether the turn began on a lost socket, and the new one has not reported it yet."""
        self._known = Transcript("")
        """What was known of an orphaned turn when its socket was lost."""

    def read(self, message: Mapping[str, object], at: Clock) -> Heard | None:
        """Process a message. Returns None when its type is not known.

        Raises Unreadable, and changes nothing, when nothing in the message can be used.
        """
        raise NotImplementedError

    def resume_from(self, moment: float) -> None:
        """Continue on a new socket, which gets the audio from ``moment`` on, in seconds of the stream."""
        self._known = self._known if self.orphaned else self._transcript()
        carried = self._latest.before(moment) if self._latest else None
        if carried:
            self._kept.append(carried)
        self._latest = None
        self.orphaned = self.open

    def close(self) -> tuple[SpeechEvent, ...]:
        """End the turn with what is known of it."""
        known = self._known if self.orphaned else None
        return (self._end(known),) if self.open else ()

    def _joined(self, phrases: list[Phrase]) -> str:
        """The text of all phrases together."""
        return " ".join(phrase.text for phrase in phrases if phrase.text)

    def _update(self, latest: Phrase | None) -> SpeechEvent:
        self._latest = latest
        self.open = True
        revoked = self._eager and self.orphaned
        self.orphaned = False
        if revoked:
            self._eager = False
            return TurnResumed(self._transcript())
        return TurnUpdated(self._transcript())

    def _end(self, known: Transcript | None = None) -> TurnEnded:
        transcript = known or self._transcript()
        self._kept, self._latest = [], None
        self._eager = self.open = self.orphaned = False
        return TurnEnded(transcript)

    def _transcript(self) -> Transcript:
        phrases = [*self._kept, *([self._latest] if self._latest else [])]
        words = tuple(word for phrase in phrases for word in phrase.words)
        return Transcript(
            text=self._joined(phrases),
            words=words,
            confidence=mean_confidence((word.confidence, word.end - word.start) for word in words),
            language=main_language((phrase.language, phrase.seconds) for phrase in phrases) or self._language,
        )


AssembledT = TypeVar("AssembledT", bound=TurnAssembly)
