"""The query parameters of Deepgram's ``/v1/listen`` and ``/v2/listen``, validated (developers.deepgram.com)."""

from dataclasses import dataclass, replace
from typing import Final

from starlette.datastructures import QueryParams

from sandbox.vendors.encodings import Encoding
from sandbox.vendors.wire import Message

ENCODINGS: Final[dict[str, Encoding]] = {"linear16": "pcm_s16le", "mulaw": "pcm_mulaw", "alaw": "pcm_alaw"}
NOVA_MODELS = ("nova-3", "nova-2", "nova", "enhanced", "base")
FLUX_MODELS = ("flux-general-en", "flux-general-multi")
_EAGER_RANGE = (0.3, 0.9)
_THRESHOLD_RANGE = (0.5, 1.0)
_TIMEOUT_RANGE_MS = (500, 60000)
_DEFAULT_THRESHOLD = 0.7
_DEFAULT_TIMEOUT_MS = 5000
_DEFAULT_ENDPOINTING_MS = 10


class BadQuery(ValueError):
    """The query is invalid: the handshake gets 400 with this message."""


@dataclass(frozen=True, slots=True)
class NovaQuery:
    """The parameters of a ``/v1/listen`` stream; times in seconds."""

    model: str
    encoding: Encoding
    sample_rate: int
    tag: str | None
    language: str | None
    interim_results: bool
    vad_events: bool
    written: bool
    """Whether text has capitals and punctuation."""
    endpointing: float | None
    """How much silence ends an utterance; None: silence never does."""
    utterance_end: float | None


@dataclass(frozen=True, slots=True)
class FluxQuery:
    """The parameters of a ``/v2/listen`` stream; times in seconds."""

    model: str
    encoding: Encoding
    sample_rate: int
    tag: str | None
    language_hints: tuple[str, ...]
    keyterms: tuple[str, ...]
    eager_threshold: float | None
    """None: no eager end of turn."""
    threshold: float
    """1.0: only ForceEndTurn ends a turn."""
    timeout: float


def read_nova(query: QueryParams) -> NovaQuery:
    """Read a ``/v1/listen`` stream's query; raises :class:`BadQuery`."""
    encoding, sample_rate = _audio(query)
    interim_results = flag(query, "interim_results")
    utterance_end = _milliseconds(query, "utterance_end_ms", None)
    if utterance_end is not None and not interim_results:
        raise BadQuery("utterance_end_ms needs interim_results=true")
    silent = query.get("endpointing") == "false"
    return NovaQuery(
        model=nova_model(query),
        encoding=encoding,
        sample_rate=sample_rate,
        tag=query.get("tag"),
        language=query.get("language"),
        interim_results=interim_results,
        vad_events=flag(query, "vad_events"),
        written=flag(query, "punctuate") or flag(query, "smart_format"),
        endpointing=None if silent else _milliseconds(query, "endpointing", _DEFAULT_ENDPOINTING_MS),
        utterance_end=utterance_end,
    )


def read_flux(query: QueryParams) -> FluxQuery:
    """Read a ``/v2/listen`` stream's query; raises :class:`BadQuery`."""
    model = query.get("model", "")
    if model not in FLUX_MODELS:
        raise BadQuery(f"model must be one of {', '.join(FLUX_MODELS)}")
    encoding, sample_rate = _audio(query)
    timeout_ms = _number(query, "eot_timeout_ms", _TIMEOUT_RANGE_MS) or _DEFAULT_TIMEOUT_MS
    return FluxQuery(
        model=model,
        encoding=encoding,
        sample_rate=sample_rate,
        tag=query.get("tag"),
        language_hints=tuple(query.getlist("language_hint")),
        keyterms=tuple(query.getlist("keyterm")),
        eager_threshold=_number(query, "eager_eot_threshold", _EAGER_RANGE),
        threshold=_number(query, "eot_threshold", _THRESHOLD_RANGE) or _DEFAULT_THRESHOLD,
        timeout=timeout_ms / 1000,
    )


def reconfigured(query: FluxQuery, message: Message) -> FluxQuery:
    """The query after a ``Configure``: what the message leaves out stays. Raises :class:`BadQuery`."""
    thresholds = message.get("thresholds") or {}
    eager = _in_range(thresholds, "eager_eot_threshold", _EAGER_RANGE, query.eager_threshold)
    threshold = _in_range(thresholds, "eot_threshold", _THRESHOLD_RANGE, query.threshold) or query.threshold
    timeout_ms = _in_range(thresholds, "eot_timeout_ms", _TIMEOUT_RANGE_MS, query.timeout * 1000) or 0.0
    if eager is not None and eager > threshold:
        raise BadQuery("eager_eot_threshold must not be above eot_threshold")
    return replace(
        query,
        eager_threshold=eager,
        threshold=threshold,
        timeout=timeout_ms / 1000,
        keyterms=tuple(message.get("keyterms", query.keyterms)),
        language_hints=tuple(message.get("language_hints", query.language_hints)),
    )


def nova_model(query: QueryParams) -> str:
    """The model of a ``/v1/listen`` request; raises :class:`BadQuery`."""
    model = query.get("model", "base")
    if not model.startswith(NOVA_MODELS):
        raise BadQuery("No such model/language/tier combination found.")
    return model


def flag(query: QueryParams, name: str) -> bool:
    """Read a switch; off when absent."""
    return query.get(name, "false").lower() == "true"


def _audio(query: QueryParams) -> tuple[Encoding, int]:
    encoding = ENCODINGS.get(query.get("encoding", ""))
    if encoding is None:
        raise BadQuery(f"encoding must be one of {', '.join(ENCODINGS)}: this stand-in decodes no other")
    sample_rate = _number(query, "sample_rate", (8000, 48000))
    if sample_rate is None:
        raise BadQuery("sample_rate is required for raw audio")
    return encoding, int(sample_rate)


def _milliseconds(query: QueryParams, name: str, default: float | None) -> float | None:
    value = _number(query, name, (0, 60000))
    if value is None or query.get(name) == "true":
        value = default
    return None if value is None else value / 1000


def _in_range(values: Message, name: str, allowed: tuple[float, float], before: float | None) -> float | None:
    value = values.get(name, before)
    if value is before:
        return before
    if isinstance(value, bool) or not isinstance(value, int | float) or not allowed[0] <= value <= allowed[1]:
        raise BadQuery(f"{name} must be a number from {allowed[0]:g} to {allowed[1]:g}")
    return float(value)


def _number(query: QueryParams, name: str, allowed: tuple[float, float]) -> float | None:
    text = query.get(name)
    if text is None or text == "true":
        return None
    try:
        value = float(text)
    except ValueError:
        raise BadQuery(f"{name} must be a number") from None
    if not allowed[0] <= value <= allowed[1]:
        raise BadQuery(f"{name} must be from {allowed[0]:g} to {allowed[1]:g}")
    return value
