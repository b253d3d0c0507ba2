"""What the dialects of a media stream over a websocket have in common: what may be told, in what time, when to close.

A dialect is a subclass of :class:`StreamProtocol`. No I/O and no clock: messages and the time come in, events come out.
What is only unknown - a type, a key, a mark - is ignored and counted, so that a newer far end can speak to an older
server. A message that makes no sense ends a stream of our own dialect, whose client can be mended. Where a carrier is
the client it costs itself alone: nobody loses a call to one message.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from media.alignment import SampleAligner
from media.dialects.pace import Pace
from media.dtmf import KEYS
from media.formats import AudioFormat

ErrorCode = Literal["bad_start", "bad_message", "bad_format", "audio_too_fast", "media_timeout", "internal"]

CLOSE_CODES: dict[ErrorCode, int] = {
    "bad_start": 1008,
    "bad_message": 1003,
    "bad_format": 1003,
    "audio_too_fast": 1008,
    "media_timeout": 1008,
    "internal": 1011,
}
"""The websocket close code that follows each error (RFC 6455, 7.4.1)."""

CLOSE_TOO_BIG = 1009
"""A frame that is too big is not answered with a message."""

MAX_MESSAGE_BYTES = 128 * 1024
START_SECONDS = 5.0
AUDIO_SECONDS = 10.0
"""No audio for so long ends the call, unless the protocol is made with another time."""
MAX_AHEAD_SECONDS = 2.0
MAX_AUDIO_SECONDS = 1.0
"""The longest piece of audio in one message; a longer one is a bad message."""
MAX_UNREADABLE = 100
"""Messages in a row that make no sense, of a far end that is forgiven some; one more is the end."""
MAX_NAME_CHARACTERS = 128
MAX_OPEN_MARKS = 256
"""Marks that the far end has not echoed; when there are more, the oldest is forgotten and its echo ignored."""


@dataclass(frozen=True, slots=True)
class Started:
    """The far end has told its format; answer with ``ready``."""

    format: AudioFormat
    wants_events: bool = False
    """Whether the journal's rows are to be sent."""
    claims: dict[str, str] = field(default_factory=dict, repr=False)
    """What the far end says of itself: untrusted, short, printable ASCII. Holds a token, so it is not shown."""


@dataclass(frozen=True, slots=True)
class AudioReceived:
    """The caller's audio, whole samples, never empty."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class DtmfPressed:
    """The caller pressed a key."""

    digit: str


@dataclass(frozen=True, slots=True)
class MarkPlayed:
    """All audio before this mark has been played."""

    name: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """The answer to a ``clear``."""

    played_samples: int | None
    """Agent samples played since ``ready``; not checked against what was sent. None: the far end does not tell."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The far end has hung up; answer with ``end`` and close with 1000."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The stream is over: send ``error`` with the code and message, unless there is no code, and close."""

    code: ErrorCode | None
    message: str
    close_code: int
    cause: str | None = None
    """What is likely wrong at the far end, where that can be told."""

    @property
    def detail(self) -> str:
        """For the record: the error's code, or the close's, and the likely cause."""
        told = self.code or f"closed with {self.close_code}"
        return f"{told}: {self.cause}" if self.cause else told


ProtocolEvent = Started | AudioReceived | DtmfPressed | MarkPlayed | Cleared | Stopped | Rejected


class Refusal(Exception):
    """A message that ends the stream; raised inside a dialect, told as :class:`Rejected`."""

    def __init__(self, code: ErrorCode, message: str, *, cause: str | None = None) -> None:
        """``message`` is sent to the far end and logged: it holds nothing that the far end said of a caller."""
        self.code, self.cause = code, cause
        super().__init__(f"{message}; {cause}" if cause else message)


class OpenMarks:
    """Names of the marks that were sent and may still come back."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        """Sent now; the oldest is forgotten when there are too many."""
        self._names[name] = None
        if len(self._names) > MAX_OPEN_MARKS:
            del self._names[next(iter(self._names))]

    def take(self, name: str) -> bool:
        """It came back; False when it was not expected."""
        return name in self._names and self._names.pop(name) is None

    def names(self) -> frozenset[str]:
        """Those that are open."""
        return frozenset(self._names)

    def forget(self, names: Collection[str]) -> None:
        """These do not count any more."""
        self._names = {name: None for name in self._names if name not in names}


class StreamProtocol(ABC):
    """One stream, from the open socket to its end. Times are seconds of any clock that never goes back."""

    dialect: ClassVar[str]
    """Its name, for the log."""
    answers_clear = False
    """Whether the far end answers a ``clear``, by which Cleared comes."""
    forgives_messages = False
    """Whether a message that makes no sense costs only itself, once the stream has started."""

    def __init__(self, now: float, *, media_timeout_seconds: float = AUDIO_SECONDS) -> None:
        self._deadline: float | None = now + START_SECONDS
        self._media_timeout_seconds = media_timeout_seconds
        self._format: AudioFormat | None = None
        self._pace: Pace | None = None
        self._samples = SampleAligner(1)
        self._marks = OpenMarks()
        self._ignored = 0
        self._unreadable_in_a_row = 0
        self.unreadable: str | None = None
        """What was wrong with the first message that made no sense and was forgiven."""

    @property
    def ignored(self) -> int:
        """Messages, keys and marks that mean nothing to us: unknown, empty, unreadable, or answers to what was not
        asked; and stray bytes between the samples."""
        return self._ignored + self._samples.dropped_bytes

    @property
    def is_over(self) -> bool:
        """Whether either side has ended the stream; nothing is accepted any more."""
        return self._deadline is None

    # What comes in.

    def receive(self, message: str | bytes, now: float) -> list[ProtocolEvent]:
        """What a message means. Never raises: a message that cannot be accepted gives Rejected, and that is the end."""
        if self.is_over:
            return []
        if _is_too_big(message):
            self._deadline = None
            return [Rejected(None, f"a message of more than {MAX_MESSAGE_BYTES} bytes", CLOSE_TOO_BIG)]
        try:
            event = self._audio(message, now) if isinstance(message, bytes) else self._text(message, now)
        except Refusal as refusal:
            if self._is_forgiven(refusal):
                return []
            return [self._reject(refusal.code, str(refusal), refusal.cause)]
        self._unreadable_in_a_row = 0
        return [event] if event else []

    def next_deadline(self) -> float | None:
        """When to call :meth:`deadline_passed`; messages move it. None when the stream is over."""
        return self._deadline

    def deadline_passed(self, now: float) -> list[ProtocolEvent]:
        """The far end has not started, or sends no audio; nothing if it is not so late yet."""
        if self._deadline is None or now < self._deadline:
            return []
        if self._format is None:
            return [self._reject("bad_start", f"no start within {START_SECONDS:g} s")]
        return [self._reject("media_timeout", f"no audio for {self._media_timeout_seconds:g} s")]

    # What goes out. None: the dialect has no such message.

    def ready(self, call_id: str) -> str | None:
        """The answer to Started; audio positions count from here."""
        return None

    def audio(self, audio: bytes) -> str | bytes | None:
        """The agent's sound, in the format of the stream."""
        return None

    def mark(self, name: str) -> str | None:
        """Asks to be told when the audio sent so far has been played. Names are not used twice."""
        return None

    def clear(self) -> str | None:
        """Asks to throw away what has not been played."""
        return None

    def event(self, row: dict[str, Any]) -> str | None:
        """A row of the journal."""
        return None

    def end(self, reason: str) -> str | None:
        """The last message, before closing with 1000; ends the stream."""
        self._deadline = None
        return None

    def error(self, code: ErrorCode, message: str) -> str | None:
        """The last message, before closing with the code's entry in CLOSE_CODES; ends the stream."""
        self._deadline = None
        return None

    # For the dialects.

    @abstractmethod
    def _audio(self, message: bytes, now: float) -> ProtocolEvent | None:
        """What a binary message means; raises Refusal."""

    @abstractmethod
    def _text(self, message: str, now: float) -> ProtocolEvent | None:
        """What a text message means; raises Refusal."""

    def _begin(self, audio_format: AudioFormat, now: float, *, frame_bytes: int | None = None) -> None:
        """The format is known: from now on audio is expected, in real time.

        ``frame_bytes``: of one sample of all channels as the far end sends them, where that differs from the format's.
        """
        self._format = audio_format
        self._pace = Pace(audio_format, now)
        self._samples = SampleAligner(frame_bytes or audio_format.sample_bytes)
        self._deadline = now + self._media_timeout_seconds

    def _heard(self, audio: bytes, now: float) -> AudioReceived | None:
        """The caller's next sound in the format of the stream, whole samples; None if there is none. Raises Refusal."""
        if not audio:
            return None
        if self._format is None or self._pace is None:
            raise Refusal("bad_start", "audio before start")
        if self._format.seconds(audio) > MAX_AUDIO_SECONDS:
            raise Refusal("bad_message", f"more than {MAX_AUDIO_SECONDS:g} s of audio in one message")
        self._pace.add(audio, now)
        if self._pace.ahead_seconds(now) > MAX_AHEAD_SECONDS:
            cause = self._pace.likely_cause(now)
            raise Refusal("audio_too_fast", f"more than {MAX_AHEAD_SECONDS:g} s ahead of real time", cause=cause)
        self._deadline = now + self._media_timeout_seconds
        return AudioReceived(audio)

    def _whole(self, message: bytes) -> bytes:
        """The whole samples of a binary message; what is left of it comes with the next one."""
        whole = self._samples.whole(message)
        self._ignored += not message
        return whole

    def _played(self, name: object) -> MarkPlayed | None:
        """A mark came back; None if it was not expected. Raises Refusal."""
        if not isinstance(name, str) or len(name) > MAX_NAME_CHARACTERS:
            raise Refusal("bad_message", f"name is a string of at most {MAX_NAME_CHARACTERS} characters")
        if not self._marks.take(name):
            self._ignored += 1
            return None
        return MarkPlayed(name)

    def _stopped(self) -> Stopped:
        self._deadline = None
        return Stopped()

    def _reject(self, code: ErrorCode, message: str, cause: str | None = None) -> Rejected:
        self._deadline = None
        return Rejected(code, message, CLOSE_CODES[code], cause)

    def _is_forgiven(self, refusal: Refusal) -> bool:
        if not self.forgives_messages or refusal.code != "bad_message":
            return False
        self._ignored += 1
        self._unreadable_in_a_row += 1
        self.unreadable = self.unreadable or str(refusal)
        return self._unreadable_in_a_row <= MAX_UNREADABLE


def pressed(digit: object) -> DtmfPressed:
    """A key of the telephone; raises Refusal."""
    if not isinstance(digit, str) or digit not in KEYS:
        raise Refusal("bad_message", "digit is one of 0-9 * # A-D")
    return DtmfPressed(digit)


def json_object(text: str) -> dict[str, Any] | None:
    """A JSON object; None for anything else. Deep nesting and endless numbers are such things too."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _is_too_big(message: str | bytes) -> bool:
    """A character is at most four bytes, so short texts need no encoding to be measured."""
    if isinstance(message, str) and len(message) > MAX_MESSAGE_BYTES // 4:
        message = message.encode(errors="surrogatepass")
    return len(message) > MAX_MESSAGE_BYTES
