"""What Deepgram's two streaming APIs share."""

import uuid
from collections.abc import Iterator
from random import Random
from typing import Any, Protocol

from sandbox.vendors.encodings import Encoding
from sandbox.vendors.hearing import Heard, Recogniser, SpeechDetector
from sandbox.vendors.listening import Listener
from sandbox.vendors.stage import Stage, Utterance
from sandbox.vendors.wire import Message


class Send(Protocol):
    """Sends a message to the client."""

    async def __call__(self, message: Message, *, beat: bool = False) -> None:
        """Send; ``beat`` marks a message without news."""


class Fatal(Exception):
    """Raised after an error message was sent: the socket closes with 1011."""


class Stream(Protocol):
    """One client's stream: takes audio and messages, and sends messages through ``Send``."""

    request_id: str
    idle_seconds: float | None
    """The server closes the socket after this many seconds without a message; None: never."""

    async def open(self) -> None:
        """Send the first messages, if any."""

    async def hear(self, audio: bytes) -> None:
        """Process audio of any length, and send the resulting messages."""

    async def obey(self, message: Any) -> bool:
        """Handle a client's JSON message; False when the stream must close."""

    async def finish(self) -> None:
        """Send what is still due before a normal close."""

    def give_back(self) -> None:
        """Put the utterances of an unfinished turn back into the script, for the client's next connection."""


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
    """What the caller of one stream says: looked up by the stream's tag, or a single word without a script."""

    def __init__(self, stage: Stage, tag: str | None, languages: tuple[str, ...]) -> None:
        self._stage = stage
        self._tag = tag
        self._greeting = "алло" if languages and languages[0].startswith("ru") else "hello"
        self.recogniser = Recogniser(self._next)

    def give_back(self) -> None:
        """See :meth:`Stream.give_back`."""
        script = self._stage.script(self._tag)
        if script is not None:
            script.extendleft(reversed(self.recogniser.unsaid()))

    def _next(self) -> Utterance | None:
        script = self._stage.script(self._tag)
        if script is None:
            return Utterance(self._greeting)
        return script.popleft() if script else None


def ears(stage: Stage, tag: str | None, script: Script, encoding: Encoding, rate: int) -> tuple[Detects, Recognises]:
    """What hears a stream: by its sound when the sandbox listens, else by the script."""
    if stage.sounds is None:
        return SpeechDetector(encoding, rate), script.recogniser
    listener = Listener(stage.sounds, tag, encoding, rate)
    return listener, listener


def transcript_of(words: list[Heard]) -> str:
    """The words as text."""
    return " ".join(word.text for word in words)


def languages_of(words: list[Heard]) -> list[str]:
    """The words' languages, the most frequent first."""
    spoken = [word.language for word in words]
    return sorted(set(spoken), key=lambda language: (-spoken.count(language), language))


def confidence_of(words: list[Heard]) -> float:
    """The mean confidence; 0 without words."""
    return round(sum(word.confidence for word in words) / len(words), 4) if words else 0.0


def new_request_id(chance: Random) -> str:
    """An id like Deepgram's."""
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))
