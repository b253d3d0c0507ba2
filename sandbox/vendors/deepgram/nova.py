"""Nova, Deepgram's ``/v1/listen``: a stream of results (developers.deepgram.com/reference)."""

import string
from typing import Any

from sandbox.vendors.deepgram.query import NovaQuery
from sandbox.vendors.deepgram.stream import Send, confidence_of, languages_of, new_request_id
from sandbox.vendors.hearing import LEAST_SILENCE_SECONDS, Heard
from sandbox.vendors.script import Script, ears
from sandbox.vendors.stage import Stage
from sandbox.vendors.wire import Message

_EMPTY_RESULT_SECONDS = 5.0
_CREATED = "2026-01-01T00:00:00.000Z"
_PUNCTUATION = string.punctuation + "«»—…"


class NovaStream:
    """One stream; see :class:`sandbox.vendors.deepgram.stream.Stream`.

    Each interim result replaces the one before; final results add up, the last of an utterance with ``speech_final``.
    """

    def __init__(self, query: NovaQuery, stage: Stage, send: Send) -> None:
        self._query = query
        self.idle_seconds: float | None = stage.limits.nova_idle_seconds
        self._stage = stage
        self._send = send
        self._chance = stage.chance("deepgram", query.tag)
        self.request_id = new_request_id(self._chance)
        script = Script(stage, query.tag, (query.language,) if query.language else ())
        self._detector, self._recogniser = ears(stage, query.tag, script, query.encoding, query.sample_rate)
        self._words_sent = 0
        self._final_until = 0.0
        self._last_word_end: float | None = None
        """The end of the last word of an utterance whose UtteranceEnd was not sent yet."""
        self._draw()

    async def open(self) -> None:
        """Send nothing: a Nova stream has no first message."""

    async def hear(self, audio: bytes) -> None:
        """Process audio."""
        for now, speech in self._detector.feed(audio):
            began = self._recogniser.step(now, speech)
            if began and self._query.vad_events:
                await self._send({"type": "SpeechStarted", "channel": [0, 1], "timestamp": round(now, 3)})
            if speech:
                await self._while_speaking()
            else:
                await self._while_silent(now)

    async def obey(self, message: Any) -> bool:
        """Handle ``KeepAlive``, ``Finalize``, ``Configure`` or ``CloseStream``; anything else gets an error."""
        match message:
            case {"type": "CloseStream"}:
                return False
            case {"type": "KeepAlive"}:
                pass
            case {"type": "Finalize"}:
                await self._finalize(from_finalize=True)
            case {"type": "Configure"}:
                await self._configure(message)
            case _:
                await self._send({"type": "Error", "variant": "SchemaError", "description": "unknown message"})
        return True

    async def finish(self) -> None:
        """Send the last results and the stream's metadata."""
        if self._recogniser.words:
            await self._finalize()
        await self._send(
            {
                "type": "Metadata",
                "transaction_key": "deprecated",
                "request_id": self.request_id,
                "sha256": "0" * 64,
                "created": _CREATED,
                "duration": round(self._detector.seconds, 3),
                "channels": 1,
            }
        )

    def _draw(self) -> None:
        """Draw how much silence ends the next utterance."""
        drawn = self._stage.profile.end_of_turn.draw(self._chance)
        self._end_silence = max(LEAST_SILENCE_SECONDS, drawn, self._query.endpointing or 0.0)

    async def _while_speaking(self) -> None:
        if self._query.interim_results and len(self._recogniser.words) > self._words_sent:
            self._words_sent = len(self._recogniser.words)
            await self._send(self._results())

    async def _while_silent(self, now: float) -> None:
        if self._query.endpointing is not None and self._recogniser.silence >= self._end_silence:
            self._recogniser.settle()
            if self._recogniser.words:
                await self._finalize(speech_final=True)
        await self._send_utterance_end(now)
        if not self._recogniser.words and now - self._final_until >= _EMPTY_RESULT_SECONDS:
            await self._finalize()

    async def _send_utterance_end(self, now: float) -> None:
        gap, words = self._query.utterance_end, self._recogniser.words
        last = words[-1].end if words else self._last_word_end
        if gap is None or last is None or now - last < gap:
            return
        if words:
            await self._finalize()
        self._last_word_end = None
        await self._send({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": round(last, 3)})

    async def _finalize(self, *, speech_final: bool = False, from_finalize: bool = False) -> None:
        if self._recogniser.silence >= LEAST_SILENCE_SECONDS:
            self._recogniser.settle()
        words = self._recogniser.words
        if speech_final:  # noted before sending: the client may have answered before this task continues
            silence = round(self._recogniser.silence, 3)
            self._stage.note("deepgram", "end_of_turn", self._query.tag, silence=silence)
        await self._send(self._results(is_final=True, speech_final=speech_final, from_finalize=from_finalize))
        if words:
            self._last_word_end = words[-1].end
        self._final_until = self._detector.seconds
        self._words_sent = 0
        self._recogniser.end_turn()
        self._draw()

    async def _configure(self, message: Message) -> None:
        if not self._query.model.startswith("nova-3"):
            code, why = "CONFIGURE_KEYTERMS_NOT_SUPPORTED", "keyterms need nova-3"
            failure = {"type": "ConfigureFailure", "request_id": self.request_id, "code": code, "description": why}
            await self._send(failure)
        else:
            keyterms = message.get("keyterms", [])
            await self._send({"type": "ConfigureSuccess", "request_id": self.request_id, "keyterms": keyterms})

    def _results(self, *, is_final: bool = False, speech_final: bool = False, from_finalize: bool = False) -> Message:
        words = self._recogniser.words
        now = self._detector.seconds
        alternative = alternative_of(words, written=self._query.written)
        if self._query.language == "multi":
            alternative["languages"] = languages_of(words)
        return {
            "type": "Results",
            "channel_index": [0, 1],
            "duration": round(now - self._final_until, 3),
            "start": round(self._final_until, 3),
            "is_final": is_final,
            "speech_final": speech_final,
            "from_finalize": from_finalize,
            "channel": {"alternatives": [alternative]},
            "metadata": {
                "request_id": self.request_id,
                "model_uuid": "sandbox",
                "model_info": {"name": f"general-{self._query.model}", "version": "sandbox", "arch": self._query.model},
            },
            "entities": [],
        }


def alternative_of(words: list[Heard], *, written: bool) -> Message:
    """Deepgram's ``alternative``: the transcript and its words, with or without capitals and punctuation."""
    spoken = [
        {
            "word": bare(word.text),
            "start": round(word.start, 3),
            "end": round(word.end, 3),
            "confidence": word.confidence,
            **({"punctuated_word": word.text} if written else {}),
        }
        for word in words
    ]
    text = " ".join(word.text if written else bare(word.text) for word in words)
    return {"transcript": text, "confidence": confidence_of(words), "words": spoken}


def bare(word: str) -> str:
    """The word without capitals and punctuation."""
    return word.lower().strip(_PUNCTUATION)
