"""What a stream's recogniser hears: what the script of its call says, or what its sound says."""

from collections.abc import Iterator
from typing import Protocol

from sandbox.vendors.encodings import Encoding
from sandbox.vendors.hearing import Heard, Recogniser, SpeechDetector
from sandbox.vendors.listening import Listener
from sandbox.vendors.stage import Stage, Utterance


class Detects(Protocol):
    """Decides when there is speech; see :class:`sandbox.vendors.hearing.SpeechDetector`."""

    def feed(self, audio: bytes) -> Iterator[tuple[float, bool]]:
        """Yield for each window that the audio completes: its end in seconds, and whether it is speech."""

    @property
    def seconds(self) -> float:
        """Seconds of audio so far."""


class Recognises(Protocol):
    """Recognises the words of one stream; see :class:`sandbox.vendors.hearing.Recogniser`."""

    words: list[Heard]
    silence: float

    def step(self, now: float, speech: bool) -> bool:
        """Process the next window; True when speech begins."""

    @property
    def more_to_come(self) -> bool:
        """Whether the caller has not said all of the utterance."""

    @property
    def unfinished(self) -> bool:
        """Whether a silence now is a pause inside an utterance."""

    @property
    def eager(self) -> bool:
        """Whether an eager end of turn is allowed."""

    @property
    def never_eager(self) -> bool:
        """Whether an eager end of turn is forbidden."""

    @property
    def sure_after(self) -> float | None:
        """Seconds of silence after which an end is as good as sure; None when the profile says."""

    def settle(self) -> None:
        """Recognise everything said before this silence."""

    def end_turn(self) -> None:
        """Begin the next turn without words."""


class Script:
    """What the caller of one stream says: looked up by the call's id, or a single word without a script.

    Several streams of a call hear the same. An utterance leaves the script when one of them has reported its turn's
    end, so a stream that comes after one that has failed hears what was not reported.
    """

    def __init__(self, stage: Stage, call_id: str | None, languages: tuple[str, ...]) -> None:
        self._stage = stage
        self._call_id = call_id
        self._greeting = "алло" if languages and languages[0].startswith("ru") else "hello"
        self._begun: list[Utterance] = []
        self.recogniser = Recogniser(self._next, self._reported)

    def _next(self) -> Utterance | None:
        script = self._stage.script(self._call_id)
        if script is None:
            return Utterance(self._greeting)
        for utterance in script:
            if not any(begun is utterance for begun in self._begun):
                self._begun.append(utterance)
                if not utterance.text.strip():
                    self._reported([utterance])  # nobody reports a noise
                return utterance
        return None

    def _reported(self, said: list[Utterance]) -> None:
        script = self._stage.script(self._call_id)
        if script is not None:
            left = [utterance for utterance in script if not any(each is utterance for each in said)]
            script.clear()
            script.extend(left)


def ears(stage: Stage, tag: str | None, script: Script, encoding: Encoding, rate: int) -> tuple[Detects, Recognises]:
    """What hears a stream: by its sound when the sandbox listens, else by the script."""
    if stage.sounds is None:
        return SpeechDetector(encoding, rate), script.recogniser
    listener = Listener(stage.sounds, tag, encoding, rate)
    return listener, listener
