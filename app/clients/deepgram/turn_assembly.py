"""The caller's turn, put together from Deepgram's messages. Pure: no socket, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.clients.deepgram.languages import main_language
from app.clients.deepgram.spoken import Clock, Phrase, mean_confidence
from app.ports.streams import SpeechEvent, Transcript, TurnEnded, TurnResumed, TurnUpdated


@dataclass(frozen=True, slots=True)
class Heard:
    """What a message of Deepgram tells."""

    events: tuple[SpeechEvent, ...] = ()
    acknowledged: float | None = None
    """Seconds of the socket up to which the audio is transcribed for good."""


class TurnAssembly:
    """The caller's turn as it grows. Words that will not change are kept over the loss of a socket."""

    def __init__(self, language: str | None) -> None:
        """``language`` is what a transcript has when Deepgram does not say."""
        self._language = language
        self._kept: list[Phrase] = []
        self._latest: Phrase | None = None
        self._eager = False
        self.open = False
        """Whether the caller is in the middle of a turn."""
        self.orphaned = False
        """Whether the turn was begun on a socket that is gone, and nothing was heard of it on the new one."""

    def read(self, message: Mapping[str, object], at: Clock) -> Heard | None:
        """Take in a message; None when its type is not known.

        Raises Unreadable, and takes nothing in, when nothing of the message can be used.
        """
        raise NotImplementedError

    def resume_from(self, moment: float) -> None:
        """A new socket hears the audio from ``moment`` on, in seconds of the stream, and knows nothing of before."""
        carried = self._latest.before(moment) if self._latest else None
        if carried:
            self._kept.append(carried)
        self._latest = None
        self.orphaned = self.open

    def close(self) -> tuple[SpeechEvent, ...]:
        """Nothing more will be heard of this turn: what is known of it is all."""
        return (self._end(),) if self.open else ()

    def _update(self, latest: Phrase | None) -> SpeechEvent:
        self._latest = latest
        self.open = True
        revoked = self._eager and self.orphaned
        self.orphaned = False
        if revoked:
            self._eager = False
            return TurnResumed(self._transcript())
        return TurnUpdated(self._transcript())

    def _end(self) -> TurnEnded:
        transcript = self._transcript()
        self._kept, self._latest = [], None
        self._eager = self.open = self.orphaned = False
        return TurnEnded(transcript)

    def _transcript(self) -> Transcript:
        phrases = [*self._kept, *([self._latest] if self._latest else [])]
        words = tuple(word for phrase in phrases for word in phrase.words)
        return Transcript(
            text=" ".join(phrase.text for phrase in phrases if phrase.text),
            words=words,
            confidence=mean_confidence((word.confidence, word.end - word.start) for word in words),
            language=main_language((phrase.language, phrase.seconds) for phrase in phrases) or self._language,
        )
