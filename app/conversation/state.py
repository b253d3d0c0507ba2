"""The state of a call, and the actions that change it. The parts of the core share one."""

from dataclasses import dataclass, replace
from typing import Literal

from app.conversation import events as ev
from app.conversation.commands import (
    CancelTransfer,
    Command,
    EndCall,
    PauseUtterance,
    RaiseThreshold,
    Record,
    ReleaseReply,
    ResumeUtterance,
    Say,
    SendDigits,
    StartReply,
    StopUtterance,
    TranscribeMessage,
    Transfer,
)
from app.conversation.deadlines import Deadline, Deadlines
from app.conversation.farewells import Farewells
from app.conversation.history import ConversationHistory
from app.conversation.left_message import Message
from app.conversation.phases import PHASE_TRANSITIONS, CallPhase
from app.conversation.policy import CallPolicy, KeyMeaning, Lines
from app.conversation.progress import ProgressWatch
from app.conversation.states import ConversationStateMachine, RefusedTransition
from app.conversation.turns import CallerTurn, Floor, Utterance, UtteranceKind
from app.conversation.waiting import Wait
from app.models import ConversationState

FALSE_INTERRUPTIONS = 2
"""This many in a call raise the detector's threshold; after this many in an utterance, only words pause it."""
_SLOWEST_LETTERS_PER_SECOND = 10.0
HUNG_UP = "agent_hangup"
"""The end reason when the agent hangs up because everything has been said."""
_BLAME = ("none", "caller", "carrier", "policy", "provider", "ours")
"""Who was to blame, from the least to the worst."""
BLAMELESS = ("refused", "late")
"""What becomes of an answer when ``provider.failed`` names a vendor that has not failed."""


@dataclass(frozen=True, slots=True)
class HeldAnswer:
    """An answer that waits for an operator's line."""

    speech: int
    turn: int
    text: str
    """What the caller said."""


@dataclass(slots=True)
class Consent:
    """The question whether the call may be recorded."""

    asked: int = 0
    """How often the agent has asked it."""
    is_settled: bool = False


class CallState:
    """Everything the core remembers. ``now`` and ``commands`` belong to the event that is being handled."""

    stt_lost_t = 0.0
    """When speech to text failed last."""
    stt_outage_notice: Literal["none", "due", "given"] = "none"
    """The notice that the agent cannot hear the caller."""
    tool_news: int | None = None
    """The last utterance before a tool finished whose outcome no answer tells; None when the caller knows all."""
    message: Message | None = None
    """The message that the caller is asked for, because nobody can serve the call."""
    is_unserved = False
    """Whether the agent has given up serving the call by itself."""
    human_was_tried = False
    """Whether the call was to be transferred to the human of the policy."""
    away_until_t = 0.0
    """Until then at the latest the leg is away from the caller; what waits for either of them goes on waiting."""
    unheard_sounds = 0
    """Sounds of the caller in a row that may have been speech, and of which no words came."""
    early_words = ""
    """What the caller said while nothing could cut the agent; it is answered as soon as the call is open."""
    transferred_to = ""
    """To whom the caller is being transferred, or was last."""
    human_is_dialled = False
    """Whether a human is being called into the room, so that a caller who leaves has hung up."""
    unfinished: Utterance | None = None
    """A fixed line, or the rest of one, that is said after the bridging line of a take-over."""
    false_interruptions = 0
    """How often a sound has paused the voice for nothing."""
    bridges_answer = False
    """Whether the next answer is preceded by that line."""
    agent_asked = ""
    """What was said of the answer or the greeting that ended last: a fixed line after it takes no question back."""

    def __init__(self, policy: CallPolicy, language: str) -> None:
        self.policy = policy
        self.language = language
        self._machine = ConversationStateMachine()
        self._phase = CallPhase.RINGING
        self.deadlines = Deadlines()
        self.floor = Floor()
        self.history = ConversationHistory()
        self.now = 0.0
        self.commands: list[Command] = []
        self.turn = 0
        """Number of the last turn that was opened."""
        self.caller: CallerTurn | None = None
        self.held = False
        """Whether the caller is on hold: no audio comes from them, and they do not hear the agent."""
        self.sound = False
        self.sound_since_t, self.last_voiced_t = float("-inf"), 0.0
        self.taken_until_t = 0.0
        """When the last turn that was taken ended."""
        self.agent_ended_t = 0.0
        self.agent_said = ""
        """What was said of the utterance that ended last."""
        self.closing_reason = ""
        """Why the call ends, while it is CLOSING."""
        self.stt_failed = False
        """Speech to text gave up in a phase that is not ended for it; the call ends when that phase does."""
        self.stt_is_gone = False
        """Whether speech to text has failed and does not work again yet."""
        self.say_requests: list[str] = []
        self.held_answer: HeldAnswer | None = None
        self.transfer_request: str | None = None
        """The target to which an operator wants the caller transferred, as soon as the agent has finished."""
        self.failures = 0
        """Answers in a row that could not be given."""
        self.unsaid = 0
        """Fixed lines in a row that could not be said."""
        self.silences = 0
        """Prompts in a row that nobody answered."""
        self.farewells, self.consent = Farewells(), Consent()
        self.wait = Wait()
        """What the caller was told while they wait for the answer to their last turn."""
        self.progress = ProgressWatch(policy.stall_turns)
        self.last_answer = ""
        """What was said of the last reply that began."""
        self._answered_turn = 0
        """The last turn whose answer was heard, so that the model's vendor has not refused it."""
        self._refused_before = False
        """Whether a turn was refused and none was answered since."""
        self._fault = "none"

    @property
    def state(self) -> ConversationState:
        """Who has the floor."""
        return self._machine.get_current_state()

    @property
    def phase(self) -> CallPhase:
        """How far the call is."""
        return self._phase

    @property
    def transfer_runs(self) -> bool:
        """Whether the transfer has been announced and its outcome is awaited."""
        return self._phase is CallPhase.TRANSFERRING and not self.floor.live

    @property
    def lines(self) -> Lines:
        """The fixed texts in the language of the call."""
        lines = self.policy.lines
        return lines.get(self.language) or next(iter(lines.values()))

    def due_in(self, name: Deadline, seconds: float) -> None:
        """Set a deadline that many seconds from now."""
        self.deadlines.set(name, self.now + seconds)

    def enter(self, state: ConversationState) -> None:
        """Enter the state, and record the change. Raises RefusedTransition when the table does not allow it."""
        before = self.state
        if state is not before:
            self._change_state(state)
            self.commands.append(Record(ev.StateChanged(before, state)))

    def enter_phase(self, phase: CallPhase) -> None:
        """Enter the phase. Raises RefusedTransition when the table does not allow the change."""
        if phase is self._phase:
            return
        if phase not in PHASE_TRANSITIONS[self._phase]:
            raise RefusedTransition(self._phase, phase)
        self._phase = phase

    def _change_state(self, state: ConversationState) -> None:
        before = self.state
        if not self._machine.transition_to(state):
            raise RefusedTransition(before, state)

    def blame(self, fault: str) -> None:
        """Remember the worst failure of the call."""
        if _BLAME.index(fault.partition(":")[0]) > _BLAME.index(self._fault.partition(":")[0]):
            self._fault = fault

    # --- speaking ---------------------------------------------------------------------------------------------------

    def say(
        self,
        kind: UtteranceKind,
        text: str,
        *,
        turn: int | None = None,
        ends_call: str | None = None,
        transfers_to: str | None = None,
        interruptible: bool = True,
        is_rest: bool = False,
    ) -> None:
        """Say a fixed text in place of any other fixed text. An agent that does not speak does nothing."""
        if not self.policy.speaks:
            return
        if self.floor.line is not None:
            self.stop(self.floor.line)
        if turn is None:
            self.turn += 1
            turn = self.turn
        utterance = Utterance(self.floor.next_number(), turn, kind, text, self.language, written=text)
        utterance.interruptible, utterance.ends_call, utterance.transfers_to = interruptible, ends_call, transfers_to
        self.floor.line = utterance
        if utterance.is_final:
            self.enter_phase(CallPhase.TRANSFERRING)
        self.commands.append(Say(turn, utterance.number, kind, self.language, text, is_rest))
        self.deadlines.clear(Deadline.IDLE, Deadline.MESSAGE)
        self.due_in(Deadline.START, self.policy.line_start_seconds)

    def start_reply(self, turn: int, text: str, *, preemptive: bool, key: KeyMeaning | None = None) -> None:
        """Start an answer, with the tool of a key if it has one."""
        utterance = Utterance(self.floor.next_number(), turn, UtteranceKind.REPLY, text, self.language, preemptive)
        utterance.key = key
        self.floor.reply = utterance
        started = StartReply(turn, utterance.number, self.language, text, preemptive)
        self.commands.append(started if key is None else replace(started, tool=key.tool, arguments=key.arguments))

    def repeat_reply(self, reply: Utterance, rest: str) -> None:
        """Say the rest of an answer that was cut off, and then do what was to follow it."""
        again = Utterance(self.floor.next_number(), reply.turn, UtteranceKind.REPLY, reply.text, self.language)
        again.ends_call, again.transfers_to, again.digits = reply.ends_call, reply.transfers_to, reply.digits
        self.floor.reply = again
        self.commands.append(Say(again.turn, again.number, again.kind, again.language, rest, is_rest=True))

    def answer(self, turn: int, text: str, key: KeyMeaning | None = None) -> None:
        """Answer a finished turn, with the preemptive reply if it fits, else with a new one."""
        reply, wanted = self.floor.reply, (turn, text, self.language)
        if reply is not None and reply.preemptive and (reply.turn, reply.text, reply.language) == wanted:
            if self.floor.line is not None:
                self.stop(self.floor.line)
            reply.preemptive = False
            self.commands.append(ReleaseReply(reply.number))
            return
        self.stop_all()
        self.start_reply(turn, text, preemptive=False, key=key)

    def say_unheard_greeting(self, turn: int) -> None:
        """Before the answer, say the parts of the greeting that the caller must hear and has missed."""
        if self.floor.unheard_greeting:
            text, self.floor.unheard_greeting = self.floor.unheard_greeting, ""
            self.say(UtteranceKind.NOTICE, text, turn=turn)

    def note_answer(self, turn: int) -> None:
        """Note that the caller hears the answer to that turn."""
        self._answered_turn, self._refused_before = max(self._answered_turn, turn), False

    def refuse(self, turn: int) -> None:
        """The model's vendor refuses the prompt of that turn: take the likely cause out of the prompt.

        The first time that is what was said since the last answer. If the vendor refuses the next prompt, too, it is
        older.
        """
        first = 0 if self._refused_before else min(self._answered_turn + 1, turn)
        self.history.leave_out(first, turn)
        self._refused_before = True
        self.say(UtteranceKind.PROMPT, self.lines.refused, turn=turn)

    def hold_back(self, utterance: Utterance) -> None:
        """Pause for the caller's sound. Words decide whether the voice goes on. New sounds extend the pause once."""
        false_interruption_timeout = self.policy.false_interruption_timeout
        if not utterance.paused:
            if (
                not utterance.interruptible
                or utterance.is_final
                or utterance.false_interruptions >= FALSE_INTERRUPTIONS
            ):
                return
            utterance.paused, utterance.paused_t, utterance.backchanneled = True, self.now, False
            self.commands.append(PauseUtterance(utterance.number))
        latest = max(self.now, utterance.paused_t + 2 * false_interruption_timeout)
        self.deadlines.set(Deadline.RESUME, min(self.now + false_interruption_timeout, latest))

    def resume(self, utterance: Utterance) -> None:
        """Let the voice go on."""
        if not utterance.backchanneled:
            self._count_false_interruption(utterance)
        utterance.go_on(self.now)
        self.deadlines.clear(Deadline.RESUME)
        self.expect_progress(utterance)
        self.commands.append(ResumeUtterance(utterance.number))

    def expect_progress(self, utterance: Utterance) -> None:
        """Set the time by which the voice must reach its next clause or its end: about as long as the clause takes.

        A tool that the answer waits for gets its own time in addition.
        """
        letters = len(utterance.clauses[-1]) if utterance.clauses else 0
        tool_seconds = self.wait.tool_seconds_left(self.now) if utterance.kind is UtteranceKind.REPLY else 0.0
        self.due_in(Deadline.STALL, self.policy.stall_seconds + letters / _SLOWEST_LETTERS_PER_SECOND + tool_seconds)

    def _count_false_interruption(self, utterance: Utterance) -> None:
        utterance.false_interruptions += 1
        self.false_interruptions += 1
        if self.false_interruptions % FALSE_INTERRUPTIONS == 0:
            self.commands.append(RaiseThreshold())

    def stop(self, utterance: Utterance) -> None:
        """Cut an utterance short."""
        self.note_goodbye_of(utterance)
        if utterance.kind is UtteranceKind.RECONNECTED:
            self._give_up_rest()
        self.floor.note_unheard(utterance, self.now)
        if not utterance.paused:
            utterance.paused, utterance.paused_t = True, self.now
        self.floor.stop(utterance)
        self._note_end_of(utterance)
        self.commands.append(StopUtterance(utterance.number))

    def _give_up_rest(self) -> None:
        """The caller has cut in before the rest of a line could be said; some lines they must hear all the same."""
        rest, self.unfinished = self.unfinished, None
        if rest is not None and rest.kind is UtteranceKind.SAY:
            self.say_requests.insert(0, rest.text)
        elif rest is not None:
            self.floor.note_unheard(rest, self.now)

    def note_goodbye_of(self, utterance: Utterance) -> None:
        """Remember that a goodbye was cut short, and that the agent meant to hang up after it."""
        if utterance.preemptive:
            return
        if utterance.ends_call == HUNG_UP:
            self.farewells.interrupted = utterance.said
        if utterance.kind is UtteranceKind.REPLY:
            self.farewells.note_agent(utterance.number, utterance.said)

    def stop_all(self) -> None:
        """Stop everything that the agent says or prepares."""
        self.held_answer = None
        for utterance in self.floor.live:
            self.stop(utterance)

    def forget(self, utterance: Utterance) -> None:
        """Drop an utterance that has ended by itself."""
        self.floor.forget(utterance)
        self._note_end_of(utterance)

    def end_utterance(self, utterance: Utterance) -> None:
        """Drop an utterance that has died with its process; nothing more will be heard of it."""
        self.floor.forget(utterance)
        self._note_end_of(utterance)

    def _note_end_of(self, utterance: Utterance) -> None:
        if utterance.started:
            self.agent_ended_t, self.agent_said = self.now, utterance.said
            self.last_answer = utterance.said if utterance.kind is UtteranceKind.REPLY else self.last_answer
            self.agent_asked = utterance.said if utterance.is_own_words else self.agent_asked
            self.deadlines.clear(Deadline.STALL, Deadline.RESUME)
        if utterance.kind is UtteranceKind.REPLY:
            self.deadlines.clear(Deadline.FILLER, Deadline.REPLY)
        else:
            self.deadlines.clear(Deadline.START)

    # --- going on and ending ------------------------------------------------------------------------------------------

    def close_caller_turn(self) -> None:
        """Close the caller's open turn: it has been dealt with."""
        self.caller = None
        self.deadlines.clear(Deadline.TURN, Deadline.PAUSE)

    def go_on(self) -> None:
        """The agent has finished. Say what an operator asked for, or let the caller speak."""
        if self.floor.live or self.announce_stt_outage():
            return
        if self.say_requests and self.caller is None:
            self.say(UtteranceKind.SAY, self.say_requests.pop(0))
            return
        if self.transfer_on_request():
            return
        self.enter(ConversationState.LISTENING)
        policy = self.policy
        if self.message is not None:
            if Deadline.MESSAGE not in self.deadlines:
                has_begun = self.message.is_left
                self.due_in(Deadline.MESSAGE, policy.message_more_seconds if has_begun else policy.message_wait_seconds)
        elif self.caller is None and policy.speaks and Deadline.IDLE not in self.deadlines:
            silence_seconds = policy.idle_prompt_seconds if policy.idle_prompts else policy.idle_end_seconds
            self.due_in(Deadline.IDLE, policy.farewell_seconds if self.farewells.are_due else silence_seconds)

    def announce_stt_outage(self) -> bool:
        """If it is due and nobody speaks, say that the agent cannot hear the caller, and start the time to give up."""
        is_speaking = any(not utterance.preemptive for utterance in self.floor.live)
        if self.stt_outage_notice != "due" or is_speaking or self.phase is not CallPhase.TALKING:
            return False
        self.stt_outage_notice = "given"
        self.due_in(Deadline.STT_OUTAGE, self.policy.stt_give_up_seconds)
        self.say(UtteranceKind.APOLOGY, self.policy.with_menu(self.lines, self.lines.deaf))
        return True

    def transfer_on_request(self) -> bool:
        """Announce the transfer that was asked for, unless somebody is speaking or pressing keys."""
        to, busy = self.transfer_request, self.floor.live or self.caller is not None
        if to is None or busy or Deadline.DIGITS in self.deadlines or not self.policy.speaks:
            return False
        self.transfer_request = None
        self.say(UtteranceKind.TRANSFER, self.lines.transfer, transfers_to=to)
        return True

    def start_transfer(self, to: str) -> None:
        """Transfer the caller now; the announcement is over."""
        self.close_caller_turn()
        self.transferred_to, self.human_is_dialled = to, False
        self.enter(ConversationState.PROCESSING)
        self.deadlines.clear(Deadline.IDLE)
        self.due_in(Deadline.TRANSFER, self.policy.transfer_seconds)
        self.commands += [Record(ev.TransferStarted(to)), Transfer(to)]

    def press(self, turn: int, digits: str) -> None:
        """Press keys on the line, and let the model know that it has done so."""
        self.history.add(turn, "system", f"You pressed these keys: {digits}")
        self.commands.append(SendDigits(digits))
        self.progress.moved()

    def transcribe_message(self) -> None:
        """Have the sound of the message transcribed, if nothing heard all of its words."""
        message = self.message
        if message is not None and message.is_unheard and not message.is_transcribed:
            message.is_transcribed = True
            self.commands.append(TranscribeMessage())

    def close(self, reason: str, goodbye: str) -> None:
        """End the call with a goodbye, if anybody can hear it. From here on the caller cannot prevent it."""
        if self.phase is CallPhase.CLOSING:
            return
        if self.phase is CallPhase.RINGING or not self.policy.speaks or self.now < self.away_until_t:
            self.end(reason)
            return
        if self.transfer_runs:
            self.commands.append(CancelTransfer())
        self.enter_phase(CallPhase.CLOSING)
        self.closing_reason = reason
        self.stop_all()
        self.deadlines.clear_all()
        self.due_in(Deadline.LIMIT, self.policy.goodbye_seconds)
        self.say(UtteranceKind.GOODBYE, goodbye, ends_call=reason, interruptible=False)

    def end(self, reason: str) -> None:
        """End the call now."""
        self.stop_all()
        self.transcribe_message()
        self.deadlines.clear_all()
        self.enter_phase(CallPhase.ENDED)
        self.enter(ConversationState.ENDED)
        self.commands.append(EndCall(reason, self._fault))

    def was_ended(self) -> None:
        """Note that somebody else has ended the call and written the terminal row."""
        self.deadlines.clear_all()
        self.enter_phase(CallPhase.ENDED)
        self._change_state(ConversationState.ENDED)
