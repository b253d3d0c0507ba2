"""Puts together the parts of one call that make and say its answers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from app.calls.agent.plan import CallPlan
from app.calls.agent.tools import Toolbox
from app.calls.live.actions import CallActions
from app.calls.live.call_log import CallLog
from app.calls.live.dialogue import DialogueManager
from app.calls.live.event_loop import CallEventLoop, EventQueue
from app.calls.live.llm_generation import LlmGeneration
from app.calls.live.message_recording import MessageRecording
from app.calls.live.origin import Origin
from app.calls.live.phrase_cache import PhraseCache
from app.calls.live.playback import PlaybackScheduler
from app.calls.live.reply import ReplyPipeline
from app.calls.live.tool_runs import ToolRuns
from app.calls.live.transcription import TranscriptionInput
from app.calls.live.turn_knowledge import TurnKnowledge
from app.calls.live.voiced_ahead import VoicedAhead
from app.contained_tasks import ContainedTasks
from app.conversation import events as ev
from app.journal.replay import events_of
from app.models import CallContext
from app.ports.services import CallLeg, Telephony

_TRANSFER_WAITS_SECONDS = 1.0
"""How long a transfer waits for the commit of its request before it calls the human."""
_TOOL_WAITS_SECONDS = 0.25
"""How long a tool that may change something waits for the commit of its row before it is called."""


@dataclass(frozen=True, slots=True)
class CallParts:
    """What a call has from its beginning."""

    call: CallContext
    plan: CallPlan
    leg: CallLeg
    telephony: Telephony | None
    origin: Origin
    phrases: PhraseCache
    background: ContainedTasks
    events: EventQueue
    log: CallLog
    playback: PlaybackScheduler
    start_recording: Callable[[], None]
    emit: Callable[[ev.Event], None]

    def assemble(
        self, tasks: asyncio.TaskGroup, heard: TranscriptionInput, kept: MessageRecording
    ) -> tuple[CallEventLoop, VoicedAhead]:
        """The event loop of the call, and what voices its first lines while it rings."""
        call, plan, origin = self.call, self.plan, self.origin
        actions = self._actions()
        dialogue = DialogueManager(model=plan.llm, context=call, prompt=plan.prompt, history=origin.core.history)
        tools = self._tools(actions)
        reply_pipeline = ReplyPipeline(
            call_id=call.call_id,
            llm_generation=LlmGeneration(dialogue, tools, plan.policy, clock=origin.clock, emit=self.emit),
            knowledge=TurnKnowledge(plan.agent.knowledge, clock=origin.clock, emit=self.emit),
            tts=plan.tts,
            phrases=self.phrases,
            may_keep=plan.may_keep,
            playback=self.playback,
            clock=origin.clock,
            emit=self.emit,
        )
        event_loop = CallEventLoop(
            core=origin.core,
            events=self.events,
            call_log=self.log,
            clock=origin.clock,
            voice=plan.voice,
            playback=self.playback,
            transcription=heard,
            dialogue=dialogue,
            reply_pipeline=reply_pipeline,
            actions=actions,
            tools=tools,
            message=kept,
            tasks=tasks,
            call_id=call.call_id,
            question=origin.question,
        )
        return event_loop, reply_pipeline.ahead

    def _actions(self) -> CallActions:
        return CallActions(
            call_id=self.call.call_id,
            leg=self.leg,
            telephony=self.telephony,
            targets=self.plan.transfer_targets,
            start_recording=self.start_recording,
            background=self.background,
            commit=partial(self.log.commit, _TRANSFER_WAITS_SECONDS),
            emit=self.emit,
            fail=self.events.fail,
        )

    def _tools(self, actions: CallActions) -> ToolRuns:
        return ToolRuns(
            call_id=self.call.call_id,
            toolbox=Toolbox(actions.tools, self.plan.agent.tools),
            endpoints=self.plan.endpoints,
            background=self.background,
            clock=self.origin.clock,
            commit=partial(self.log.commit, _TOOL_WAITS_SECONDS),
            emit=self.emit,
            fail=self.events.fail,
            earlier=events_of(self.origin.rows),
        )
