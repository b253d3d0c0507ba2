"""The server's side of our own media stream over a websocket: what each message means, and when to close.

No I/O and no clock: messages and the time come in, events come out. Text is JSON with a
``type``, audio is binary: after ``start`` the client sends audio, ``dtmf``, ``mark``, ``cleared``, ``stop``; the server
sends ``ready``, audio, ``mark``, ``clear``, ``event``, ``end``, ``error``.

Of a client that says something wrong the stream ends. What is only unknown - a type, a key, a mark - is ignored and
counted, so that a newer client can speak to an older server.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal, cast

from media.formats import AudioFormat, Encoding
from media.keypad import KEYS

ErrorCode = Literal["bad_start", "bad_message", "bad_format", "audio_too_fast", "media_timeout", "internal"]

CLOSE_CODES: dict[ErrorCode, int] = {
    "bad_start": 1008,
    "bad_message": 1003,
    "bad_format": 1003,
    "audio_too_fast": 1008,
    "media_timeout": 1008,
    "internal": 1011,
}
"""The websocket close code that follows each error message (RFC 6455, 7.4.1)."""

CLOSE_TOO_BIG = 1009
"""A frame that is too big is not answered with a message."""

MAX_MESSAGE_BYTES = 128 * 1024
START_SECONDS = 5.0
AUDIO_SECONDS = 10.0
"""No audio for so long ends the call."""
MAX_AHEAD_SECONDS = 2.0
MAX_AUDIO_SECONDS = 1.0
"""The longest piece of audio in one message; a longer one is a bad message."""
MAX_NAME_CHARACTERS = 128
MAX_OPEN_MARKS = 256
"""Marks that the client has not echoed; when there are more, the oldest is forgotten and its echo ignored."""

_FORMATS = "pcm_s16le at 8000, 16000, 24000 or 48000 Hz, or mulaw at 8000 Hz"
_KEYS = {
    "start": {"type", "format", "events"},
    "dtmf": {"type", "digit"},
    "mark": {"type", "name"},
    "cleared": {"type", "played_samples"},
    "stop": {"type"},
}


@dataclass(frozen=True, slots=True)
class Started:
    """The client has told its format; answer with ``ready``."""

    format: AudioFormat
    wants_events: bool
    """Whether the journal's rows are to be sent."""


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
    """Agent samples played since ``ready``; not checked against what was sent. None: the client does not tell."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The client has hung up; answer with ``end`` and close with 1000."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The stream is over: send ``error`` with the code and message, unless there is no code, and close."""

    code: ErrorCode | None
    message: str
    close_code: int


ProtocolEvent = Started | AudioReceived | DtmfPressed | MarkPlayed | Cleared | Stopped | Rejected


class _Refusal(Exception):
    """A message that ends the stream."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        self.code = code
        super().__init__(message)


class NativeProtocol:
    """One stream, from the open socket to its end. Times are seconds of any clock that never goes back."""

    def __init__(self, now: float) -> None:
        self._deadline: float | None = now + START_SECONDS
        self._format: AudioFormat | None = None
        self._started_at = now
        self._received_samples = 0
        self._open_marks: dict[str, None] = {}
        self._cleared_marks: dict[str, None] = {}
        self._open_clears = 0
        self.ignored = 0
        """Messages, keys and marks that mean nothing to us: unknown, empty, or answers to what was not asked."""

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
        except _Refusal as refusal:
            return [self._reject(refusal.code, str(refusal))]
        return [event] if event else []

    def next_deadline(self) -> float | None:
        """When to call :meth:`deadline_passed`; messages move it. None when the stream is over."""
        return self._deadline

    def deadline_passed(self, now: float) -> list[ProtocolEvent]:
        """The client has not started, or sends no audio; nothing if it is not so late yet."""
        if self._deadline is None or now < self._deadline:
            return []
        if self._format is None:
            return [self._reject("bad_start", f"no start within {START_SECONDS:g} s")]
        return [self._reject("media_timeout", f"no audio for {AUDIO_SECONDS:g} s")]

    # What goes out, beside the audio itself.

    def ready(self, call_id: str) -> str:
        """The answer to Started; audio positions count from here. Raises RuntimeError before that."""
        if self._format is None:
            raise RuntimeError("ready before start")
        audio_format = {"encoding": self._format.encoding, "sample_rate": self._format.sample_rate}
        return _message("ready", call_id=call_id, format=audio_format)

    def mark(self, name: str) -> str:
        """Asks to be told when the audio sent so far has been played. Names are not used twice."""
        self._open_marks[name] = None
        if len(self._open_marks) > MAX_OPEN_MARKS:
            del self._open_marks[next(iter(self._open_marks))]
        return _message("mark", name=name)

    def clear(self) -> str:
        """Asks to throw away what has not been played. Marks on their way back still count until Cleared."""
        self._open_clears += 1
        self._cleared_marks = dict(self._open_marks)
        return _message("clear")

    def event(self, row: dict[str, Any]) -> str:
        """A row of the journal."""
        return _message("event", event=row)

    def end(self, reason: str) -> str:
        """The last message, before closing with 1000; ends the stream."""
        self._deadline = None
        return _message("end", reason=reason)

    def error(self, code: ErrorCode, message: str) -> str:
        """The last message, before closing with the code's entry in CLOSE_CODES; ends the stream."""
        self._deadline = None
        return _message("error", code=code, message=message)

    # What the messages mean.

    def _audio(self, audio: bytes, now: float) -> AudioReceived | None:
        if not audio:
            self.ignored += 1
            return None
        if self._format is None:
            raise _Refusal("bad_start", "audio before start")
        if len(audio) % self._format.sample_bytes:
            raise _Refusal("bad_format", "half a sample at the end of the audio")
        if self._format.seconds(audio) > MAX_AUDIO_SECONDS:
            raise _Refusal("bad_message", f"more than {MAX_AUDIO_SECONDS:g} s of audio in one message")
        self._received_samples += self._format.samples(audio)
        if self._received_samples / self._format.sample_rate - (now - self._started_at) > MAX_AHEAD_SECONDS:
            raise _Refusal("audio_too_fast", f"more than {MAX_AHEAD_SECONDS:g} s ahead of real time")
        self._deadline = now + AUDIO_SECONDS
        return AudioReceived(audio)

    def _text(self, text: str, now: float) -> ProtocolEvent | None:
        started = self._format is not None
        wrong: ErrorCode = "bad_message" if started else "bad_start"
        message = _parsed(text)
        if message is None:
            raise _Refusal(wrong, "not a JSON object with a type")
        kind = message["type"]
        if kind not in _KEYS:
            self.ignored += 1
            return None
        if started == (kind == "start"):
            raise _Refusal(wrong, "a second start" if started else "the first message is start")
        self.ignored += len(message.keys() - _KEYS[kind])
        match kind:
            case "start":
                return self._start(message, now)
            case "dtmf":
                return _dtmf(message)
            case "mark":
                return self._mark(message)
            case "cleared":
                return self._cleared(message)
            case _:
                self._deadline = None
                return Stopped()

    def _start(self, message: dict[str, Any], now: float) -> Started:
        wanted, wants_events = message.get("format"), message.get("events", False)
        if not isinstance(wanted, dict) or not isinstance(wants_events, bool):
            raise _Refusal("bad_start", "start needs a format object; events is true or false")
        self.ignored += len(wanted.keys() - {"encoding", "sample_rate"})
        encoding, sample_rate = wanted.get("encoding"), wanted.get("sample_rate")
        if not isinstance(encoding, str) or type(sample_rate) is not int:
            raise _Refusal("bad_format", "encoding is a string, sample_rate an integer")
        try:
            self._format = AudioFormat(cast(Encoding, encoding), sample_rate)
        except ValueError:
            raise _Refusal("bad_format", _FORMATS) from None
        self._started_at = now
        self._deadline = now + AUDIO_SECONDS
        return Started(self._format, wants_events)

    def _mark(self, message: dict[str, Any]) -> MarkPlayed | None:
        name = message.get("name")
        if not isinstance(name, str) or len(name) > MAX_NAME_CHARACTERS:
            raise _Refusal("bad_message", f"name is a string of at most {MAX_NAME_CHARACTERS} characters")
        if name not in self._open_marks:
            self.ignored += 1
            return None
        del self._open_marks[name]
        return MarkPlayed(name)

    def _cleared(self, message: dict[str, Any]) -> Cleared | None:
        played = message.get("played_samples")
        if "played_samples" in message and (type(played) is not int or played < 0):
            raise _Refusal("bad_message", "played_samples is an integer, not negative")
        if not self._open_clears:
            self.ignored += 1
            return None
        self._open_clears -= 1
        if not self._open_clears:
            self._open_marks = {name: None for name in self._open_marks if name not in self._cleared_marks}
        return Cleared(played)

    def _reject(self, code: ErrorCode, message: str) -> Rejected:
        self._deadline = None
        return Rejected(code, message, CLOSE_CODES[code])


def _dtmf(message: dict[str, Any]) -> DtmfPressed:
    digit = message.get("digit")
    if not isinstance(digit, str) or digit not in KEYS:
        raise _Refusal("bad_message", "digit is one of 0-9 * # A-D")
    return DtmfPressed(digit)


def _is_too_big(message: str | bytes) -> bool:
    """A character is at most four bytes, so short texts need no encoding to be measured."""
    if isinstance(message, str) and len(message) > MAX_MESSAGE_BYTES // 4:
        message = message.encode(errors="surrogatepass")
    return len(message) > MAX_MESSAGE_BYTES


def _parsed(text: str) -> dict[str, Any] | None:
    """A JSON object with a type; None for anything else. Deep nesting and endless numbers are such things too."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and isinstance(message.get("type"), str) else None


def _message(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields}, ensure_ascii=False)
