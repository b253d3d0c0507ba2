"""Requests to Cartesia's text to speech, validated (docs.cartesia.ai, version 2026-08-14), and its error bodies."""

from dataclasses import dataclass
from typing import Any, cast

from sandbox.vendors.encodings import SAMPLE_BYTES, Encoding

SAMPLE_RATES = frozenset({8000, 16000, 22050, 24000, 44100, 48000})
_MODELS = ("sonic-3.5", "sonic-3", "sonic-latest")
_MANAGED_BUFFER_MS = 3000
_LONGEST_BUFFER_MS = 5000
_SPEEDS = (0.6, 1.5)


class Declined(Exception):
    """The vendor declines a request; the attributes are the fields of its error."""

    def __init__(self, status: int, error_code: str, title: str, message: str) -> None:
        super().__init__(title)
        self.status = status
        self.error_code = error_code
        self.title = title
        self.message = message

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON body of an HTTP error."""
        return {
            "error_code": self.error_code,
            "title": self.title,
            "message": self.message,
            "request_id": request_id,
            "doc_url": "https://docs.cartesia.ai",
        }

    def event(self, context_id: str | None, request_id: str) -> dict[str, Any]:
        """The websocket's error event; without a context it is about the connection."""
        named = {} if context_id is None else {"context_id": context_id}
        return {"type": "error", **named, "done": True, "status_code": self.status, **self.body(request_id)}


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """The format in which to deliver the sound."""

    container: str
    """``raw`` or ``wav``."""
    encoding: Encoding
    sample_rate: int
    """Hertz."""


@dataclass(frozen=True, slots=True)
class Manner:
    """The settings that must be the same for all inputs of a context."""

    model_id: str
    voice_id: str
    output: OutputFormat
    language: str
    speed: float


@dataclass(frozen=True, slots=True)
class Order:
    """One input of a context, or one HTTP request."""

    context_id: str
    transcript: str
    manner: Manner
    continues: bool
    flush: bool
    add_timestamps: bool
    buffer_seconds: float
    """How many seconds text may wait for the end of its sentence; 0: not at all."""
    received_at: float
    """Loop seconds."""


def read_order(data: Any, received_at: float) -> Order:
    """Validate a generation request; raises :class:`Declined` with status 400 or 404."""
    if not isinstance(data, dict) or not isinstance(data.get("transcript"), str):
        raise _invalid("transcript is required")
    buffer_ms = data.get("max_buffer_delay_ms", _MANAGED_BUFFER_MS)
    if not isinstance(buffer_ms, int) or not 0 <= buffer_ms <= _LONGEST_BUFFER_MS:
        raise _invalid(f"max_buffer_delay_ms is a whole number from 0 to {_LONGEST_BUFFER_MS}")
    return Order(
        context_id=str(data.get("context_id", "")),
        transcript=data["transcript"],
        manner=_read_manner(data),
        continues=bool(data.get("continue")),
        flush=bool(data.get("flush")),
        add_timestamps=bool(data.get("add_timestamps")),
        buffer_seconds=buffer_ms / 1000,
        received_at=received_at,
    )


def _read_manner(data: dict[str, Any]) -> Manner:
    model_id = data.get("model_id")
    if not isinstance(model_id, str) or not model_id.startswith(_MODELS):
        raise Declined(404, "model_not_found", "Model not found", "model_id is not a model of ours")
    controls = data.get("generation_config") or {}
    speed = controls.get("speed", 1.0)
    if not isinstance(speed, int | float) or not _SPEEDS[0] <= speed <= _SPEEDS[1]:
        raise _invalid(f"generation_config.speed is a number from {_SPEEDS[0]} to {_SPEEDS[1]}")
    output = _read_output(data.get("output_format"))
    language = str(data.get("language") or "en")
    return Manner(model_id, _read_voice(data.get("voice")), output, language, float(speed))


def _read_voice(voice: Any) -> str:
    """Read any of the three forms: an id, ``{"id"}`` and the older ``{"mode": "id", "id"}``."""
    voice_id = voice.get("id") if isinstance(voice, dict) else voice
    if not isinstance(voice_id, str) or not voice_id:
        raise Declined(404, "voice_not_found", "Voice not found", "voice is an id, or an object with an id")
    return voice_id


def _read_output(output: Any) -> OutputFormat:
    if not isinstance(output, dict) or output.get("container") not in ("raw", "wav"):
        raise _invalid("output_format.container is raw or wav")
    encoding, sample_rate = output.get("encoding"), output.get("sample_rate")
    if encoding not in SAMPLE_BYTES:
        raise _invalid(f"output_format.encoding is one of {sorted(SAMPLE_BYTES)}")
    if sample_rate not in SAMPLE_RATES:
        raise _invalid(f"output_format.sample_rate is one of {sorted(SAMPLE_RATES)}")
    return OutputFormat(output["container"], cast(Encoding, encoding), cast(int, sample_rate))


def _invalid(message: str) -> Declined:
    return Declined(400, "invalid_request", "Invalid request", message)
