"""How the core reacts to the agent's own voice and to the vendors behind it."""

from app.conversation import events as ev
from app.conversation.bridging import line_ended, schedule_line, tool_finished
from app.conversation.deadlines import Deadline
from app.conversation.goodbyes import utterance_closes, waits_for_last_words
from app.conversation.interjections import go_on, interject, note_start
from app.conversation.opening import ask_or_greet, awaits_consent, open_call
from app.conversation.phases import CallPhase
from app.conversation.state import BLAMELESS, HUNG_UP, CallState
from app.conversation.stt_outage import stt_lost, stt_restored
from app.conversation.take_over import say_the_rest
from app.conversation.tool_news import note_outcome, note_told, tell_outcome
from app.conversation.tools import forget_tool_calls, note_tool_call, want_tool
from app.conversation.turns import Utterance, UtteranceKind
from app.conversation.unserved import give_up
from app.models import ConversationState

_BEFORE_THE_ANSWER = (UtteranceKind.FILLER, UtteranceKind.NOTICE, UtteranceKind.RECONNECTED)
_OPENS = (UtteranceKind.DISCLOSURE, UtteranceKind.CONSENT)
"""What comes before the greeting."""


class AgentSpeech:
    """Handles the events of the agent's utterances and of failing vendors."""

    def __init__(self, state_of_call: CallState) -> None:
        self._call = state_of_call

    def started(self, event: ev.AgentReplyStarted) -> None:
        """The caller hears the voice. If they are making a sound, they have the right of way, and the voice pauses."""
        call = self._call
        utterance = call.floor.find(event.speech)
        if utterance is not None:
            note_start(call, utterance)
        if utterance is None or utterance.preemptive or utterance.started:
            return
        other = call.floor.line if utterance.kind is UtteranceKind.REPLY else call.floor.audible
        if other is not None:
            call.stop(other)
        utterance.started = True
        self._follow_announcement(utterance)
        call.deadlines.clear(Deadline.FILLER, Deadline.IDLE, Deadline.START)
        schedule_line(call)
        if utterance.kind is UtteranceKind.REPLY:
            call.deadlines.clear(Deadline.REPLY)
            call.note_answer(utterance.turn)
            note_told(call, utterance)
        call.expect_progress(utterance)
        call.enter(ConversationState.SPEAKING)
        if call.sound and (
            call.caller is not None or call.now - call.sound_since_t <= call.policy.false_interruption_timeout
        ):
            call.hold_back(utterance)

    def generated(self, event: ev.AgentReplyGenerated) -> None:
        """The whole text is known."""
        utterance = self._call.floor.find(event.speech)
        if utterance is not None:
            utterance.written = event.text

    def clause_started(self, event: ev.AgentClauseStarted) -> None:
        """The voice makes progress."""
        utterance = self._call.floor.find(event.speech)
        if utterance is not None:
            utterance.clauses.append(event.text)
            utterance.clause_t = self._call.now
            if utterance.started:
                self._call.expect_progress(utterance)

    def tool_called(self, event: ev.AgentToolCalled) -> None:
        """The built-in tools take effect after the last word of this utterance."""
        utterance = None if event.refused else self._call.floor.find(event.speech)
        if utterance is not None and event.timeout_seconds:
            want_tool(self._call, utterance, event)
        elif utterance is not None and utterance.kind is UtteranceKind.REPLY:
            note_tool_call(utterance, event)
            self._follow_announcement(utterance)

    def tool_finished(self, event: ev.AgentToolFinished) -> None:
        """The next prompts hold its result. When no answer waits for it, the agent tells the caller by itself."""
        call = self._call
        was_running = call.history.tool_finished(event.id, event.result)
        tool_finished(call, event.id)
        if was_running:
            note_outcome(call, event)
            tell_outcome(call)

    def paused(self, event: ev.AgentPaused) -> None:
        """Remember how much of it the caller has heard."""
        utterance = self._call.floor.find(event.speech)
        if utterance is not None and utterance.paused:
            utterance.heard_at_pause = event.heard

    def interrupted(self, event: ev.AgentInterrupted) -> None:
        """Remember what was heard of an utterance that was cut short."""
        self._remember_stopped(event)

    def finished(self, event: ev.AgentFinished) -> None:
        """Remember what the caller heard. Then the call ends, or it is the caller's turn."""
        call = self._call
        utterance = call.floor.find(event.speech)
        if utterance is None:
            self._remember_stopped(event)
            return
        if utterance.preemptive:
            return
        call.forget(utterance)
        if utterance.started and utterance.kind is not UtteranceKind.FILLER:
            call.history.add(event.turn, "assistant", event.heard)
        was_empty = utterance.kind is UtteranceKind.REPLY and not utterance.started
        if utterance.broken:
            self.lost(utterance)
        elif was_empty:
            self._was_empty(utterance)
        else:
            self._was_heard(utterance, event.heard)

    def provider_failed(self, event: ev.ProviderFailed) -> None:
        """A vendor failed: apologise once; if failures go on, end the call politely."""
        call = self._call
        if event.answer not in BLAMELESS:
            call.blame(f"provider:{event.provider}")
        if event.stage == "listen":
            stt_lost(call, final=event.final)
            return
        utterance = call.floor.find(event.speech) if event.speech is not None else None
        if utterance is None:
            return
        if not event.final:
            utterance.late_provider = event.provider
            if event.stage == "think" and event.answer not in ("taken_over", "late"):
                forget_tool_calls(utterance)
                self._follow_announcement(utterance)
            return
        utterance.cut, utterance.refused = event.answer == "cut", event.answer == "refused"
        if utterance.started or utterance.cut:
            utterance.broken = True
            return
        call.forget(utterance)
        if not utterance.preemptive:
            self.lost(utterance)

    def provider_restored(self, event: ev.ProviderRestored) -> None:
        """A vendor works again. Only speech to text had kept the call waiting."""
        if event.stage == "listen":
            stt_restored(self._call)

    def lost(self, utterance: Utterance) -> None:
        """An utterance is over, and the caller heard nothing or not all of it."""
        call = self._call
        if utterance.transfers_to is not None:
            self._transfer_without(utterance, utterance.transfers_to)
        elif utterance.ends_call:
            self._hang_up_without(utterance, utterance.ends_call)
        elif utterance.refused:
            call.refuse(utterance.turn)
        elif utterance.cut and utterance.started:
            call.say(UtteranceKind.APOLOGY, call.lines.cut_off, turn=utterance.turn)
        elif utterance.kind is UtteranceKind.REPLY and not utterance.text and not utterance.started:
            go_on(call)  # nobody has asked anything
        elif utterance.kind is UtteranceKind.REPLY and utterance.turn == call.farewells.callers_turn:
            self._hang_up_without(utterance, HUNG_UP)  # who has said goodbye is not asked to say it again
        elif utterance.kind is UtteranceKind.REPLY:
            call.failures += 1
            self._apologise(utterance.turn, call.lines.cut_off if utterance.started else call.lines.apology)
        elif utterance.kind in _BEFORE_THE_ANSWER:
            self._after_filler()
        else:
            call.unsaid += 1
            if call.failures + call.unsaid >= call.policy.max_failures:
                self._cannot_speak()
            else:
                self._go_on_without(utterance)

    def _follow_announcement(self, utterance: Utterance) -> None:
        """The transfer is certain once its announcement is heard, unless the model writes the answer again."""
        call = self._call
        if utterance.is_final:
            call.enter_phase(CallPhase.TRANSFERRING)
        elif call.phase is CallPhase.TRANSFERRING:
            call.enter_phase(CallPhase.TALKING)

    def _remember_stopped(self, event: ev.AgentInterrupted | ev.AgentFinished) -> None:
        """Remember what the caller heard of a stopped utterance. That may have been all of it."""
        kind = self._call.floor.take_stopped(event.speech)
        if kind is not None and kind is not UtteranceKind.FILLER:
            self._call.history.add(event.turn, "assistant", event.heard)

    def _was_empty(self, utterance: Utterance) -> None:
        """An answer had no words: a failure, unless it called a built-in tool."""
        call = self._call
        if utterance.digits:
            call.press(utterance.turn, utterance.digits)
        if utterance.transfers_to is not None or utterance.ends_call:
            self.lost(utterance)
        elif utterance.digits:
            go_on(call)
        else:
            call.blame("ours")
            self.lost(utterance)

    def _was_heard(self, utterance: Utterance, heard: str) -> None:
        call = self._call
        if utterance.digits:
            call.press(utterance.turn, utterance.digits)
        if utterance.kind in _BEFORE_THE_ANSWER:
            self._after_filler()
        elif utterance.kind in _OPENS and not awaits_consent(call):
            call.unsaid = 0
            ask_or_greet(call)
        elif utterance.transfers_to is not None:
            call.start_transfer(utterance.transfers_to)
        elif utterance.ends_call and not waits_for_last_words(call, utterance):
            call.end(utterance.ends_call)
        elif not utterance_closes(call, utterance, heard):
            call.unsaid = 0
            call.failures = 0 if utterance.kind is UtteranceKind.REPLY else call.failures
            go_on(call)

    def _go_on_without(self, line: Utterance) -> None:
        """A fixed line is lost. The caller must hear the disclosure and the question for consent all the same."""
        call = self._call
        if line.kind is UtteranceKind.DISCLOSURE:
            open_call(call)
        elif line.kind is UtteranceKind.CONSENT:
            call.consent.asked = max(0, call.consent.asked - 1)
            ask_or_greet(call)
        else:
            go_on(call)

    def _hang_up_without(self, utterance: Utterance, reason: str) -> None:
        """The last words are lost. If the caller heard none of them, a prepared goodbye takes their place."""
        call = self._call
        if utterance.kind is UtteranceKind.REPLY and not utterance.started:
            call.say(UtteranceKind.GOODBYE, call.lines.goodbye, turn=utterance.turn, ends_call=reason)
        else:
            call.end(reason)

    def _transfer_without(self, utterance: Utterance, to: str) -> None:
        """The announcement is lost. If the caller heard none of it, a prepared line takes its place."""
        call = self._call
        if utterance.kind is UtteranceKind.REPLY and not utterance.started:
            call.say(UtteranceKind.TRANSFER, call.lines.transfer, turn=utterance.turn, transfers_to=to)
        else:
            call.start_transfer(to)

    def _apologise(self, turn: int, apology: str) -> None:
        call = self._call
        if call.failures + call.unsaid >= call.policy.max_failures:
            give_up(call, turn)
        else:
            call.say(UtteranceKind.APOLOGY, apology, turn=turn)

    def _cannot_speak(self) -> None:
        """Lines cannot be said. A human can still take the call, and the prepared request for a message may be heard.

        If that cannot be heard either, the call ends.
        """
        call = self._call
        if call.message is None and (call.policy.fallback_human or call.policy.takes_messages):
            give_up(call)
        else:
            call.end("provider_failure")

    def _after_filler(self) -> None:
        call = self._call
        if say_the_rest(call) or interject(call):
            return
        if call.floor.reply_pending:
            call.enter(ConversationState.PROCESSING)
            line_ended(call)
        else:
            go_on(call)
