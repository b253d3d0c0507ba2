"""Makes the sound of the agent's utterances: an answer from the model clause by clause, or a fixed line."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from app.calls.live.call_clock import CallClock
from app.calls.live.charge_events import used
from app.calls.live.llm_generation import Answer, LlmGeneration
from app.calls.live.phrase_cache import PhraseCache
from app.calls.live.playback import PlaybackItem, PlaybackScheduler
from app.calls.live.speech_track import SpeechTrack
from app.calls.live.tts_synthesis import TtsSynthesis, first_of
from app.calls.live.turn_knowledge import TurnKnowledge
from app.calls.live.voiced_ahead import VoicedAhead, VoicedLine
from app.conversation import events as ev
from app.conversation.turns import UtteranceKind
from app.errors import ContentRejected, ProviderError, ProviderProtocolError
from app.models import Message, VoiceConfig
from app.ports.streams import ToolCall
from app.ports.vendors import Charge, TextToSpeech

_ATTEMPTS = 2
_THINK, _SPEAK = "think", "speak"
_NEVER_KEPT = (UtteranceKind.SAY, UtteranceKind.NOTICE)
"""Kinds whose text may hold an operator's words or values of the call."""


class _StageFailed(Exception):
    """A vendor failed while it wrote or voiced an answer."""

    def __init__(self, stage: str, error: ProviderError) -> None:
        self.stage = stage
        self.error = error
        super().__init__(stage)


@dataclass(slots=True)
class _Voicing:
    """The synthesis of one attempt. It is replaced when the model retracts its text."""

    tts_synthesis: TtsSynthesis
    task: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """Cancel the task and wait for its end."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])


class ReplyPipeline:
    """Produces the sound of utterances. Each public coroutine runs as a task and emits vendors' failures as events."""

    def __init__(
        self,
        *,
        call_id: str,
        llm_generation: LlmGeneration,
        knowledge: TurnKnowledge,
        tts: TextToSpeech,
        phrases: PhraseCache,
        may_keep: Callable[[str], bool],
        playback: PlaybackScheduler,
        clock: CallClock,
        emit: Callable[[ev.Event], None],
    ) -> None:
        """``may_keep`` says whether the sound of a line may outlive the call."""
        self._call_id = call_id
        self._llm_generation = llm_generation
        self._knowledge = knowledge
        self._tts = tts
        self._phrases = phrases
        self._may_keep = may_keep
        self._playback = playback
        self._clock = clock
        self._emit = emit
        self.ahead = VoicedAhead(tts, call_id, on_charge=self._charge, on_retry=self._emit_failure_ahead)

    async def reply(
        self, item: PlaybackItem, voice: VoiceConfig, messages: list[Message], first: ToolCall | None = None
    ) -> None:
        """Write an answer and voice it at the same time. Nothing is retried once the caller has heard some of it.

        ``first`` is a tool that is run before the model is asked.
        """
        answer = Answer(item, await self._knowledge.added(item, messages), first)
        for attempt in range(1, _ATTEMPTS + 1):
            self._playback.offer(item)
            failure = await self._try_reply(item, voice, answer)
            if failure is None:
                return
            tried_enough = attempt == _ATTEMPTS or failure.stage == _SPEAK  # TtsSynthesis has already retried
            final = item.started or tried_enough or not failure.error.retryable
            self._give_up(item)
            if not final:
                self._emit_failure(item, failure, final=False)
            # A preemptive answer waits here, so that it costs no more and fails no more often than any other answer.
            await item.certain.wait()
            if final:
                self._emit_failure(item, failure, final=True)
                return
            item.begin_anew(SpeechTrack(voice.sample_rate))

    def say_meanwhile(self, number: int, text: str) -> None:
        """Say a fixed text inside a reply that waits for a tool."""
        self._llm_generation.say_meanwhile(number, text)

    async def line(self, item: PlaybackItem, voice: VoiceConfig, text: str) -> None:
        """Say a fixed text: a prepared phrase, or else the vendor says it and it is kept as a phrase.

        The item has been offered already, so that it has its place before an answer that is ready.
        """
        phrase = await self._phrases.get(text, voice, self._tts)
        item.stamps["first_clause"] = self._clock.call_seconds()
        if phrase is not None:
            phrase.play_on(item.track, text, voice)
            self._sound(item)
        else:
            try:
                await self._voice_line(item, voice, text)
            except _StageFailed as failure:
                self._give_up(item)
                self._emit_failure(item, failure, final=True)
                return
        self._emit(ev.AgentReplyGenerated(item.turn, item.number, text))

    async def _voice_line(self, item: PlaybackItem, voice: VoiceConfig, text: str) -> None:
        if (voiced := self.ahead.take(text, voice)) is not None:
            await self._play_voiced(item, voiced)
            return
        tts_synthesis = self._tts_synthesis(item, voice)
        tts_synthesis.say(text)
        tts_synthesis.finish()
        await self._voice(item, tts_synthesis)
        if item.kind not in _NEVER_KEPT and tts_synthesis.is_first_choice and self._may_keep(text):
            await self._phrases.keep(text, voice, self._tts, item.track)

    async def _play_voiced(self, item: PlaybackItem, voiced: VoicedLine) -> None:
        item.begin_anew(voiced.track)
        voiced.on_sound = lambda: self._sound(item)
        if voiced.track.has_audio:
            self._sound(item)
        try:
            await voiced.wait()
        except ProviderError as error:
            raise _StageFailed(_SPEAK, error) from error

    async def _try_reply(self, item: PlaybackItem, voice: VoiceConfig, answer: Answer) -> _StageFailed | None:
        failure = None
        try:
            await self._write_and_voice(item, voice, answer)
        except* _StageFailed as group:
            failure = first_of(group)
        return failure

    async def _write_and_voice(self, item: PlaybackItem, voice: VoiceConfig, answer: Answer) -> None:
        """If the model fails in the middle, the clauses that it has written are still said."""
        async with asyncio.TaskGroup() as tasks:
            voicing = _Voicing(self._tts_synthesis(item, voice))

            def begin() -> None:
                work = self._voice(item, voicing.tts_synthesis)
                voicing.task = tasks.create_task(work, name=f"{self._call_id}:voice:{item.number}")

            async def retract() -> None:
                if item.started:
                    raise ProviderProtocolError(self._llm_generation.provider, "the caller heard part of a thought")
                await voicing.stop()
                self._playback.discard(item)
                item.begin_anew(SpeechTrack(voice.sample_rate))
                self._playback.offer(item)
                voicing.tts_synthesis = self._tts_synthesis(item, voice)
                begin()

            begin()
            answer.say, answer.retract = lambda clause: voicing.tts_synthesis.say(clause), retract
            try:
                await self._llm_generation.write(answer)
            except ProviderError as error:
                failure = _StageFailed(_THINK, error)
                if not item.started:
                    raise failure from error
                self._emit_failure(item, failure, final=True)
            voicing.tts_synthesis.finish()

    async def _voice(self, item: PlaybackItem, tts_synthesis: TtsSynthesis) -> None:
        try:
            await tts_synthesis.run()
        except ProviderError as error:
            raise _StageFailed(_SPEAK, error) from error
        finally:
            for charge in tts_synthesis.charges():
                self._charge(charge, item.turn)

    def _charge(self, charge: Charge, turn: int = 0) -> None:
        self._emit(used(charge, _SPEAK, turn))

    def _tts_synthesis(self, item: PlaybackItem, voice: VoiceConfig) -> TtsSynthesis:
        return TtsSynthesis(
            self._tts,
            voice,
            item.track,
            call_id=self._call_id,
            on_sound=lambda: self._sound(item),
            on_retry=lambda error: self._emit_failure(item, _StageFailed(_SPEAK, error), final=False),
        )

    def _sound(self, item: PlaybackItem) -> None:
        self._stamp(item, "first_audio")
        self._playback.wake()

    def _stamp(self, item: PlaybackItem, name: str) -> None:
        item.stamps.setdefault(name, self._clock.call_seconds())

    def _give_up(self, item: PlaybackItem) -> None:
        """An utterance that has begun plays to the end of its sound; any other is discarded."""
        if item.started:
            item.track.give_up()
            self._playback.wake()
        else:
            self._playback.discard(item)

    def _emit_failure_ahead(self, error: ProviderError) -> None:
        self._emit(ev.ProviderFailed.of(error, _SPEAK, final=False, turn=0, answer="lost"))

    def _emit_failure(self, item: PlaybackItem, failure: _StageFailed, *, final: bool) -> None:
        error = failure.error
        answer = "refused" if isinstance(error, ContentRejected) and failure.stage == _THINK else "lost"
        self._emit(
            ev.ProviderFailed.of(error, failure.stage, final=final, turn=item.turn, speech=item.number, answer=answer)
        )
