"""Reads the messages of Nova-3: https://developers.deepgram.com/reference/speech-to-text/listen-streaming."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypedDict, cast

from app.clients.deepgram.spoken import Message, Spoken, read_phrase, read_seconds
from app.clients.messages import Unreadable, as_list, as_object
from app.clients.phrase import Clock, Phrase
from app.clients.turn_assembly import Heard, TurnAssembly
from app.ports.streams import HeardWord, SpeechEvent

_SAME_WORD_SECONDS = 0.1
_SAME_MOMENT_SECONDS = 0.01


class Channel(TypedDict, total=False):
    """The alternatives, the best first."""

    alternatives: list[Spoken]
    languages: list[str]


class ResultsMessage(Message, total=False):
    """What was said in ``duration`` seconds from ``start``, in seconds of the socket: interim unless ``is_final``."""

    start: float
    duration: float
    is_final: bool
    speech_final: bool
    from_finalize: bool
    channel: Channel


class UtteranceEndMessage(Message, total=False):
    """``last_word_end`` is -1 where Deepgram does not know it."""

    last_word_end: float


MESSAGES: Final[dict[str, type]] = {
    "Results": ResultsMessage,
    "UtteranceEnd": UtteranceEndMessage,
    "Metadata": Message,
    "SpeechStarted": Message,
    "ConfigureSuccess": Message,
    "ConfigureFailure": Message,
    "Error": Message,
}
"""The messages that are read, by ``type``. Others are ignored."""


class NovaTurns(TurnAssembly):
    """Nova-3 reports phrases, first interim, then final. A turn is the phrases up to a pause."""

    def __init__(self, language: str | None) -> None:
        super().__init__(language)
        self._pause_after: float | None = None
        self._heard_until = 0.0
        """Seconds of this socket."""
        self._guess_until: float | None = None
        """The end of the audio of the interim results, in seconds of this socket."""
        self._final_until: float | None = None
        """The end of the audio of the last final results, in seconds of this socket."""
        self._told: tuple[HeardWord, ...] = ()
        """The words of the last final results."""

    def read(self, message: Mapping[str, object], at: Clock) -> Heard | None:
        """See :meth:`TurnAssembly.read`."""
        match message.get("type"):
            case "Results":
                results = cast(ResultsMessage, message)
                return replace(self._results(results, at), until=_end_of(results))
            case "UtteranceEnd":
                last_word_end = read_seconds(cast(UtteranceEndMessage, message).get("last_word_end"))
                return Heard(self._utterance_end(last_word_end, at))
            case str() as kind if kind in MESSAGES:
                return Heard()
            case _:
                return None

    def resume_from(self, moment: float) -> None:
        """See :meth:`TurnAssembly.resume_from`."""
        super().resume_from(moment)
        self._heard_until, self._guess_until, self._final_until = 0.0, None, None

    def _results(self, message: ResultsMessage, at: Clock) -> Heard:
        start, end = read_seconds(message.get("start")), _end_of(message)
        ends = message.get("speech_final") is True or message.get("from_finalize") is True
        is_final = ends or message.get("is_final") is True
        try:
            phrase = _best(message.get("channel"), at, moment=self._heard_until if end is None else end)
        except Unreadable:
            if not is_final:
                raise
            phrase = None
        if phrase is not None and start is not None and self._is_told(start):
            phrase = phrase.without(self._told, since=at(start))
        self._keep_guess_before(start, phrase)
        self._heard_until = self._heard_until if end is None else end
        if is_final:
            self._final_until = end
            self._told = phrase.words if phrase is not None and phrase.words else self._told
            return Heard(self._final(phrase or self._latest or Phrase(""), ends=ends), acknowledged=end)
        if phrase is None or not phrase.text:
            return Heard()
        self._guess_until = end
        return Heard((self._update(phrase),))

    def _is_told(self, start: float) -> bool:
        """Whether results that begin there cover audio that was transcribed for good before."""
        return self._final_until is not None and start < self._final_until - _SAME_MOMENT_SECONDS

    def _keep_guess_before(self, start: float | None, phrase: Phrase | None) -> None:
        """Results that begin behind the guess, and do not repeat it, show that its final form could not be read."""
        if self._latest is None or self._guess_until is None or start is None or phrase is None:
            return
        repeated = phrase.text.startswith(self._latest.text)
        if start >= self._guess_until - _SAME_MOMENT_SECONDS and not repeated:
            self._kept.append(self._latest)
            self._latest = self._guess_until = None

    def _final(self, phrase: Phrase, *, ends: bool) -> tuple[SpeechEvent, ...]:
        self._latest = self._guess_until = None
        if phrase.text:
            self._kept.append(phrase)
            self.open = True
        if self.open and (self._paused_at(phrase) or ends):
            return (self._end(),)
        return (self._update(None),) if phrase.text else ()

    def _utterance_end(self, last_word_end: float | None, at: Clock) -> tuple[SpeechEvent, ...]:
        """End the turn, unless the pause was before it. Interim words end it when they become final."""
        moment = math.inf if last_word_end is None else at(last_word_end)
        words = [word for phrase in self._kept for word in phrase.words]
        if not self.open or (words and moment < words[0].start):
            return ()
        if self._latest:
            guessed_end = max((word.end for word in self._latest.words), default=math.inf)
            self._pause_after = min(moment, guessed_end)
            return ()
        return (self._end(),)

    def _paused_at(self, phrase: Phrase) -> bool:
        after, self._pause_after = self._pause_after, None
        if after is None:
            return False
        return all(word.end <= after + _SAME_WORD_SECONDS for word in phrase.words)


def _end_of(message: ResultsMessage) -> float | None:
    """The end of the audio that the results are about, in seconds of the socket; None when that cannot be read."""
    start, duration = read_seconds(message.get("start")), read_seconds(message.get("duration"))
    return None if start is None or duration is None else start + duration


def _best(value: object, at: Clock, *, moment: float) -> Phrase | None:
    """The first alternative of a channel. See :func:`read_phrase`."""
    channel = cast(Channel, as_object(value, "channel"))
    first = as_object(next(iter(as_list(channel.get("alternatives"), "alternatives")), None), "an alternative")
    return read_phrase(cast(Spoken, first), at, moment=moment, languages=channel.get("languages"))
