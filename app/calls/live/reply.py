"""Makes the sound of the agent's utterances: an answer from the model clause by clause, or a fixed line."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from app.calls.live.call_clock import CallClock
from app.calls.live.llm_generation import Answer, Writer
from app.calls.live.phrase_cache import ClipStore
from app.calls.live.playback import Mouth, Speaking
from app.calls.live.speech_track import SpeechTrack
from app.calls.live.tts_synthesis import Narrator, first_of
from app.conversation import events as ev
from app.conversation.turns import SpeechKind
from app.errors import ContentRejected, ProviderError, ProviderProtocolError
from app.models import Message, VoiceConfig
from app.observability.costs import Prices
from app.ports.services import TextToSpeech

_ATTEMPTS = 2
_THINK, _SPEAK = "think", "speak"


class _StageFailed(Exception):
    """A vendor failed while the answer was being thought or spoken."""

    def __init__(self, stage: str, error: ProviderError) -> None:
        self.stage = stage
        self.error = error
        super().__init__(stage)


@dataclass(slots=True)
class _Narrating:
    """The voice of one attempt, which begins anew when what it was given is taken back."""

    narrator: Narrator
    task: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """Cancel it, and wait."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])


class Replier:
    """Fills utterances with sound. Each method is the whole work of one task, and tells vendors' failures as facts."""

    def __init__(
        self,
        *,
        call_id: str,
        writer: Writer,
        tts: TextToSpeech,
        clips: ClipStore,
        mouth: Mouth,
        prices: Prices,
        clock: CallClock,
        tell: Callable[[ev.Event], None],
    ) -> None:
        self._call_id = call_id
        self._writer = writer
        self._tts = tts
        self._clips = clips
        self._mouth = mouth
        self._prices = prices
        self._clock = clock
        self._tell = tell

    async def reply(self, speaking: Speaking, voice: VoiceConfig, messages: list[Message]) -> None:
        """Write the answer and voice it meanwhile. Once the caller has heard some of it, nothing is tried again."""
        answer = Answer(speaking, list(messages))
        for attempt in range(1, _ATTEMPTS + 1):
            self._mouth.offer(speaking)
            failure = await self._try_reply(speaking, voice, answer)
            if failure is None:
                return
            tried_enough = attempt == _ATTEMPTS or failure.stage == _SPEAK  # the narrator has tried the voice again
            final = speaking.started or tried_enough or not failure.error.retryable
            self._give_up(speaking)
            if not final:
                self._tell_failure(speaking, failure, final=False)
            # The answer to a turn that is only suspected is tried no more often, and fails no more often, than another.
            await speaking.certain.wait()
            if final:
                self._tell_failure(speaking, failure, final=True)
                return
            speaking.begin_anew(SpeechTrack(voice.sample_rate))

    async def line(self, speaking: Speaking, voice: VoiceConfig, text: str) -> None:
        """Say a fixed text: from the clips if it is there, else by the vendor, and then it is kept as a clip."""
        self._mouth.offer(speaking)
        clip = await self._clips.get(text, voice)
        speaking.stamps["first_clause"] = self._clock.call_seconds()
        if clip is not None:
            clip.play_on(speaking.track, text, voice)
            self._sound(speaking)
        else:
            narrator = self._narrator(speaking, voice)
            narrator.say(text)
            narrator.finish()
            try:
                await self._narrate(speaking, narrator, voice)
            except _StageFailed as failure:
                self._give_up(speaking)
                self._tell_failure(speaking, failure, final=True)
                return
            if speaking.kind != SpeechKind.SAY:
                await self._clips.keep(text, voice, speaking.track)
        self._tell(ev.AgentReplyGenerated(speaking.turn, speaking.number, text))

    async def _try_reply(self, speaking: Speaking, voice: VoiceConfig, answer: Answer) -> _StageFailed | None:
        failure = None
        try:
            await self._write_and_narrate(speaking, voice, answer)
        except* _StageFailed as group:
            failure = first_of(group)
        return failure

    async def _write_and_narrate(self, speaking: Speaking, voice: VoiceConfig, answer: Answer) -> None:
        """When the model breaks off in the middle, the clauses that it has written are said to their end."""
        async with asyncio.TaskGroup() as tasks:
            narrating = _Narrating(self._narrator(speaking, voice))

            def begin() -> None:
                work = self._narrate(speaking, narrating.narrator, voice)
                narrating.task = tasks.create_task(work, name=f"{self._call_id}:voice:{speaking.number}")

            async def retract() -> None:
                if speaking.started:
                    raise ProviderProtocolError("openai", "some of a thought was heard")
                await narrating.stop()
                self._mouth.discard(speaking)
                speaking.begin_anew(SpeechTrack(voice.sample_rate))
                self._mouth.offer(speaking)
                narrating.narrator = self._narrator(speaking, voice)
                begin()

            begin()
            answer.say, answer.retract = lambda clause: narrating.narrator.say(clause), retract
            try:
                await self._writer.write(answer)
            except ProviderError as error:
                failure = _StageFailed(_THINK, error)
                if not speaking.started:
                    raise failure from error
                self._tell_failure(speaking, failure, final=True)
            narrating.narrator.finish()

    async def _narrate(self, speaking: Speaking, narrator: Narrator, voice: VoiceConfig) -> None:
        try:
            await narrator.run()
        except ProviderError as error:
            raise _StageFailed(_SPEAK, error) from error
        finally:
            if narrator.characters:
                cost = self._prices.tts_cost(voice.model, narrator.characters)
                self._tell(
                    ev.ProviderUsed("cartesia", voice.model, speaking.turn, characters=narrator.characters, cost=cost)
                )

    def _narrator(self, speaking: Speaking, voice: VoiceConfig) -> Narrator:
        return Narrator(
            self._tts,
            voice,
            speaking.track,
            call_id=self._call_id,
            on_sound=lambda: self._sound(speaking),
            on_retry=lambda error: self._tell_failure(speaking, _StageFailed(_SPEAK, error), final=False),
        )

    def _sound(self, speaking: Speaking) -> None:
        self._stamp(speaking, "first_audio")
        self._mouth.wake()

    def _stamp(self, speaking: Speaking, name: str) -> None:
        speaking.stamps.setdefault(name, self._clock.call_seconds())

    def _give_up(self, speaking: Speaking) -> None:
        """What has begun plays to the end of its sound; what has not is forgotten."""
        if speaking.started:
            speaking.track.give_up()
            self._mouth.wake()
        else:
            self._mouth.discard(speaking)

    def _tell_failure(self, speaking: Speaking, failure: _StageFailed, *, final: bool) -> None:
        error = failure.error
        answer = "refused" if isinstance(error, ContentRejected) and failure.stage == _THINK else "lost"
        self._tell(
            ev.ProviderFailed(
                error.provider, failure.stage, error.code, final, speaking.turn, speaking.number, answer=answer
            )
        )
