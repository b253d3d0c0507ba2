"""Twilio Media Streams, both ways: https://www.twilio.com/docs/voice/media-streams/websocket-messages.

All messages are text: JSON objects with an ``event``; audio is base64 of μ-law at 8000 Hz. Twilio sends ``connected``,
``start``, then ``media``, ``dtmf``, ``mark`` and, when the caller has hung up, ``stop``. The server sends ``media``,
``mark`` and ``clear``. There is no message for an end or an error, only the close code. Twilio adds events, keys and
parameters at any time, and sometimes writes a number as a string; this dialect ignores what it does not need.

Twilio drops the query of the address, so the call's id and token come in ``start.customParameters``, where TwiML's
``<Parameter>`` puts them. Twilio does not answer a ``clear``, but echoes every mark that it discarded as if it had been
played. So marks from before a ``clear`` no longer count.
"""

import json
import re
from base64 import b64decode, b64encode
from typing import Any

from media.dialects.protocol import (
    AUDIO_SECONDS,
    AudioReceived,
    ErrorCode,
    ProtocolEvent,
    Refusal,
    Started,
    StreamProtocol,
    json_object,
    pressed,
)
from media.formats import AudioFormat

TWILIO_FORMAT = AudioFormat("mulaw", 8000)
_MEDIA_FORMAT: dict[str, tuple[object, ...]] = {
    "encoding": ("audio/x-mulaw",),
    "sampleRate": (8000, "8000", None),
    "channels": (1, "1", None),
}
"""The values allowed for each key; None: the key may be missing."""
_SHOWN = re.compile(r"[\w./+-]{1,32}", re.ASCII)
"""A value of a stranger's format that the log may repeat."""
_CLAIM = re.compile(r"[!-~]{1,128}")
_EVENTS = {"connected", "start", "media", "dtmf", "mark", "stop"}


class TwilioProtocol(StreamProtocol):
    """One stream from Twilio. Its Started claims ``call_id``, ``token``, ``stream_sid`` and ``call_sid``."""

    dialect = "twilio"
    forgives_messages = True

    def __init__(self, now: float, *, media_timeout_seconds: float = AUDIO_SECONDS) -> None:
        super().__init__(now, media_timeout_seconds=media_timeout_seconds)
        self._stream_sid = ""

    # What goes out.

    def audio(self, audio: bytes) -> str:
        """The audio, μ-law without a header, as a ``media`` message."""
        return self._message("media", media={"payload": b64encode(audio).decode()})

    def mark(self, name: str) -> str:
        """Ask Twilio to report when it has played the audio sent so far. Use each name once."""
        self._marks.add(name)
        return self._message("mark", mark={"name": name})

    def clear(self) -> str:
        """Ask Twilio to discard what it has not played; the marks so far no longer count."""
        self._marks.forget(self._marks.names())
        return self._message("clear")

    # What the messages mean.

    def _audio(self, message: bytes, now: float) -> ProtocolEvent | None:
        raise Refusal(self._wrong, "a binary message: Twilio's are text")

    def _text(self, message: str, now: float) -> ProtocolEvent | None:
        fields = json_object(message) or {}
        kind = fields.get("event")
        if not isinstance(kind, str):
            raise Refusal(self._wrong, "not a JSON object with an event")
        if kind == "connected" or kind not in _EVENTS:
            self._ignored += kind not in _EVENTS
            return None
        started = self._format is not None
        if started == (kind == "start"):
            raise Refusal(self._wrong, "a second start" if started else f"{kind} before start")
        if kind == "stop":
            return self._stopped()
        content = fields.get(kind)
        if not isinstance(content, dict):
            raise Refusal(self._wrong, f"{kind} holds an object {kind}")
        match kind:
            case "start":
                return self._start(content, now)
            case "media":
                return self._media(content, now)
            case "dtmf":
                return pressed(content.get("digit"))
            case _:
                return self._played(content.get("name"))

    @property
    def _wrong(self) -> ErrorCode:
        return "bad_start" if self._format is None else "bad_message"

    def _start(self, start: dict[str, Any], now: float) -> Started:
        _check_format(start.get("mediaFormat"))
        parameters = start.get("customParameters")
        given = parameters if isinstance(parameters, dict) else {}
        claims = {
            "call_id": _claim(given.get("call_id"), "customParameters.call_id"),
            "token": _claim(given.get("token"), "customParameters.token"),
            "stream_sid": _claim(start.get("streamSid"), "streamSid"),
            "call_sid": _claim(start.get("callSid"), "callSid"),
        }
        self._stream_sid = claims["stream_sid"]
        self._begin(TWILIO_FORMAT, now)
        return Started(TWILIO_FORMAT, claims=claims)

    def _media(self, media: dict[str, Any], now: float) -> AudioReceived | None:
        if media.get("track") == "outbound":
            self._ignored += 1  # what the caller hears, not what they say
            return None
        payload = media.get("payload")
        try:
            audio = b64decode(payload, validate=True) if isinstance(payload, str) else None
        except ValueError:
            audio = None
        if audio is None:
            raise Refusal("bad_message", "media.payload is base64")
        self._ignored += not audio
        return self._heard(audio, now)

    def _message(self, event: str, **fields: Any) -> str:
        return json.dumps({"event": event, "streamSid": self._stream_sid, **fields})


def _check_format(announced: object) -> None:
    """Raises Refusal unless it is the one format that Twilio has."""
    wanted = "mediaFormat is audio/x-mulaw, 8000 Hz, 1 channel"
    if not isinstance(announced, dict):
        raise Refusal("bad_format", f"{wanted}; this start has none")
    for key, allowed in _MEDIA_FORMAT.items():
        value = announced.get(key)
        if value not in allowed:
            raise Refusal("bad_format", f"{wanted}; here {key} is {_shown(value)}")


def _shown(value: object) -> str:
    """A stranger's value, if it is short and plain."""
    text = str(value) if isinstance(value, str | int | float) else type(value).__name__
    return text if _SHOWN.fullmatch(text) else "something else"


def _claim(value: object, name: str) -> str:
    """Check an identifier that is looked up and stored as it is; raises Refusal."""
    if not isinstance(value, str) or not _CLAIM.fullmatch(value):
        raise Refusal("bad_start", f"start needs {name}: 1 to 128 printable ASCII characters without a space")
    return value
