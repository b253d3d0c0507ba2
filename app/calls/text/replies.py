"""Makes the agent's utterances in a call in text: answers from the model, and fixed lines."""

from collections.abc import Callable

from app.calls.live.llm_generation import Answer, LlmGeneration
from app.calls.live.playback import PlaybackItem
from app.calls.live.turn_knowledge import TurnKnowledge
from app.calls.text.clock import TextClock
from app.calls.text.speech import TextSpeech
from app.conversation import events as ev
from app.errors import ContentRejected, ProviderError, ProviderProtocolError
from app.models import Message, VoiceConfig
from app.ports.streams import ToolCall

_ATTEMPTS = 2
"""As in a call with sound."""
_THINK = "think"


class TextReplies:
    """Makes utterances. Each public coroutine runs as a task and emits the model's failures as events."""

    def __init__(
        self,
        generation: LlmGeneration,
        knowledge: TurnKnowledge,
        speech: TextSpeech,
        clock: TextClock,
        emit: Callable[[ev.Event], None],
    ) -> None:
        self._generation = generation
        self._knowledge = knowledge
        self._speech = speech
        self._clock = clock
        self._emit = emit

    async def reply(
        self, item: PlaybackItem, voice: VoiceConfig, messages: list[Message], first: ToolCall | None = None
    ) -> None:
        """Write an answer and say each clause when it is known. Nothing is written again once some of it was said."""
        answer = Answer(item, await self._knowledge.added(item, messages), first)
        answer.say = lambda clause: self._speech.add(item, clause)

        async def retract() -> None:
            if item.started:
                raise ProviderProtocolError(self._generation.provider, "the caller heard part of a thought")
            self._speech.discard(item)
            self._speech.offer(item)

        answer.retract = retract
        for attempt in range(1, _ATTEMPTS + 1):
            self._speech.offer(item)
            try:
                await self._generation.write(answer)
            except ProviderError as error:
                final = item.started or attempt == _ATTEMPTS or not error.retryable
                self._give_up(item)
                self._emit_failure(item, error, final=final)
                if final:
                    return
                continue
            self._speech.complete(item)
            return

    async def line(self, item: PlaybackItem, voice: VoiceConfig, text: str) -> None:
        """Say a fixed text."""
        item.stamps["first_clause"] = self._clock.call_seconds()
        self._speech.add(item, text)
        self._emit(ev.AgentReplyGenerated(item.turn, item.number, text))
        self._speech.complete(item)

    def say_meanwhile(self, number: int, text: str) -> None:
        """Say a fixed text inside a reply that waits for a tool."""
        self._generation.say_meanwhile(number, text)

    def _give_up(self, item: PlaybackItem) -> None:
        """An utterance that has begun is heard as far as it goes; any other is forgotten."""
        if item.started:
            self._speech.complete(item)
        else:
            self._speech.discard(item)

    def _emit_failure(self, item: PlaybackItem, error: ProviderError, *, final: bool) -> None:
        answer = "refused" if isinstance(error, ContentRejected) else "lost"
        self._emit(ev.ProviderFailed.of(error, _THINK, final=final, turn=item.turn, speech=item.number, answer=answer))
