"""One call in text. The conversation core, its event loop, the model and the tools are those of a live call.

Task ledger. All tasks belong to one TaskGroup or to ``background``, and end with the call, as those of a live call do:
``<call>:speech:<n>`` makes one utterance; ``<call>:tool:<id>`` runs a tool; ``<call>:transfer`` transfers the caller;
``<call>:commit`` has nothing to wait for, and ends at once.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from app.calls.agent.plan import CallPlan
from app.calls.agent.tools import Toolbox, ToolEndpoint
from app.calls.live.actions import CallActions
from app.calls.live.call_log import CallLog
from app.calls.live.dialogue import DialogueManager
from app.calls.live.event_loop import CallEventLoop, EventQueue
from app.calls.live.llm_generation import LlmGeneration
from app.calls.live.tool_runs import ToolRuns
from app.calls.live.turn_knowledge import TurnKnowledge
from app.calls.text.caller import TextCaller
from app.calls.text.clock import TextClock
from app.calls.text.pace import TextPace
from app.calls.text.replies import TextReplies
from app.calls.text.speech import SAMPLE_RATE, TextSpeech
from app.contained_tasks import ContainedTasks
from app.conversation import events as ev
from app.conversation.core import ConversationCore
from app.conversation.phases import CallPhase
from app.models import CallContext, ConversationState, JournalRow, Patience
from app.ports.services import CallEnding, Telephony
from media.formats import AudioFormat

TEXT_FORMAT = AudioFormat("pcm_s16le", SAMPLE_RATE)
"""The format in which a plan of a call in text is made; no sound flows."""
_FENCE = 1

OnRow = Callable[[JournalRow], None]


class _Rows:
    """The journal of a call that is kept nowhere."""

    def __init__(self, on_row: OnRow) -> None:
        self._on_row = on_row

    def append(self, call_id: str, fence: int, row: JournalRow, ending: CallEnding | None = None) -> None:
        self._on_row(row)

    async def flush(self, call_id: str) -> None:
        """All rows are where they belong."""

    def waiting(self) -> Collection[str]:
        return ()


class TextLeg:
    """The far end of a call in text: it takes keys as a telephone line does, and no sound reaches it."""

    audio_format = TEXT_FORMAT
    wants_events = False
    can_send_digits = True
    output_latency_seconds = 0.0

    def __init__(self) -> None:
        self.pressed: list[str] = []
        """The keys that the agent has pressed."""

    async def answer(self, call_id: str) -> None:
        """The line is open."""

    def send_audio(self, audio: bytes) -> None:
        """Nobody listens."""

    def send_clear(self) -> None:
        """No sound is on its way."""

    def send_mark(self, name: str) -> None:
        """No sound is on its way."""

    def send_event(self, row: Mapping[str, Any]) -> None:
        """Rows go to ``on_row`` of the call."""

    def send_digits(self, digits: str) -> None:
        """Keep the keys."""
        self.pressed.append(digits)

    async def hang_up(self, reason: str) -> None:
        """The line is closed."""


class _NoSound:
    """Hears nothing and keeps nothing: the caller's words come as text."""

    def set_patience(self, patience: Patience) -> None:
        """The end of a turn is known."""

    def raise_threshold(self) -> None:
        """There is no noise."""

    def bill(self) -> list[ev.ProviderUsed]:
        return []

    def keep(self) -> None:
        """The words of a message are known when they are said."""

    def transcribe(self) -> None:
        """The same."""


class TextCall:
    """One call in text, from the answer to its last row."""

    def __init__(
        self,
        plan: CallPlan,
        call: CallContext,
        caller: TextCaller,
        *,
        background: ContainedTasks,
        telephony: Telephony | None = None,
        on_row: OnRow = lambda _row: None,
        endpoints: Mapping[str, ToolEndpoint] | None = None,
        lookup: ev.Event | None = None,
    ) -> None:
        """``on_row`` gets each row of the journal. ``endpoints`` answer in place of the agent's own tools.

        ``lookup`` says what was found out about the caller before the call.
        """
        self._plan = plan
        self._call = call
        self._caller = caller
        self._background = background
        self._telephony = telephony
        self._on_row = on_row
        self._lookup = lookup
        self._endpoints = plan.endpoints if endpoints is None else endpoints
        self._running: set[str] = set()
        """Tools and transfers that run."""
        self._leg = TextLeg()

    def __repr__(self) -> str:
        return f"<TextCall {self._call.call_id}>"

    async def run(self) -> Sequence[JournalRow]:
        """Hold the call. Returns its rows. Raises what a bug, or ``on_row``, raises."""
        plan, call = self._plan, self._call
        clock = TextClock(call.start_time)
        events = EventQueue()
        log = CallLog(call.call_id, _FENCE, _Rows(self._on_row), self._leg, clock)
        core = ConversationCore(plan.policy, plan.language)
        events.emit(plan.created())
        if self._lookup is not None:
            events.emit(self._lookup)
        events.emit(ev.CallAnswered(clock.answer()))
        async with asyncio.TaskGroup() as tasks:
            loop = self._make_loop(core, events, log, clock, tasks)
            await loop.run()
            await loop.finish([])
            loop.close()
        return log.rows

    def _note(self, event: ev.Event) -> None:
        match event:
            case ev.AgentToolCalled(timeout_seconds=seconds) if seconds and not event.refused:
                self._running.add(event.id)
            case ev.AgentToolFinished():
                self._running.discard(event.id)
            case _:
                pass

    def _make_loop(
        self, core: ConversationCore, events: EventQueue, log: CallLog, clock: TextClock, tasks: asyncio.TaskGroup
    ) -> CallEventLoop:
        plan, call = self._plan, self._call

        def emit(event: ev.Event) -> None:
            self._note(event)
            events.emit(event)

        async def commit() -> None:
            """Rows are where they belong."""

        actions = CallActions(
            call_id=call.call_id, leg=self._leg, telephony=self._telephony, targets=plan.transfer_targets,
            background=self._background, start_recording=lambda: None, commit=commit, emit=emit, fail=events.fail,
        )  # fmt: skip
        dialogue = DialogueManager(model=plan.llm, context=call, prompt=plan.prompt, history=core.history)
        tools = ToolRuns(
            call_id=call.call_id, toolbox=Toolbox(actions.tools, plan.agent.tools), endpoints=self._endpoints,
            background=self._background, clock=clock, commit=commit, emit=emit, fail=events.fail,
        )  # fmt: skip
        speech = TextSpeech(clock, emit)
        generation = LlmGeneration(dialogue, tools, plan.policy, clock=clock, emit=emit)
        knowledge = TurnKnowledge(plan.agent.knowledge, clock=clock, emit=emit)
        replies = TextReplies(generation, knowledge, speech, clock, emit)
        pace = TextPace(
            core=core,
            events=events,
            clock=clock,
            speech=speech,
            caller=self._caller,
            is_working=lambda: loop.is_making_speech or bool(self._running) or _is_transferring(core),
            rows=lambda: log.rows,
        )
        no_sound = _NoSound()
        loop = CallEventLoop(
            core=core, events=events, call_log=log, clock=clock, voice=plan.voice, playback=speech,
            transcription=no_sound, dialogue=dialogue, reply_pipeline=replies, actions=actions, tools=tools,
            message=no_sound, tasks=tasks, call_id=call.call_id, next_event=pace.next_event,
        )  # fmt: skip
        return loop


def _is_transferring(core: ConversationCore) -> bool:
    """Whether the call waits for a human to answer."""
    return core.phase is CallPhase.TRANSFERRING and core.state is ConversationState.PROCESSING
