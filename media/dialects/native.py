"""The server's side of our own media protocol over a websocket (docs/media.md).

Text messages are JSON objects with a ``type``; binary messages are audio. The client begins with ``start`` and then
sends audio, ``dtmf``, ``text``, ``mark``, ``cleared`` and ``stop``. The server sends ``ready``, audio, ``mark``,
``clear``, ``event``, ``end`` and ``error``.
"""

import json
from typing import Any, cast

from media.dialects.protocol import (
    AUDIO_SECONDS,
    AudioReceived,
    Cleared,
    ErrorCode,
    ProtocolEvent,
    Refusal,
    Started,
    StreamProtocol,
    json_object,
    pressed,
    typed,
)
from media.formats import AudioFormat, Encoding

_FORMATS = "pcm_s16le at 8000, 16000, 24000 or 48000 Hz, or mulaw at 8000 Hz"
_KEYS = {
    "start": {"type", "format", "events"},
    "dtmf": {"type", "digit"},
    "text": {"type", "text"},
    "mark": {"type", "name"},
    "cleared": {"type", "played_samples"},
    "stop": {"type"},
}


class NativeProtocol(StreamProtocol):
    """One stream of our own dialect."""

    dialect = "native"
    answers_clear = True

    def __init__(self, now: float, *, media_timeout_seconds: float = AUDIO_SECONDS) -> None:
        super().__init__(now, media_timeout_seconds=media_timeout_seconds)
        self._cleared_marks: frozenset[str] = frozenset()
        self._open_clears = 0

    # What goes out.

    def ready(self, call_id: str, resume_token: str | None = None, *, is_resumed: bool = False) -> str:
        """The answer to Started; audio positions count from here. Raises RuntimeError before Started.

        With the token, a client that loses its socket goes on with its call over another one.
        """
        if self._format is None:
            raise RuntimeError("ready before start")
        audio_format = {"encoding": self._format.encoding, "sample_rate": self._format.sample_rate}
        resumption: dict[str, Any] = {} if resume_token is None else {"resume_token": resume_token}
        if is_resumed:
            resumption["resumed"] = True
        return _message("ready", call_id=call_id, format=audio_format, **resumption)

    def audio(self, audio: bytes) -> bytes:
        """The audio, unchanged."""
        return audio

    def mark(self, name: str) -> str:
        """Ask the client to report when it has played the audio sent so far. Use each name once."""
        self._marks.add(name)
        return _message("mark", name=name)

    def clear(self) -> str:
        """Ask the client to discard what it has not played. Marks on their way back count until Cleared."""
        self._open_clears += 1
        self._cleared_marks = self._marks.names()
        return _message("clear")

    def event(self, row: dict[str, Any]) -> str:
        """A row of the journal."""
        return _message("event", event=row)

    def end(self, reason: str) -> str:
        """The last message, before closing with 1000; ends the stream."""
        super().end(reason)
        return _message("end", reason=reason)

    def error(self, code: ErrorCode, message: str) -> str:
        """The last message, before closing with the code's entry in CLOSE_CODES; ends the stream."""
        super().error(code, message)
        return _message("error", code=code, message=message)

    # What the messages mean.

    def _audio(self, message: bytes, now: float) -> AudioReceived | None:
        return self._heard(self._whole(message), now)

    def _text(self, message: str, now: float) -> ProtocolEvent | None:
        started = self._format is not None
        wrong: ErrorCode = "bad_message" if started else "bad_start"
        fields = json_object(message) or {}
        kind = fields.get("type")
        if not isinstance(kind, str):
            raise Refusal(wrong, "not a JSON object with a type")
        if kind not in _KEYS:
            self._ignored += 1
            return None
        if started == (kind == "start"):
            raise Refusal(wrong, "a second start" if started else "the first message is start")
        self._ignored += len(fields.keys() - _KEYS[kind])
        match kind:
            case "start":
                return self._start(fields, now)
            case "dtmf" | "text":
                return pressed(fields.get("digit")) if kind == "dtmf" else typed(fields.get("text"))
            case "mark":
                return self._played(fields.get("name"))
            case "cleared":
                return self._cleared(fields)
            case _:
                return self._stopped()

    def _start(self, message: dict[str, Any], now: float) -> Started:
        wanted, wants_events = message.get("format"), message.get("events", False)
        if not isinstance(wanted, dict) or not isinstance(wants_events, bool):
            raise Refusal("bad_start", "start needs a format object; events is true or false")
        self._ignored += len(wanted.keys() - {"encoding", "sample_rate"})
        encoding, sample_rate = wanted.get("encoding"), wanted.get("sample_rate")
        if not isinstance(encoding, str) or type(sample_rate) is not int:
            raise Refusal("bad_format", "encoding is a string, sample_rate an integer")
        try:
            audio_format = AudioFormat(cast(Encoding, encoding), sample_rate)
        except ValueError:
            raise Refusal("bad_format", _FORMATS) from None
        self._begin(audio_format, now)
        return Started(audio_format, wants_events)

    def _cleared(self, message: dict[str, Any]) -> Cleared | None:
        played = message.get("played_samples")
        if "played_samples" in message and (type(played) is not int or played < 0):
            raise Refusal("bad_message", "played_samples is an integer, not negative")
        if not self._open_clears:
            self._ignored += 1
            return None
        self._open_clears -= 1
        if not self._open_clears:
            self._marks.forget(self._cleared_marks)
        return Cleared(played)


def _message(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields}, ensure_ascii=False)
