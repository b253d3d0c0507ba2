"""Flux, Deepgram's ``/v2/listen``: a stream of turns (developers.deepgram.com/docs/flux).

The confidence that a turn has ended grows with the silence s as 1 - 0.3^(s / S). After S seconds it is 0.7, the default
threshold. S is the profile's for the end of an utterance, and longer for a pause inside one. So a threshold of 0.5 ends
a turn after 0.58 S, and one of 0.9 after 1.9 S.
"""

import math
from typing import Any

from sandbox.vendors.deepgram.query import BadQuery, FluxQuery, reconfigured
from sandbox.vendors.deepgram.stream import Fatal, Send, languages_of, new_request_id, transcript_of
from sandbox.vendors.hearing import LEAST_SILENCE_SECONDS, UNFINISHED_SILENCE_SECONDS
from sandbox.vendors.script import Script, ears
from sandbox.vendors.stage import Stage
from sandbox.vendors.wire import Message

_LEAST_EAGER_SECONDS = 0.1
_BEAT_SECONDS = 0.25
_SURE = 0.9
_FAIRLY_SURE = 0.55
_DOUBTFUL = 0.1
_MANUAL_ONLY = 1.0
_DEFAULT_THRESHOLD = 0.7
_DEFAULT_EAGER_THRESHOLD = 0.5


class FluxStream:
    """One stream; see :class:`sandbox.vendors.deepgram.stream.Stream`.

    A turn is StartOfTurn, an Update for new words, perhaps EagerEndOfTurn and TurnResumed, then EndOfTurn. The
    transcript of EndOfTurn is that of the last EagerEndOfTurn, unless the turn was resumed. In a turn and between
    turns, an Update follows every 0.25 s of audio without another message.
    """

    idle_seconds: float | None = None

    def __init__(self, query: FluxQuery, stage: Stage, send: Send) -> None:
        self._query = query
        self._stage = stage
        self._send_message = send
        self._chance = stage.chance("deepgram", query.tag)
        self.request_id = new_request_id(self._chance)
        self._sequence = 0
        languages = ("en",) if query.model.endswith("-en") else query.language_hints
        script = Script(stage, query.tag, languages)
        self._detector, self._recogniser = ears(stage, query.tag, script, query.encoding, query.sample_rate)
        self._turn = 0
        self._turn_began = 0.0
        self._words_sent = 0
        self._eager = False
        """Whether the last message was an EagerEndOfTurn."""
        self._told_at = 0.0
        self._draw()

    async def open(self) -> None:
        """Send ``Connected``."""
        await self._send({"type": "Connected"})

    async def hear(self, audio: bytes) -> None:
        """Process audio."""
        for now, speech in self._detector.feed(audio):
            self._recogniser.step(now, speech)
            if speech:
                await self._while_speaking()
            elif self._in_turn:
                await self._while_silent()
            if now - self._told_at >= _BEAT_SECONDS:
                await self._send_turn_info("Update", _DOUBTFUL, beat=True)

    async def obey(self, message: Any) -> bool:
        """Handle ``Configure``, ``ForceEndTurn`` or ``CloseStream``; anything else, KeepAlive too, is a fatal error."""
        match message:
            case {"type": "CloseStream"}:
                return False
            case {"type": "ForceEndTurn"}:
                await self._end_turn("manual")
            case {"type": "Configure"}:
                await self._configure(message)
            case _:
                await self._send(
                    {"type": "Error", "code": "UNPARSABLE_CLIENT_MESSAGE", "description": "unknown message"}
                )
                raise Fatal
        return True

    async def finish(self) -> None:
        """End the open turn."""
        if self._in_turn:
            await self._end_turn("model")

    @property
    def _in_turn(self) -> bool:
        return self._words_sent > 0

    def _draw(self) -> None:
        """Draw the delays of the next end of turn."""
        profile = self._stage.profile
        self._end_silence = max(LEAST_SILENCE_SECONDS, profile.end_of_turn.draw(self._chance))
        drawn = max(_LEAST_EAGER_SECONDS, profile.eager_end.draw(self._chance))
        self._eager_silence = min(drawn, self._end_silence / 2)

    async def _while_speaking(self) -> None:
        words = len(self._recogniser.words)
        if self._eager and (words > self._words_sent or self._recogniser.more_to_come):
            self._eager = False
            await self._send_turn_info("TurnResumed", _DOUBTFUL)
        if words == self._words_sent:
            return
        if self._in_turn:
            await self._send_turn_info("Update", _DOUBTFUL)
        else:
            self._turn_began = self._recogniser.words[0].start
            await self._send_turn_info("StartOfTurn", _DOUBTFUL)
        self._words_sent = words

    async def _while_silent(self) -> None:
        silence, query = self._recogniser.silence, self._query
        if query.threshold < _MANUAL_ONLY and silence >= self._ends_after(query.threshold):
            await self._end_turn("model")
        elif silence >= query.timeout:
            await self._end_turn("timeout")
        elif query.eager_threshold is None or self._eager or self._recogniser.never_eager:
            return
        elif silence >= self._eager_after(query.eager_threshold):
            self._recogniser.settle()
            self._eager = True
            self._words_sent = len(self._recogniser.words)
            await self._send_turn_info("EagerEndOfTurn", max(_FAIRLY_SURE, query.eager_threshold))

    def _ends_after(self, threshold: float) -> float:
        """The silence after which the confidence reaches the threshold, in seconds."""
        usual = UNFINISHED_SILENCE_SECONDS if self._recogniser.unfinished else self._end_silence
        usual = self._recogniser.sure_after or usual
        return max(LEAST_SILENCE_SECONDS, usual * _slower(threshold, _DEFAULT_THRESHOLD))

    def _eager_after(self, threshold: float) -> float:
        sure_after = self._recogniser.sure_after
        if sure_after is not None:
            return max(_LEAST_EAGER_SECONDS, sure_after * _slower(threshold, _DEFAULT_THRESHOLD))
        usual = self._eager_silence if self._recogniser.eager else LEAST_SILENCE_SECONDS
        return usual * _slower(threshold, _DEFAULT_EAGER_THRESHOLD)

    async def _end_turn(self, trigger: str) -> None:
        if not self._eager:
            self._recogniser.settle()
        await self._send_turn_info("EndOfTurn", _SURE, trigger=trigger)
        self._recogniser.end_turn()
        self._turn += 1
        self._turn_began = self._detector.seconds
        self._words_sent = 0
        self._eager = False
        self._draw()

    async def _configure(self, message: Message) -> None:
        try:
            self._query = reconfigured(self._query, message)
        except BadQuery as bad:
            await self._send({"type": "ConfigureFailure", "code": "INVALID_CONFIGURATION", "description": str(bad)})
            return
        thresholds = {"eot_threshold": self._query.threshold, "eot_timeout_ms": round(self._query.timeout * 1000)}
        if self._query.eager_threshold is not None:
            thresholds["eager_eot_threshold"] = self._query.eager_threshold
        self._stage.note("deepgram", "configured", self._query.tag, **thresholds)
        await self._send(
            {
                "type": "ConfigureSuccess",
                "thresholds": thresholds,
                "keyterms": list(self._query.keyterms),
                "language_hints": list(self._query.language_hints),
            }
        )

    async def _send_turn_info(self, event: str, confidence: float, *, beat: bool = False, **more: str) -> None:
        self._told_at = self._detector.seconds
        self._note(event)  # before sending: the client may have answered before this task continues
        words = self._recogniser.words[: self._words_sent] if beat else self._recogniser.words
        hinted = {"languages_hinted": list(self._query.language_hints)} if self._query.language_hints else {}
        await self._send(
            {
                "type": "TurnInfo",
                "event": event,
                "turn_index": self._turn,
                "audio_window_start": round(self._turn_began, 3),
                "audio_window_end": round(self._detector.seconds, 3),
                "transcript": transcript_of(words),
                "words": [
                    {
                        "word": word.text,
                        "confidence": word.confidence,
                        "start": round(word.start, 3),
                        "end": round(word.end, 3),
                    }
                    for word in words
                ],
                "end_of_turn_confidence": confidence,
                "languages": languages_of(words),
                **hinted,
                **more,
            },
            beat=beat,
        )

    def _note(self, event: str) -> None:
        names = {"EndOfTurn": "end_of_turn", "EagerEndOfTurn": "eager_end_of_turn", "TurnResumed": "turn_resumed"}
        if event == "StartOfTurn":
            self._stage.note("deepgram", "start_of_turn", self._query.tag, turn=self._turn)
        elif event in names:
            silence = round(self._recogniser.silence, 3)
            self._stage.note("deepgram", names[event], self._query.tag, turn=self._turn, silence=silence)

    async def _send(self, message: Message, *, beat: bool = False) -> None:
        numbered = {**message, "request_id": self.request_id, "sequence_id": self._sequence}
        self._sequence += 1
        await self._send_message(numbered, beat=beat)


def _slower(threshold: float, usual: float) -> float:
    """How many times longer the silence is until the confidence reaches that threshold than until the usual one."""
    return math.log(1 - threshold) / math.log(1 - usual)
