"""What all dialects of a media stream over a websocket share: events, limits, deadlines and close codes.

A dialect is a subclass of :class:`StreamProtocol`. It does no I/O and reads no clock: messages and the time go in,
events come out. Unknown things (a type, a key, a mark) are ignored and counted, so that a newer far end can speak to
an older server. An unreadable message ends a stream of our own dialect, because its client can be fixed. When a carrier
is the client, only that message is dropped: no call is lost to one message.
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
"""The close code for a message that is too big; no error message precedes it."""

MAX_MESSAGE_BYTES = 128 * 1024
START_SECONDS = 5.0
AUDIO_SECONDS = 10.0
"""The default media timeout: this long without audio ends the call."""
MAX_AHEAD_SECONDS = 2.0
MAX_AUDIO_SECONDS = 1.0
"""The most audio in one message; more is a bad message."""
MAX_UNREADABLE = 100
"""How many unreadable messages in a row a forgiving dialect drops; one more ends the stream."""
MAX_NAME_CHARACTERS = 128
MAX_OPEN_MARKS = 256
MAX_TYPED_CHARACTERS = 1000
"""How many marks may wait for their echo; beyond that the oldest is forgotten and its echo ignored."""


@dataclass(frozen=True, slots=True)
class Started:
    """The far end has announced its format; answer with ``ready``."""

    format: AudioFormat
    wants_events: bool = False
    """Whether the client wants the journal's rows."""
    claims: dict[str, str] = field(default_factory=dict, repr=False)
    """What the far end says of itself: untrusted, short, printable ASCII. Contains a token, so ``repr`` omits it."""


@dataclass(frozen=True, slots=True)
class AudioReceived:
    """The caller's audio: whole samples, never empty."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class DtmfPressed:
    """The caller pressed a key."""

    digit: str


@dataclass(frozen=True, slots=True)
class TextTyped:
    """The caller typed a turn instead of saying it."""

    text: str
    """Printable, without spaces at its ends, at most MAX_TYPED_CHARACTERS long, never empty."""


@dataclass(frozen=True, slots=True)
class MarkPlayed:
    """The far end has played all audio before this mark."""

    name: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """The answer to a ``clear``."""

    played_samples: int | None
    """Agent samples played since ``ready``, not checked against what was sent. None: the far end did not say."""


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
    """What is likely wrong at the far end, if that is known."""

    @property
    def detail(self) -> str:
        """For the record: the error's code, or else the close code, and the likely cause."""
        what = self.code or f"closed with {self.close_code}"
        return f"{what}: {self.cause}" if self.cause else what


ProtocolEvent = Started | AudioReceived | DtmfPressed | TextTyped | MarkPlayed | Cleared | Stopped | Rejected


class Refusal(Exception):
    """A message that cannot be accepted; raised inside a dialect, returned to the leg as :class:`Rejected`."""

    def __init__(self, code: ErrorCode, message: str, *, cause: str | None = None) -> None:
        """``message`` goes to the far end and into the log, so it contains nothing that the far end sent."""
        self.code, self.cause = code, cause
        super().__init__(f"{message}; {cause}" if cause else message)


class OpenMarks:
    """Names of the marks that were sent and may still come back."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        """Note a mark that is being sent; beyond the limit the oldest is forgotten."""
        self._names[name] = None
        if len(self._names) > MAX_OPEN_MARKS:
            del self._names[next(iter(self._names))]

    def take(self, name: str) -> bool:
        """Remove a mark that came back; False when it was not open."""
        return name in self._names and self._names.pop(name) is None

    def names(self) -> frozenset[str]:
        """The open marks."""
        return frozenset(self._names)

    def forget(self, names: Collection[str]) -> None:
        """Ignore these marks when they come back."""
        self._names = {name: None for name in self._names if name not in names}


class StreamProtocol(ABC):
    """One stream, from the open socket to its end. Times are seconds of any monotonic clock."""

    dialect: ClassVar[str]
    """Its name, for the log."""
    answers_clear = False
    """Whether the far end answers a ``clear``, which arrives as Cleared."""
    forgives_messages = False
    """Whether an unreadable message is dropped instead of ending the stream, once the stream has started."""

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
        """What was wrong with the first unreadable message that was dropped."""

    @property
    def ignored(self) -> int:
        """How many messages, keys and marks were ignored: unknown, empty, unreadable, or answers without a question;
        and how many stray bytes between the samples."""
        return self._ignored + self._samples.dropped_bytes

    @property
    def is_over(self) -> bool:
        """Whether either side has ended the stream; further messages are not accepted."""
        return self._deadline is None

    # What comes in.

    def receive(self, message: str | bytes, now: float) -> list[ProtocolEvent]:
        """The events of a message. Never raises: a message that cannot be accepted gives Rejected, the last event."""
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
        """When to call :meth:`deadline_passed`; each message may move it. None when the stream is over."""
        return self._deadline

    def deadline_passed(self, now: float) -> list[ProtocolEvent]:
        """Reject a far end that has not started or sends no audio; no event when the deadline is still ahead."""
        if self._deadline is None or now < self._deadline:
            return []
        if self._format is None:
            return [self._reject("bad_start", f"no start within {START_SECONDS:g} s")]
        return [self._reject("media_timeout", f"no audio for {self._media_timeout_seconds:g} s")]

    # Outgoing messages. None: the dialect has no such message.

    def ready(self, call_id: str, resume_token: str | None = None, *, is_resumed: bool = False) -> str | None:
        """The answer to Started; audio positions count from here."""
        return None

    def audio(self, audio: bytes) -> str | bytes | None:
        """The agent's audio, in the format of the stream."""
        return None

    def mark(self, name: str) -> str | None:
        """Ask the far end to report when it has played the audio sent so far. Use each name once."""
        return None

    def clear(self) -> str | None:
        """Ask the far end to discard what it has not played."""
        return None

    def event(self, row: dict[str, Any]) -> str | None:
        """A row of the journal."""
        return None

    def end(self, reason: str) -> str | None:
        """The last message before a close with 1000; ends the stream."""
        self._deadline = None
        return None

    def error(self, code: ErrorCode, message: str) -> str | None:
        """The last message before a close with the code's entry in CLOSE_CODES; ends the stream."""
        self._deadline = None
        return None

    # What a dialect implements, and what it uses.

    @abstractmethod
    def _audio(self, message: bytes, now: float) -> ProtocolEvent | None:
        """The event of a binary message; raises Refusal."""

    @abstractmethod
    def _text(self, message: str, now: float) -> ProtocolEvent | None:
        """The event of a text message; raises Refusal."""

    def _begin(self, audio_format: AudioFormat, now: float, *, frame_bytes: int | None = None) -> None:
        """Set the format: from now on the far end must send audio, in real time.

        ``frame_bytes``: bytes of one sample of all channels as the far end sends them, if not the format's.
        """
        self._format = audio_format
        self._pace = Pace(audio_format, now)
        self._samples = SampleAligner(frame_bytes or audio_format.sample_bytes)
        self._deadline = now + self._media_timeout_seconds

    def _heard(self, audio: bytes, now: float) -> AudioReceived | None:
        """The caller's next audio, in the stream's format, whole samples; None when empty. Raises Refusal."""
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
        """The whole samples of a binary message; a rest is kept for the next one."""
        whole = self._samples.whole(message)
        self._ignored += not message
        return whole

    def _played(self, name: object) -> MarkPlayed | None:
        """The event of a mark that came back; None when it was not open. Raises Refusal."""
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
    """The event of a telephone key; raises Refusal for anything else."""
    if not isinstance(digit, str) or digit not in KEYS:
        raise Refusal("bad_message", "digit is one of 0-9 * # A-D")
    return DtmfPressed(digit)


def typed(text: object) -> TextTyped | None:
    """The event of a typed text, or None for one without a character; raises Refusal for anything that is no text."""
    if not isinstance(text, str) or len(text) > MAX_TYPED_CHARACTERS:
        raise Refusal("bad_message", f"text is a string of at most {MAX_TYPED_CHARACTERS:,} characters")
    readable = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return TextTyped(readable) if readable else None


def json_object(text: str) -> dict[str, Any] | None:
    """Parse a JSON object; None for anything else, also for nesting too deep or numbers too long to read."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _is_too_big(message: str | bytes) -> bool:
    """Whether a message exceeds the limit. A character is at most four bytes, so short texts need no encoding."""
    if isinstance(message, str) and len(message) > MAX_MESSAGE_BYTES // 4:
        message = message.encode(errors="surrogatepass")
    return len(message) > MAX_MESSAGE_BYTES
