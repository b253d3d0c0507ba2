"""Deepgram's live protocols as plain values: what to ask for, and what the answers mean. No socket, no clock.

Flux, ``/v2/listen``, decides itself where a turn ends (https://developers.deepgram.com/docs/flux/quickstart); Nova-3,
``/v1/listen``, gives phrases and pauses (https://developers.deepgram.com/docs/live-streaming-audio).
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from app.clients.deepgram.languages import DETECT, base_language, main_language
from app.errors import ProviderUnavailable
from app.ports.streams import (
    HeardWord,
    SpeechEvent,
    Transcript,
    TurnEnded,
    TurnEndedEagerly,
    TurnResumed,
    TurnUpdated,
)
from media.formats import AudioFormat

PROVIDER = "deepgram"

_ENCODINGS = {"pcm_s16le": "linear16", "mulaw": "mulaw"}
_FLUX_LANGUAGES = frozenset({"de", "en", "es", "fr", "hi", "it", "ja", "nl", "pt", "ru"})
_SAME_WORD_SECONDS = 0.1

Clock = Callable[[float], float]
"""Translates seconds of the socket into seconds of the stream."""


@dataclass(frozen=True, slots=True)
class DeepgramOptions:
    """How Deepgram is to listen. Raises ValueError for values that Deepgram would refuse."""

    model: str = "flux-general-multi"
    """``flux-...`` is asked at /v2/listen, anything else is a Nova-3 model at /v1/listen."""
    language: str = "ru"
    """A language code, or ``multi``: detected in each turn."""
    language_hints: tuple[str, ...] = ()
    """Codes of languages that are likely, besides ``language``."""
    eager_eot_threshold: float | None = 0.5
    """Flux: confidence of an eager end of turn, 0.3 to 0.9 and not above ``eot_threshold``; None for no such events."""
    eot_threshold: float = 0.7
    """Flux: confidence of the end of a turn, 0.5 to 1."""
    eot_timeout_ms: int = 5000
    """Flux: milliseconds of silence, 500 to 60000, after which a turn ends in any case."""
    endpointing_ms: int = 250
    """Nova: milliseconds of silence that end a phrase."""
    utterance_end_ms: int = 1000
    """Nova: milliseconds without a word that end a turn when noise hides the silence; at least 1000."""
    keyterms: tuple[str, ...] = ()
    """Words to be preferred, such as names; 500 tokens in all."""
    connect_seconds: float = 2.0
    """How long the opening of a socket may take."""
    give_up_seconds: float = 10.0
    """How long a lost socket is tried again."""
    replay_seconds: float = 5.0
    """How much audio is kept for a new socket, and while there is none."""
    ping_interval_seconds: float = 2.0
    """Time between pings. With ``ping_timeout_seconds`` it is below ``replay_seconds``, so that a connection that died
    without a word is found while all it did not hear is still kept."""
    ping_timeout_seconds: float = 2.0
    """How long a pong may take."""
    keep_alive_seconds: float = 4.0
    """Time without audio after which Deepgram is told that we are still there; it closes after 10."""
    silence_after_seconds: float = 0.5
    """Time without audio in the middle of a turn after which silence is sent, so that the turn can end."""
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
        spoken = {"en"} if self.model.endswith("-en") else _FLUX_LANGUAGES
        if self.is_flux and self.language != DETECT and base_language(self.language) not in spoken:
            raise ValueError(f"{self.model} does not know the language {self.language!r}: use nova-3")

    @property
    def is_flux(self) -> bool:
        """Whether the model ends turns by itself."""
        return self.model.startswith("flux-")

    @property
    def known_language(self) -> str | None:
        """The language, when it is not to be detected."""
        return None if self.language == DETECT else self.language


def listen_url(base_url: str, audio_format: AudioFormat, options: DeepgramOptions, *, tag: str | None) -> str:
    """Address of a live socket. ``base_url`` is http(s) or ws(s), perhaps with a path that goes before Deepgram's."""
    query = _flux_query(options) if options.is_flux else _nova_query(options)
    query |= {"encoding": _ENCODINGS[audio_format.encoding], "sample_rate": audio_format.sample_rate}
    query |= {"keyterm": options.keyterms, "tag": () if tag is None else tag}
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/") + ("/v2/listen" if options.is_flux else "/v1/listen")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, path, urlencode(query, doseq=True), ""))


def rest_url(base_url: str) -> str:
    """Address before ``/v1/listen`` for whole recordings."""
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


def mean_confidence(words: Iterable[tuple[float, float]]) -> float | None:
    """Mean of ``(confidence, seconds)`` weighted by the seconds, evenly when all are 0; None without words."""
    pairs = list(words)
    if not pairs:
        return None
    total = sum(seconds for _, seconds in pairs)
    if total <= 0:
        return sum(confidence for confidence, _ in pairs) / len(pairs)
    return sum(confidence * seconds for confidence, seconds in pairs) / total


@dataclass(frozen=True, slots=True)
class Heard:
    """What a message of Deepgram tells."""

    events: tuple[SpeechEvent, ...] = ()
    backchanneled: float | None = None
    """Seconds of the socket up to which the audio is transcribed for good."""


@dataclass(frozen=True, slots=True)
class _Phrase:
    text: str
    words: tuple[HeardWord, ...] = ()
    language: str | None = None

    @property
    def seconds(self) -> float:
        return sum(word.end - word.start for word in self.words)

    def before(self, moment: float) -> "_Phrase | None":
        """The words that ended by then."""
        words = tuple(word for word in self.words if word.end <= moment)
        return _Phrase(" ".join(word.text for word in words), words, self.language) if words else None


class TurnAssembly:
    """The caller's turn as it grows. Words that will not change are kept over the loss of a socket."""

    def __init__(self, language: str | None) -> None:
        """``language`` is what a transcript has when Deepgram does not say."""
        self._language = language
        self._kept: list[_Phrase] = []
        self._latest: _Phrase | None = None
        self._eager = False
        self.open = False
        """Whether the caller is in the middle of a turn."""
        self.orphaned = False
        """Whether the turn was begun on a socket that is gone, and nothing was heard of it on the new one."""

    def read(self, message: Mapping[str, Any], at: Clock) -> Heard | None:
        """Take in a message; None when its type is not known. Raises ValueError when it is not of the protocol."""
        raise NotImplementedError

    def resume_from(self, moment: float) -> None:
        """A new socket hears the audio from ``moment`` on, in seconds of the stream, and knows nothing of before."""
        carried = self._latest.before(moment) if self._latest else None
        if carried:
            self._kept.append(carried)
        self._latest = None
        self.orphaned = self.open

    def close(self) -> tuple[SpeechEvent, ...]:
        """Nothing more will be heard of this turn: what is known of it is all."""
        return (self._end(),) if self.open else ()

    def _update(self, latest: _Phrase | None) -> SpeechEvent:
        self._latest = latest
        self.open = True
        revoked = self._eager and self.orphaned
        self.orphaned = False
        if revoked:
            self._eager = False
            return TurnResumed(self._transcript())
        return TurnUpdated(self._transcript())

    def _end(self) -> TurnEnded:
        transcript = self._transcript()
        self._kept, self._latest = [], None
        self._eager = self.open = self.orphaned = False
        return TurnEnded(transcript)

    def _transcript(self) -> Transcript:
        phrases = [*self._kept, *([self._latest] if self._latest else [])]
        words = tuple(word for phrase in phrases for word in phrase.words)
        return Transcript(
            text=" ".join(phrase.text for phrase in phrases if phrase.text),
            words=words,
            confidence=mean_confidence((word.confidence, word.end - word.start) for word in words),
            language=main_language((phrase.language, phrase.seconds) for phrase in phrases) or self._language,
        )


class FluxTurns(TurnAssembly):
    """Flux tells the whole turn anew in each message, and when it has ended."""

    def read(self, message: Mapping[str, Any], at: Clock) -> Heard | None:
        """See :meth:`TurnAssembly.read`. Raises ProviderUnavailable for an error after which Flux closes."""
        match message.get("type"):
            case "TurnInfo":
                return self._turn(message, at)
            case "Connected" | "ConfigureSuccess" | "ConfigureFailure" | "Warning":
                return Heard()
            case "Error":
                raise ProviderUnavailable(PROVIDER, f"fatal error {_token(message.get('code'))}")
            case _:
                return None

    def _turn(self, message: Mapping[str, Any], at: Clock) -> Heard | None:
        end = _number(message.get("audio_window_end"))
        phrase = _phrase(message, at, moment=end)
        match message.get("event"):
            case "Update" if not phrase.text:
                return Heard()  # a sign of life: comes between turns, too, and is no part of one
            case "StartOfTurn" | "Update":
                return Heard((self._update(phrase),))
            case "EagerEndOfTurn":
                updated = self._update(phrase)
                self._eager = True
                revoked = (updated,) if isinstance(updated, TurnResumed) else ()
                return Heard((*revoked, TurnEndedEagerly(self._transcript())))
            case "TurnResumed":
                self._update(phrase)
                self._eager = False
                return Heard((TurnResumed(self._transcript()),))
            case "EndOfTurn":
                self._latest = phrase
                return Heard((self._end(),), backchanneled=end)
            case _:
                return None


class NovaTurns(TurnAssembly):
    """Nova-3 tells phrases: first as a guess, then for good. A turn is the phrases up to a pause."""

    def __init__(self, language: str | None) -> None:
        super().__init__(language)
        self._pause_after: float | None = None

    def read(self, message: Mapping[str, Any], at: Clock) -> Heard | None:
        """See :meth:`TurnAssembly.read`."""
        match message.get("type"):
            case "Results":
                return self._results(message, at)
            case "UtteranceEnd":
                return Heard(self._utterance_end(_number(message.get("last_word_end")), at))
            case "Metadata" | "SpeechStarted" | "ConfigureSuccess" | "ConfigureFailure" | "Error":
                return Heard()
            case _:
                return None

    def _results(self, message: Mapping[str, Any], at: Clock) -> Heard:
        channel = _object(message.get("channel"))
        alternatives = _objects(channel.get("alternatives"))
        if not alternatives:
            raise ValueError("results without an alternative")
        end = _number(message.get("start")) + _number(message.get("duration"))
        phrase = _phrase({"languages": channel.get("languages"), **alternatives[0]}, at, moment=end)
        if message.get("is_final") is not True:
            return Heard((self._update(phrase),) if phrase.text else ())
        ends = message.get("speech_final") is True or message.get("from_finalize") is True
        return Heard(self._final(phrase, ends=ends), backchanneled=end)

    def _final(self, phrase: _Phrase, *, ends: bool) -> tuple[SpeechEvent, ...]:
        self._latest = None
        if phrase.text:
            self._kept.append(phrase)
            self.open = True
        if self.open and (self._paused_at(phrase) or ends):
            return (self._end(),)
        return (self._update(None),) if phrase.text else ()

    def _utterance_end(self, last_word_end: float, at: Clock) -> tuple[SpeechEvent, ...]:
        """End the turn, unless the pause was before it, or words are still a guess: then they end it when final."""
        moment = at(last_word_end) if last_word_end >= 0 else math.inf
        words = [word for phrase in self._kept for word in phrase.words]
        if not self.open or (words and moment < words[0].start):
            return ()
        if self._latest:
            guessed_end = max((word.end for word in self._latest.words), default=math.inf)
            self._pause_after = min(moment, guessed_end)
            return ()
        return (self._end(),)

    def _paused_at(self, phrase: _Phrase) -> bool:
        after, self._pause_after = self._pause_after, None
        if after is None:
            return False
        return all(word.end <= after + _SAME_WORD_SECONDS for word in phrase.words)


def _phrase(source: Mapping[str, Any], at: Clock, *, moment: float) -> _Phrase:
    """``source`` has ``transcript``, ``words``, perhaps ``confidence`` and ``languages``; ``moment`` is for words
    without a time."""
    text = source.get("transcript")
    if not isinstance(text, str):
        raise ValueError("a transcript that is no text")
    raw = _objects(source.get("words") or [])
    otherwise = _number(source.get("confidence", 0.0))
    words = tuple(_word(word, at, moment=moment, confidence=otherwise) for word in raw)
    languages = source.get("languages")
    language = languages[0] if isinstance(languages, list) and languages and isinstance(languages[0], str) else None
    spoken = (word.get("language") for word in raw)
    counted = [
        (code if isinstance(code, str) else None, w.end - w.start) for code, w in zip(spoken, words, strict=True)
    ]
    return _Phrase(text.strip(), words, language or main_language(counted))


def _word(source: Mapping[str, Any], at: Clock, *, moment: float, confidence: float) -> HeardWord:
    text = source.get("punctuated_word") or source.get("word")
    if not isinstance(text, str):
        raise ValueError("a word that is no text")
    start, end = _number(source.get("start", moment)), _number(source.get("end", moment))
    sure = min(1.0, max(0.0, _number(source.get("confidence", confidence))))
    begins = at(start)
    return HeardWord(text, begins, max(begins, at(end)), sure)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a number is missing")
    return float(value)


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object is missing")
    return value


def _objects(value: object) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise ValueError("a list is missing")
    return [_object(item) for item in value]


def _token(value: object) -> str:
    """A code of Deepgram's, as far as it is one: anything else could be the caller's words."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value) else "without a code"
