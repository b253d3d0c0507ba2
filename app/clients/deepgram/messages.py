"""Options of requests to Deepgram, and the addresses that follow from them. No socket, no clock.

Flux (``/v2/listen``) decides where a turn ends (:mod:`app.clients.deepgram.flux_messages`). Nova-3 (``/v1/listen``)
reports phrases and pauses (:mod:`app.clients.deepgram.nova_messages`).
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from app.clients.deepgram.languages import DETECT, FLUX_LANGUAGES
from app.clients.stt_socket import SocketTimes
from app.models import base_language
from media.formats import AudioFormat

PROVIDER = "deepgram"

_ENCODINGS = {"pcm_s16le": "linear16", "mulaw": "mulaw"}


@dataclass(frozen=True, slots=True)
class DeepgramOptions:
    """Settings of the client. Raises ValueError for values that Deepgram would refuse."""

    model: str = "flux-general-multi"
    """``flux-...`` uses /v2/listen; anything else is a Nova-3 model at /v1/listen."""
    language: str = "ru"
    """A language code, or ``multi``: detected in each turn."""
    language_hints: tuple[str, ...] = ()
    """Codes of other languages that the caller may speak."""
    eager_eot_threshold: float | None = 0.5
    """Flux: confidence of an eager end of turn, from 0.3 to 0.9 and at most ``eot_threshold``. None: no such events."""
    eot_threshold: float = 0.7
    """Flux: confidence of the end of a turn, 0.5 to 1."""
    eot_timeout_ms: int = 5000
    """Flux: milliseconds of silence, 500 to 60000, after which a turn ends in any case."""
    endpointing_ms: int = 250
    """Nova: milliseconds of silence that end a phrase."""
    utterance_end_ms: int = 1000
    """Nova: milliseconds without a word that end a turn when noise hides the silence; at least 1000."""
    keyterms: tuple[str, ...] = ()
    """Words that recognition prefers, such as names; 500 tokens in all."""
    connect_seconds: float = 2.0
    """How long the opening of a socket may take."""
    give_up_seconds: float = 10.0
    """How long to try to reconnect a lost socket."""
    replay_seconds: float = 5.0
    """How much audio is kept to be sent again, and while there is no socket."""
    ping_interval_seconds: float = 2.0
    """Time between pings. With ``ping_timeout_seconds`` it is less than ``replay_seconds``: when a ping finds a dead
    connection, all audio that the connection missed is still kept."""
    ping_timeout_seconds: float = 2.0
    """How long a pong may take."""
    keep_alive_seconds: float = 4.0
    """Time without audio before a keepalive; Deepgram closes after 10."""
    silence_after_seconds: float = 0.5
    """Time without audio in the middle of a turn after which silence is sent, so that the turn can end."""
    steady_seconds: float = 1.0
    """A socket that has stayed open this long counts as working."""
    flux_stall_seconds: float = 1.25
    """How long Flux may send nothing while it gets speech: it reports every 0.25 s, with or without words
    (https://developers.deepgram.com/docs/flux/state)."""
    nova_stall_seconds: float = 3.0
    """The same for Nova, which reports every second (https://developers.deepgram.com/docs/utterance-end)."""
    flows_seconds: float = 0.5
    """Audio counts as flowing if some was sent this recently."""
    orphan_seconds: float = 1.5
    """How long a new socket may take to report a turn that began on the one before. After that the turn has ended."""
    finish_seconds: float = 3.0
    """How long Deepgram may send nothing after a request to finish."""
    batch_model: str = "nova-3"
    """Model for whole recordings."""
    batch_seconds: float = 30.0
    """How long the transcription of a recording may take."""

    def __post_init__(self) -> None:
        if self.eager_eot_threshold is not None and not 0.3 <= self.eager_eot_threshold <= min(0.9, self.eot_threshold):
            raise ValueError("eager_eot_threshold is 0.3 to 0.9 and at most eot_threshold, or None")
        if not 0.5 <= self.eot_threshold <= 1.0:
            raise ValueError("eot_threshold is 0.5 to 1.0")
        if not 500 <= self.eot_timeout_ms <= 60000:
            raise ValueError("eot_timeout_ms is 500 to 60000")
        if self.utterance_end_ms < 1000:
            raise ValueError("utterance_end_ms is 1000 or more")
        spoken = self.languages
        if spoken is not None and self.language != DETECT and base_language(self.language) not in spoken:
            known = ", ".join(sorted(spoken))
            raise ValueError(
                f"{self.model} does not know the language {self.language!r}: use nova-3, or one of {known}"
            )

    @property
    def languages(self) -> frozenset[str] | None:
        """Codes of the languages that the model knows; None when the vendor decides."""
        if not self.is_flux:
            return None
        return frozenset({"en"}) if self.model.endswith("-en") else FLUX_LANGUAGES

    @property
    def is_flux(self) -> bool:
        """Whether the model ends turns by itself."""
        return self.model.startswith("flux-")

    @property
    def socket_times(self) -> SocketTimes:
        """How long a socket waits for what."""
        return SocketTimes(
            connect_seconds=self.connect_seconds,
            ping_interval_seconds=self.ping_interval_seconds,
            ping_timeout_seconds=self.ping_timeout_seconds,
            stall_seconds=self.flux_stall_seconds if self.is_flux else self.nova_stall_seconds,
            steady_seconds=self.steady_seconds,
            flows_seconds=self.flows_seconds,
            keep_alive_seconds=self.keep_alive_seconds,
            silence_after_seconds=self.silence_after_seconds,
            orphan_seconds=self.orphan_seconds,
            finish_seconds=self.finish_seconds,
        )

    @property
    def known_language(self) -> str | None:
        """The language, unless it is detected."""
        return None if self.language == DETECT else self.language


def listen_url(base_url: str, audio_format: AudioFormat, options: DeepgramOptions, *, tag: str | None) -> str:
    """The address of a live socket. ``base_url`` is http(s) or ws(s), with or without a path."""
    query = _flux_query(options) if options.is_flux else _nova_query(options)
    query |= {"encoding": _ENCODINGS[audio_format.encoding], "sample_rate": audio_format.sample_rate}
    query |= {"keyterm": options.keyterms, "tag": () if tag is None else tag}
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/") + ("/v2/listen" if options.is_flux else "/v1/listen")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, path, urlencode(query, doseq=True), ""))


def rest_url(base_url: str) -> str:
    """The address for whole recordings, without ``/v1/listen``."""
    parts = urlsplit(base_url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def encoding_name(audio_format: AudioFormat) -> str:
    """Deepgram's name of the encoding."""
    return _ENCODINGS[audio_format.encoding]


def _flux_query(options: DeepgramOptions) -> dict[str, Any]:
    query: dict[str, Any] = {
        "model": options.model,
        "eot_threshold": options.eot_threshold,
        "eot_timeout_ms": options.eot_timeout_ms,
    }
    if options.eager_eot_threshold is not None:
        query["eager_eot_threshold"] = options.eager_eot_threshold
    if not options.model.endswith("-en"):
        wanted = [options.known_language] if options.known_language else []
        query["language_hint"] = tuple(
            dict.fromkeys(base_language(code) for code in [*wanted, *options.language_hints])
        )
    return query


def _nova_query(options: DeepgramOptions) -> dict[str, Any]:
    return {
        "model": options.model,
        "language": options.language,
        "language_hint": options.language_hints if options.language == DETECT else (),
        "channels": 1,
        "interim_results": "true",
        "endpointing": options.endpointing_ms,
        "utterance_end_ms": options.utterance_end_ms,
        "punctuate": "true",
        "no_delay": "true",
    }
