"""The conversation core: takes an event and its time, and returns commands.

The owner carries out the commands in order, then waits for the next event or for ``next_deadline()``, whichever is
first. It emits what was heard of a stopped utterance as soon as that is known, and always before it starts the next
reply.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from app.conversation import events as ev
from app.conversation.absence import leg_lost, leg_rejoined, waits
from app.conversation.agent_speech import AgentSpeech
from app.conversation.bridging import say_due_line
from app.conversation.commands import Command
from app.conversation.deadlines import Deadline, deadline_named
from app.conversation.endpointing import Endpointing
from app.conversation.goodbyes import silence_closes
from app.conversation.history import ConversationHistory
from app.conversation.interjections import interject
from app.conversation.opening import open_call, silence_answers
from app.conversation.phases import CALLER_TURN, CallPhase, is_allowed
from app.conversation.policy import CallPolicy
from app.conversation.state import CallState
from app.conversation.stt_outage import stt_outage_is_due
from app.conversation.take_over import cut_off, taken_over
from app.conversation.tool_news import tell_outcome
from app.conversation.transfers import Transfers
from app.conversation.turns import UtteranceKind
from app.conversation.unserved import give_up, message_is_due, reason_to_leave
from app.conversation.user_turns import UserTurns
from app.models import ConversationState

_SAY_REQUESTS_KEPT = 20
_UNHEARD_SOUNDS = 2
"""After so many sounds without words the caller is offered the keypad, not asked whether they are there."""

_FAULTS_OF_THE_CARRIER = ("media_lost", "media_timeout", "carrier_error")


class ConversationCore:
    """Decides what a call does next. No clock, no I/O, no randomness: the same events give the same commands."""

    def __init__(self, policy: CallPolicy, language: str) -> None:
        self._call = CallState(policy, language)
        self._endpointing = Endpointing(self._call)
        self._user_turns = UserTurns(self._call, self._endpointing)
        self._agent_speech = AgentSpeech(self._call)
        self._transfers = Transfers(self._call)
        self._waited_for_sound = False
        self._handlers = self._table_of_handlers()
        self._due = self._table_of_deadlines()
        self._call.deadlines.set(Deadline.ANSWER, policy.ring_seconds)

    def __repr__(self) -> str:
        return f"<ConversationCore {self.state} turn {self._call.turn} next {self._call.deadlines.next()}>"

    @property
    def state(self) -> ConversationState:
        """Who has the floor."""
        return self._call.state

    @property
    def phase(self) -> CallPhase:
        """How far the call is."""
        return self._call.phase

    @property
    def language(self) -> str:
        """Code of the language that the call is in."""
        return self._call.language

    @property
    def history(self) -> ConversationHistory:
        """What was said and heard until now."""
        return self._call.history

    @property
    def policy(self) -> CallPolicy:
        """How the call is held."""
        return self._call.policy

    @property
    def owes_answer(self) -> bool:
        """Whether an answer to a finished turn is being made and has not begun."""
        return self._call.floor.reply_pending

    def handle(self, event: ev.Event, now: float) -> list[Command]:
        """Handle an event. ``now`` is in seconds since the call was created, and never decreases.

        An event that the phase does not allow changes nothing and gives no commands.
        """
        if not is_allowed(self.phase, self.state, type(event)):
            return []
        self._call.now, self._call.commands = now, []
        self._handlers[type(event)](event)
        self._endpointing.follow()
        return self._call.commands

    def next_deadline(self) -> float | None:
        """When to handle ``deadline_passed()``, unless an event comes first. None once the call has ended."""
        earliest = self._call.deadlines.next()
        return earliest[0] if earliest else None

    def deadline_passed(self) -> ev.DeadlinePassed:
        """The event to handle when the next deadline has passed."""
        earliest = self._call.deadlines.next()
        return ev.DeadlinePassed(earliest[1] if earliest else "none")

    def due_at(self, name: Deadline) -> float | None:
        """When that deadline is due; None when it is not set."""
        return self._call.deadlines.at(name)

    def assume_due(self, event: ev.DeadlinePassed, now: float) -> None:
        """Have the deadline of a journal's row be due, although it is set for later, or not at all."""
        name = deadline_named(event.name)
        if name is not None and (self.due_at(name) or float("inf")) > now:
            self._call.deadlines.set(name, now)

    def cut_off(self, since_t: float) -> list[ev.AgentInterrupted]:
        """What was heard until then of each utterance that a process, which died then, could not report itself."""
        return cut_off(self._call, since_t)

    def turn_of(self, event: ev.Event) -> int | None:
        """The turn number for the event's row. Ask before the event is handled."""
        if type(event) in CALLER_TURN:
            caller = self._call.caller
            return caller.number if caller else self._call.turn + 1
        return getattr(event, "turn", None)

    def _table_of_handlers(self) -> dict[type, Callable[[Any], None]]:
        caller, agent = self._user_turns, self._agent_speech
        return {
            ev.CallAnswered: self._answered,
            ev.CallEnded: self._ended,
            ev.CallerLeft: self._left,
            ev.SayRequested: self._say_requested,
            ev.HangupRequested: self._hangup_requested,
            ev.SpendingReached: self._spending_reached,
            ev.TransferRequested: self._transfers.requested,
            ev.TransferDialled: self._transfers.dialled,
            ev.TransferFailed: self._transfers.failed,
            ev.TransferCompleted: self._transfers.completed,
            ev.DeadlinePassed: self._deadline,
            ev.CallerSoundStarted: caller.sound_started,
            ev.CallerSoundStopped: caller.sound_stopped,
            ev.CallerWords: caller.words,
            ev.CallerTurnEndedEagerly: caller.turn_ended_eagerly,
            ev.CallerTurnResumed: caller.turn_resumed,
            ev.CallerTurnEnded: caller.turn_ended,
            ev.CallerDtmf: caller.dtmf,
            ev.CallerTyped: caller.typed,
            ev.CallerHeld: caller.held,
            ev.CallerReturned: caller.returned,
            ev.LegLost: partial(leg_lost, self._call),
            ev.LegRejoined: partial(leg_rejoined, self._call),
            ev.AgentReplyStarted: agent.started,
            ev.AgentReplyGenerated: agent.generated,
            ev.AgentClauseStarted: agent.clause_started,
            ev.AgentToolCalled: agent.tool_called,
            ev.AgentToolFinished: agent.tool_finished,
            ev.AgentPaused: agent.paused,
            ev.AgentInterrupted: agent.interrupted,
            ev.AgentFinished: agent.finished,
            ev.ProviderFailed: agent.provider_failed,
            ev.ProviderRestored: agent.provider_restored,
            ev.CallTakenOver: self._taken_over,
        }

    def _table_of_deadlines(self) -> dict[Deadline, Callable[[], None]]:
        return {
            Deadline.ANSWER: lambda: self._call.end("no_answer"),
            Deadline.LIMIT: self._limit_due,
            Deadline.IDLE: self._idle_due,
            Deadline.TURN: self._user_turns.transcript_timeout,
            Deadline.PAUSE: self._user_turns.pause_is_over,
            Deadline.DIGITS: self._user_turns.digits_are_complete,
            Deadline.FILLER: lambda: say_due_line(self._call),
            Deadline.REPLY: self._reply_due,
            Deadline.START: self._start_due,
            Deadline.STALL: self._stall_due,
            Deadline.RESUME: self._resume_due,
            Deadline.MESSAGE: lambda: message_is_due(self._call),
            Deadline.STT_OUTAGE: lambda: stt_outage_is_due(self._call),
            Deadline.TRANSFER: self._transfers.overdue,
        }

    # --- the call -----------------------------------------------------------------------------------------------------

    def _answered(self, _event: ev.CallAnswered) -> None:
        call = self._call
        call.enter_phase(CallPhase.TALKING)
        call.deadlines.clear(Deadline.ANSWER)
        call.due_in(Deadline.LIMIT, call.policy.max_duration_seconds)
        if call.stt_failed or (call.policy.is_out_of_order and call.policy.speaks):
            give_up(call)
        else:
            open_call(call)

    def _ended(self, _event: ev.CallEnded) -> None:
        self._call.was_ended()

    def _taken_over(self, event: ev.CallTakenOver) -> None:
        self._endpointing.begin_anew()
        self._user_turns.begin_anew()
        taken_over(self._call, event)

    def _left(self, event: ev.CallerLeft) -> None:
        if event.reason in _FAULTS_OF_THE_CARRIER:
            self._call.blame("carrier")
        if not self._transfers.left(event.reason):
            self._call.end(reason_to_leave(self._call, event.reason))

    def _say_requested(self, event: ev.SayRequested) -> None:
        call = self._call
        if call.phase is not CallPhase.TALKING or call.floor.live or call.caller:
            del call.say_requests[: max(0, len(call.say_requests) + 1 - _SAY_REQUESTS_KEPT)]
            call.say_requests.append(event.text)
            if call.caller is None:
                interject(call)
        else:
            call.say(UtteranceKind.SAY, event.text)

    def _hangup_requested(self, event: ev.HangupRequested) -> None:
        call = self._call
        if event.reason == "shutdown":
            call.blame("ours")
        if event.reason == "shutdown" and not event.at_once:
            call.close("shutdown", call.lines.shutdown_goodbye)
        else:
            call.end(event.reason)

    def _spending_reached(self, event: ev.SpendingReached) -> None:
        """At the limit the agent says goodbye. Before it, the event is a warning for readers of the record."""
        call = self._call
        if event.spent_usd >= event.limit_usd and call.phase is not CallPhase.CLOSING:
            call.blame("policy")
            call.close("spending_limit", call.lines.limit_goodbye)

    # --- deadlines ----------------------------------------------------------------------------------------------------

    def _deadline(self, event: ev.DeadlinePassed) -> None:
        name = deadline_named(event.name)
        if name is None or not self._call.deadlines.take(name, self._call.now) or waits(self._call, name):
            return
        self._due[name]()

    def _limit_due(self) -> None:
        call = self._call
        if call.phase is CallPhase.CLOSING:
            call.end(call.closing_reason)
        else:
            call.blame("policy")
            call.close("max_duration", call.lines.limit_goodbye)

    def _idle_due(self) -> None:
        call = self._call
        if call.held:  # they would not hear the prompt; the leg ends the call if they never come back
            call.due_in(Deadline.IDLE, call.policy.idle_prompt_seconds)
            return
        if call.stt_outage_notice == "given":  # nobody could hear the caller's answer to a prompt
            call.due_in(Deadline.IDLE, call.policy.idle_prompt_seconds)
            return
        if call.sound and not self._waited_for_sound:
            self._waited_for_sound = True
            call.due_in(Deadline.IDLE, call.policy.idle_prompt_seconds)
            return
        self._waited_for_sound = False
        if silence_answers(call) or tell_outcome(call) or silence_closes(call):
            return
        prompts = call.lines.idle
        if prompts and call.silences < call.policy.idle_prompts:
            prompt = prompts[min(call.silences, len(prompts) - 1)]
            if call.unheard_sounds >= _UNHEARD_SOUNDS:
                prompt = call.policy.with_menu(call.lines, call.lines.keypad)
            call.say(UtteranceKind.PROMPT, prompt)
            call.silences += 1
        else:
            call.say(UtteranceKind.GOODBYE, call.lines.silence_goodbye, ends_call="silence")

    def _reply_due(self) -> None:
        reply, line = self._call.floor.reply, self._call.floor.line
        if line is not None and line.kind in (UtteranceKind.NOTICE, UtteranceKind.RECONNECTED):
            self._call.due_in(Deadline.REPLY, self._call.policy.reply_seconds)
        elif reply is not None and self._call.floor.reply_pending:
            self._call.blame(f"provider:{reply.late_provider}" if reply.late_provider else "ours")
            self._call.stop_all()
            self._agent_speech.lost(reply)

    def _start_due(self) -> None:
        line = self._call.floor.line
        if line is not None and not line.started:
            self._call.blame("ours")
            self._call.stop(line)
            self._agent_speech.lost(line)

    def _stall_due(self) -> None:
        utterance = self._call.floor.audible
        if utterance is not None:
            self._call.blame("ours")
            self._call.stop(utterance)
            self._agent_speech.lost(utterance)

    def _resume_due(self) -> None:
        utterance = self._call.floor.audible
        if utterance is not None and utterance.paused:
            self._call.resume(utterance)
