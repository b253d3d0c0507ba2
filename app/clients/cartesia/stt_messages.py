"""Cartesia's speech recognition ``ink-whisper``: its options, address and messages. No socket, no clock.

Wire format: https://docs.cartesia.ai/api-reference/stt/stt. The client sends audio, and the bare words ``finalize`` and
``close``. The vendor answers with pieces of the transcript, ``flush_done`` and ``done``. It does not know where a turn
ends: the client finalizes in a pause, and the turn ends with the answer to that.
"""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypedDict, cast
from urllib.parse import urlencode

from app.clients.cartesia.messages import ENCODING_NAMES, PROVIDER, error_for_status
from app.clients.messages import as_list, as_number, as_object, as_text, as_whole, readable
from app.clients.phrase import Clock, Phrase
from app.clients.stt_socket import SocketTimes
from app.clients.turn_assembly import Heard, TurnAssembly
from app.errors import ContentRejected, ProviderError, ProviderRejected
from app.models import base_language
from app.ports.streams import HeardWord
from media.formats import AudioFormat

_SECONDS_MAX = 86_400
_WORD_MAX = 1000
_ASKED_KEPT = 16
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class InkOptions:
    """Settings of the client."""

    model: str = "ink-whisper"
    language: str = "en"
    """A language code without a region. The model does not detect the language."""
    is_any_language: bool = False
    """Whether calls are in other languages, too."""
    connect_seconds: float = 2.0
    """How long the opening of a socket may take."""
    give_up_seconds: float = 10.0
    """How long to try to reconnect a lost socket."""
    replay_seconds: float = 20.0
    """How much audio is kept to be sent again. Nothing is final before a pause, so this is the longest turn."""
    finalize_seconds: float = 0.1
    """How long after the reported end of the caller's sound the words are asked for. The report itself takes 0.2 s."""
    unnoticed_seconds: float = 0.7
    """The same for words without a sound that was noticed: after the last of them."""
    max_silence_seconds: float = 0.8
    """The vendor finalizes by itself after this much silence."""
    stall_seconds: float = 1.2
    """How long the vendor may take to finalize; 0.81 s is its p99 in public measurements."""
    batch_seconds: float = 30.0
    """How long the transcription of a recording may take."""
    steady_seconds: float = 1.0
    """A socket that has stayed open this long counts as working."""

    def for_call(self, language: str | None) -> "InkOptions":
        """The same for a call in that language, if it is known and calls are in several."""
        if language is None or not self.is_any_language:
            return self
        return replace(self, language=base_language(language))

    @property
    def socket_times(self) -> SocketTimes:
        """How long a socket waits for what."""
        return SocketTimes(
            connect_seconds=self.connect_seconds,
            ping_interval_seconds=2.0,
            ping_timeout_seconds=2.0,
            stall_seconds=self.stall_seconds,
            steady_seconds=self.steady_seconds,
            flows_seconds=0.5,
            keep_alive_seconds=4.0,
            silence_after_seconds=0.5,
            orphan_seconds=2.5,
            finish_seconds=3.0,
        )


def stt_url(base_url: str, audio_format: AudioFormat, options: InkOptions) -> str:
    """The address of a live socket. ``base_url`` is http(s) or ws(s), with or without a path."""
    query = {
        "model": options.model,
        "language": options.language,
        "encoding": ENCODING_NAMES[audio_format.encoding],
        "sample_rate": audio_format.sample_rate,
        "max_silence_duration_secs": options.max_silence_seconds,
    }
    return f"{re.sub(r'^http', 'ws', base_url.rstrip('/'))}/stt/websocket?{urlencode(query)}"


class Message(TypedDict, total=False):
    """The fields of every message. Any may be absent or of a wrong type: see :mod:`app.clients.messages`."""

    type: str
    request_id: str


class Words(TypedDict, total=False):
    """Words and their times, in seconds since the first sample of the socket, as three lists of the same length.

    Cartesia's SDK has them so. Its documentation has one object for each word, with ``word``, ``start`` and ``end``.
    """

    words: list[str]
    word: str
    start: list[float]
    end: list[float]


class TranscriptMessage(Message, total=False):
    """What follows the last final piece. Pieces are joined as they are, with their own spaces."""

    text: str
    is_final: bool
    language: str
    words: list[Words]


class ErrorMessage(Message, total=False):
    """The socket is of no use after it."""

    status_code: int
    error_code: str


MESSAGES: Final[dict[str, type]] = {
    "transcript": TranscriptMessage,
    "flush_done": Message,
    "done": Message,
    "error": ErrorMessage,
}
"""The messages that are read, by ``type``. Others are ignored."""


class InkTurns(TurnAssembly):
    """A turn is the pieces up to a pause of the caller, in which the client has finalized."""

    def __init__(self, language: str | None) -> None:
        super().__init__(language)
        self._asked: deque[float] = deque(maxlen=_ASKED_KEPT)
        """How much audio was sent before each ``finalize`` that is not answered yet, in seconds of the socket."""
        self._until = 0.0
        """Where the words so far end, in seconds of the socket."""
        self.caller_speaks = False
        """Whether the caller makes a sound now. Then an answered ``finalize`` does not end the turn."""

    def note_finalize(self, sent_seconds: float) -> None:
        """Note that ``finalize`` was sent behind so much audio."""
        self._asked.append(sent_seconds)

    @property
    def is_asked(self) -> bool:
        """Whether a ``finalize`` is not answered yet."""
        return bool(self._asked)

    def read(self, message: Mapping[str, object], at: Clock) -> Heard | None:
        """See :meth:`TurnAssembly.read`. Raises ProviderError for an error of the vendor."""
        match message.get("type"):
            case "transcript":
                return self._transcribed(cast(TranscriptMessage, message), at)
            case "flush_done":
                return self._flushed()
            case "error":
                raise _error(cast(ErrorMessage, message))
            case str() as kind if kind in MESSAGES:
                return Heard()
            case _:
                return None

    def resume_from(self, moment: float) -> None:
        """See :meth:`TurnAssembly.resume_from`. Pieces that are heard again on the new socket are dropped."""
        super().resume_from(moment)
        self._kept = [before for phrase in self._kept if (before := phrase.before(moment)) is not None]
        self._asked.clear()
        self._until = 0.0

    def _joined(self, phrases: list[Phrase]) -> str:
        return "".join(phrase.text for phrase in phrases).strip()

    def _transcribed(self, message: TranscriptMessage, at: Clock) -> Heard:
        text = as_text(message.get("text"), "text")
        phrase = Phrase(text, self._words(message.get("words"), at), _language(message.get("language")))
        if message.get("is_final") is not True:
            return Heard((self._update(phrase),)) if text.strip() else Heard()
        if not text.strip() and not self.open:
            return Heard()
        self._kept.append(phrase)
        return Heard((self._update(None),))

    def _flushed(self) -> Heard:
        until = self._asked.popleft() if self._asked else None
        is_over = self.open and not self._asked and not self.caller_speaks
        ended = self.close() if is_over else ()
        return Heard(ended, acknowledged=None if self.open else until)

    def _words(self, value: object, at: Clock) -> tuple[HeardWord, ...]:
        """The words that can be read. A word without a time stands behind the one before it."""
        words = []
        for item in readable(partial(as_list, value, "words")) or []:
            for text, start, end in readable(partial(_timed, item)) or []:
                begins = self._until if start is None else start
                self._until = begins if end is None else max(begins, end)
                words.append(HeardWord(text, at(begins), max(at(begins), at(self._until)), 1.0))
        return tuple(words)


def read_request_id(value: object) -> str | None:
    """An id of Cartesia's. Returns None for anything else, which could be the caller's words."""
    return value if isinstance(value, str) and _REQUEST_ID.fullmatch(value) else None


def handshake_error(error: ProviderError) -> ProviderError:
    """A handshake has no content, so a refusal of the content means that our request is wrong."""
    if isinstance(error, ContentRejected):
        return ProviderRejected(PROVIDER, f"status {error.status}", status=error.status)
    return error


def _timed(item: object) -> list[tuple[str, float | None, float | None]]:
    """The words of one item, each with its times where they can be read. Raises Unreadable."""
    fields = cast(Words, as_object(item, "words"))
    texts = as_list(fields.get("words", [fields.get("word")]), "words")
    starts, ends = _times(fields.get("start"), len(texts)), _times(fields.get("end"), len(texts))
    read = [readable(partial(as_text, text, "a word", longest=_WORD_MAX)) for text in texts]
    return [(text, start, end) for text, start, end in zip(read, starts, ends, strict=True) if text and text.strip()]


def _times(value: object, length: int) -> list[float | None]:
    column = value if isinstance(value, list) else [value]
    if len(column) != length:
        return [None] * length
    return [readable(partial(as_number, time, "a time", least=0, most=_SECONDS_MAX)) for time in column]


def _language(value: object) -> str | None:
    return value if isinstance(value, str) and _LANGUAGE.fullmatch(value) else None


def _error(fields: ErrorMessage) -> ProviderError:
    return handshake_error(
        error_for_status(
            readable(lambda: as_whole(fields.get("status_code"), "status_code", least=100, most=599)),
            code=readable(lambda: as_text(fields.get("error_code"), "error_code")),
            request_id=read_request_id(fields.get("request_id")),
        )
    )
