"""A core, each of whose answers is held against the laws, and the ways into every phase and state."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from app.conversation import commands as cmd
from app.conversation import events as ev
from app.conversation.core import ConversationCore
from app.conversation.phases import ALLOWED, PHASE_TRANSITIONS, CallPhase, is_allowed
from app.conversation.policy import CallPolicy
from app.conversation.states import TRANSITIONS
from app.models import ConversationState

RINGING, TALKING, TRANSFERRING, CLOSING, ENDED = CallPhase
LISTENING, PROCESSING, SPEAKING, _ENDED = ConversationState

_OUTCOME_SECONDS = 2.0
"""How much longer a transfer may take when the caller has left."""
_SAID = (
    ev.CallerWords,
    ev.CallerTurnEndedEagerly,
    ev.CallerTurnResumed,
    ev.CallerTurnEnded,
    ev.CallerDtmf,
    ev.CallerTyped,
)
_NOT_SAID = (
    ev.CallerSoundStarted, ev.CallerSoundStopped, ev.CallerHeld, ev.CallerReturned, ev.LegLost, ev.LegRejoined,
)  # fmt: skip
_VOICE = (
    ev.AgentReplyStarted, ev.AgentReplyGenerated, ev.AgentClauseStarted, ev.AgentToolCalled, ev.AgentToolFinished,
    ev.AgentInterrupted, ev.AgentFinished,
)  # fmt: skip
_OUTCOMES = (ev.TransferDialled, ev.TransferFailed)
POWERLESS: dict[CallPhase, tuple[type[ev.Event], ...]] = {
    RINGING: (*_SAID, *_VOICE, *_OUTCOMES, ev.TransferCompleted),
    TALKING: (*_OUTCOMES, ev.CallAnswered),
    TRANSFERRING: (*_SAID, ev.TransferRequested, ev.CallAnswered),
    CLOSING: (
        *_SAID, *_NOT_SAID, *_OUTCOMES, ev.SayRequested, ev.TransferRequested, ev.AgentToolCalled, ev.CallAnswered,
    ),
    ENDED: (ev.CallEnded, ev.CallerLeft, ev.HangupRequested, ev.DeadlinePassed, *_SAID, *_NOT_SAID, *_VOICE),
}  # fmt: skip
"""What changes nothing in a phase, whatever the core's own table says."""


def memory(thing: Any, *, but: tuple[str, ...] = ()) -> Any:
    """Everything a core remembers, as a value that can be compared; not the event it has just handled."""
    if isinstance(thing, ConversationCore):
        return [
            memory(getattr(thing, name), but=but) for name in ("_call", "_user_turns", "_agent_speech", "_transfers")
        ]
    if type(thing).__module__.startswith("app.conversation") and not isinstance(thing, Enum):
        names = [item.name for item in fields(thing)] if is_dataclass(thing) else list(vars(thing))
        passing = ("now", "commands", "_call", "policy", *but)
        return type(thing).__name__, {
            name: memory(getattr(thing, name), but=but) for name in names if name not in passing
        }
    if isinstance(thing, dict):
        return {str(key): memory(value, but=but) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [memory(item, but=but) for item in thing]
    return repr(thing)


def reachable(phase: CallPhase) -> set[CallPhase]:
    """Where the table leads from here, in no step or more: one event may take a call through several phases."""
    found = {phase}
    while more := {after for before in found for after in PHASE_TRANSITIONS[before]} - found:
        found |= more
    return found


class Watched:
    """A core, each of whose answers is held against the laws."""

    def __init__(self, policy: CallPolicy) -> None:
        self.core = ConversationCore(policy, "en")
        self.now = 0.0
        self.numbers: list[int] = []
        """Of every utterance that was asked for."""
        self.replies: set[int] = set()
        self.lines: set[int] = set()
        self.begun: set[int] = set()
        self.held: set[int] = set()
        self.interjected: set[int] = set()
        """Of those that are held: replies that wait for an operator's line, and may have begun before they knew."""
        self.transferring = False
        self.over: set[int] = set()
        """Utterances of which nothing more can be told."""
        self._policy = policy
        self._limit = policy.ring_seconds
        """When the phase must be over."""
        self._outcome_by = 0.0
        """When the transfer that runs must have had its outcome."""

    def handle(self, event: ev.Event) -> list[cmd.Command]:
        before, phase, due = self.core.state, self.core.phase, self.core.next_deadline()
        forbidden = isinstance(event, POWERLESS[phase]) or not is_allowed(phase, before, type(event))
        remembered = memory(self.core) if forbidden else None
        commands = self.core.handle(event, self.now)
        if before is ConversationState.ENDED:
            assert commands == []
        if forbidden:
            assert commands == []
            assert memory(self.core) == remembered, "an event changed something in a phase that forbids it"
        self._follow_phases(phase, event, commands)
        self._follow_states(before, commands)
        self._follow_utterances(event, commands)
        self._look_at_the_end(event, commands)
        self._look_at_the_deadline(due)
        self._look_at_the_limit(phase, event)
        self._try_the_powerless()
        return commands

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while (deadline := self.core.next_deadline()) is not None and deadline <= until:
            self.let_pass(deadline)
        self.now = until

    def let_pass(self, deadline: float) -> None:
        """Time goes on to the next deadline, which is handled and gone."""
        self.now = max(self.now, deadline)
        event = self.core.deadline_passed()
        self.handle(event)
        assert (self.core.next_deadline(), self.core.deadline_passed()) != (deadline, event), "a deadline stays"

    def _follow_states(self, state: ConversationState, commands: list[cmd.Command]) -> None:
        for command in commands:
            if isinstance(command, cmd.Record) and isinstance(command.event, ev.StateChanged):
                assert command.event.before == state
                assert command.event.after in TRANSITIONS[state]
                state = ConversationState(command.event.after)
        if self.core.state is not ConversationState.ENDED:
            assert state is self.core.state

    def _follow_phases(self, before: CallPhase, event: ev.Event, commands: list[cmd.Command]) -> None:
        phase, state = self.core.phase, self.core.state
        assert (phase, state) in ALLOWED
        assert phase in reachable(before)
        announced = any(isinstance(each, cmd.Say) and each.kind == "transfer" for each in commands)
        self._follow_change(before, phase, event, announced=announced)
        assert self.core.next_deadline() is not None or phase is CallPhase.ENDED
        said = [command.kind for command in commands if isinstance(command, cmd.Say)]
        if before is CallPhase.CLOSING and isinstance(event, ev.CallTakenOver):
            assert said in ([], ["goodbye"])
        elif before is CallPhase.CLOSING:
            assert said == [], "a call that is closing talks again"
        elif phase is CallPhase.CLOSING:
            assert said[-1] == "goodbye"
        if CallPhase.CLOSING in (before, phase):
            begun = (cmd.StartReply, cmd.ReleaseReply, cmd.ResumeUtterance, cmd.Transfer, cmd.RunTool, cmd.SendDigits)
            closing = commands if before is CallPhase.CLOSING else commands[_place_of_goodbye(commands) :]
            assert not any(isinstance(command, begun) for command in closing)

    def _follow_change(self, before: CallPhase, phase: CallPhase, event: ev.Event, *, announced: bool) -> None:
        """Certain events must lead to another phase, and only certain ones lead back into the conversation.

        ``announced``: after a transfer that failed, a call that cannot be served goes to another human.
        """
        match event:
            case ev.CallEnded() | ev.TransferCompleted() if before is not RINGING or isinstance(event, ev.CallEnded):
                assert phase is ENDED
            case ev.HangupRequested(reason, at_once):
                assert phase is ENDED or (phase is CLOSING and reason == "shutdown" and not at_once)
            case ev.CallerLeft() if not self.transferring:
                assert phase is ENDED
            case ev.CallAnswered():
                assert phase is not RINGING
            case ev.TransferFailed() if self.transferring:
                assert phase is not TRANSFERRING or announced, "a transfer goes on that has failed"
            case _:
                pass
        if (before, phase) == (TRANSFERRING, TALKING):
            failed = isinstance(event, ev.TransferFailed) or event == ev.DeadlinePassed("transfer")
            written_again = isinstance(event, ev.ProviderFailed) and not event.final and not self.transferring
            assert failed or written_again, "a transfer is called off by something else than its failure"

    def _follow_utterances(self, event: ev.Event, commands: list[cmd.Command]) -> None:
        self._follow_event(event)
        for command in commands:
            match command:
                case cmd.StartReply(utterance=speech, preemptive=held):
                    assert not self.transferring, "somebody speaks while the human is being called"
                    assert not self.replies, "two replies are alive"
                    assert self.core._call.message is None, "a message is answered"
                    self._add(self.replies, speech, held=held)
                case cmd.Say(utterance=speech):
                    assert not self.transferring, "somebody speaks while the human is being called"
                    assert not self.lines, "two lines are alive"
                    self._add(self.lines, speech, held=False)
                case cmd.ReleaseReply(speech):
                    assert speech in self.held & self.replies
                    self.held.remove(speech)
                    self.interjected.discard(speech)
                case cmd.HoldReply(speech):
                    assert speech in self.replies - self.held - self.begun
                    self.held.add(speech)
                    self.interjected.add(speech)
                case cmd.PauseUtterance(speech) | cmd.ResumeUtterance(speech):
                    assert speech in self.begun & self._live
                case cmd.StopUtterance(speech):
                    assert speech in self.numbers
                    self._drop(speech)
                case cmd.Transfer() | cmd.AwaitTransfer():
                    assert not self.transferring, "two humans are called"
                    self.transferring = True
                    self._outcome_by = self.now + self._policy.transfer_seconds + _OUTCOME_SECONDS
                case cmd.CancelTransfer():
                    assert self.transferring
                    self.transferring = False
                case _:
                    pass
        assert len(self.begun & self._live) <= 1, "two utterances are heard"

    def _follow_event(self, event: ev.Event) -> None:
        if isinstance(event, ev.CallTakenOver):
            self._forget_the_dead()
        speech = getattr(event, "speech", None)
        self.transferring = self.transferring and not isinstance(event, ev.TransferFailed)
        if isinstance(event, ev.AgentFinished | ev.AgentInterrupted) and speech in set(self.numbers) - self._live:
            self.over.add(speech)
        if isinstance(event, ev.AgentReplyStarted) and speech in self.interjected & self.held:
            self.interjected.remove(speech)
            self.held.remove(speech)
        if speech not in self._live or speech in self.held:
            if isinstance(event, ev.ProviderFailed) and event.final and event.stage != "listen" and speech in self.held:
                self._drop(speech)
            return
        match event:
            case ev.AgentReplyStarted():
                for other in self.begun & self._live - {speech}:
                    self._drop(other)
                self.begun.add(speech)
            case ev.AgentFinished():
                self._drop(speech)
                self.over.add(speech)
            case ev.ProviderFailed(final=True) if speech not in self.begun:
                self._drop(speech)

    def _forget_the_dead(self) -> None:
        """Nothing that a dead process was saying or doing goes on."""
        if self.core.phase is not RINGING:
            for alive in (self.replies, self.lines, self.held, self.interjected):
                alive.clear()
            self.transferring = False

    @property
    def _live(self) -> set[int]:
        return self.replies | self.lines

    def _add(self, kind: set[int], speech: int, *, held: bool) -> None:
        assert speech not in self.numbers
        self.numbers.append(speech)
        kind.add(speech)
        if held:
            self.held.add(speech)

    def _drop(self, speech: int) -> None:
        for kind in (self.replies, self.lines, self.held):
            kind.discard(speech)

    def _look_at_the_end(self, event: ev.Event, commands: list[cmd.Command]) -> None:
        ends = [isinstance(command, cmd.EndCall) for command in commands]
        assert not any(ends[:-1]), "something was asked for after the end"
        if any(ends):
            assert self.core.state is ConversationState.ENDED
            assert not self._live
        elif self.core.state is ConversationState.ENDED:
            assert commands == []
            self.replies.clear()
            self.lines.clear()

    def _look_at_the_deadline(self, due_before: float | None) -> None:
        deadline = self.core.next_deadline()
        if self.core.state is ConversationState.ENDED:
            assert deadline is None
        else:
            assert deadline is not None, "this call may wait for ever"
            assert deadline >= min(self.now, due_before or 0.0), "a deadline was set in the past"

    def _try_the_powerless(self) -> None:
        """After every event: whatever has no say in this phase is tried, and changes nothing."""
        remembered = memory(self.core)
        for event in _one_of_each(self.numbers[-1] if self.numbers else 1, self.now):
            if isinstance(event, POWERLESS[self.core.phase]):
                assert self.core.handle(event, self.now) == []
                assert memory(self.core) == remembered, f"{event.type} changes something while {self.core.phase}"

    def _look_at_the_limit(self, before: CallPhase, event: ev.Event) -> None:
        phase = self.core.phase
        if before is RINGING and phase is not RINGING:
            self._limit = self.now + self._policy.max_duration_seconds
        if before is not CLOSING and phase is CLOSING:
            self._limit = self.now + self._policy.goodbye_seconds
        deadline = self.core.next_deadline()
        if deadline is not None:
            assert deadline <= self._limit, "the phase has no end"
            assert not self.transferring or deadline <= self._outcome_by, "the transfer has no end"
        speech = getattr(event, "speech", None)
        if isinstance(event, ev.AgentReplyStarted) and speech in self.begun & self._live:
            assert self.core.state is SPEAKING, "a voice is heard and the agent does not have the floor"
        if isinstance(event, ev.AgentFinished) and speech in self.over:
            assert speech not in self._live
            assert before is not CLOSING or phase is ENDED or self._live, "the goodbye is over and the call is not"


def _one_of_each(speech: int, now: float) -> list[ev.Event]:
    """The events that have no say in some phase."""
    return [
        ev.CallAnswered(),
        ev.CallEnded("crashed"),
        ev.CallerLeft("caller_hangup"),
        ev.HangupRequested(),
        ev.CallerSoundStarted(now),
        ev.CallerSoundStopped(now),
        ev.CallerWords("I want to move my appointment"),
        ev.CallerTurnEndedEagerly("I want to move my appointment", "en"),
        ev.CallerTurnResumed("I want to move"),
        ev.CallerTurnEnded("I want to move my appointment", 0.9),
        ev.CallerDtmf("1"),
        ev.CallerTyped("I want to move my appointment"),
        ev.CallerHeld(now),
        ev.CallerReturned(now),
        ev.LegLost(now),
        ev.LegRejoined(1.0),
        ev.AgentReplyStarted(1, speech, "reply"),
        ev.AgentReplyGenerated(1, speech, "Of course."),
        ev.AgentClauseStarted(1, speech, "Of course.", 0),
        ev.AgentToolCalled(1, speech, "1", "end_call", "{}"),
        ev.AgentToolFinished(1, speech, "1", "dance", True, 200, 1.0, "done"),
        ev.AgentInterrupted(1, speech, "Of", "Of course."),
        ev.AgentFinished(1, speech, "Of course.", "Of course."),
        ev.TransferDialled(),
        ev.TransferFailed("refused"),
        ev.TransferCompleted("refer"),
        ev.TransferRequested("sales"),
        ev.SayRequested("Your table is ready."),
    ]


def _place_of_goodbye(commands: list[cmd.Command]) -> int:
    return next(at for at, command in enumerate(commands) if isinstance(command, cmd.Say) and command.kind == "goodbye")


# --- the ways into every phase and state, each from the one before it -------------------------------------------------


def _answered(watched: Watched) -> None:
    watched.handle(ev.CallAnswered())


def _greeted(watched: Watched) -> None:
    _answered(watched)
    _speaks(watched)
    _falls_silent(watched)


def _asked(watched: Watched) -> None:
    _greeted(watched)
    watched.now += 5
    watched.handle(ev.CallerTurnEnded("I want to move my appointment", 0.9))


def _answering(watched: Watched) -> None:
    _asked(watched)
    _speaks(watched)


def _announced(watched: Watched) -> None:
    _greeted(watched)
    watched.handle(ev.TransferRequested("sales"))


def _announcing(watched: Watched) -> None:
    _announced(watched)
    _speaks(watched)


def _announced_by_the_model(watched: Watched) -> None:
    _asked(watched)
    watched.handle(ev.AgentToolCalled(1, watched.numbers[-1], "1", "transfer", '{"target": "sales"}'))
    _speaks(watched)


def _calling_a_human(watched: Watched) -> None:
    _announcing(watched)
    _falls_silent(watched)


def _stopped(way: Callable[[Watched], None]) -> Callable[[Watched], None]:
    def stop(watched: Watched) -> None:
        way(watched)
        watched.handle(ev.HangupRequested("shutdown"))

    return stop


def _saying_goodbye(watched: Watched) -> None:
    _stopped(_asked)(watched)
    _speaks(watched)


def _left(watched: Watched) -> None:
    _greeted(watched)
    watched.handle(ev.CallerLeft("caller_hangup"))


def _speaks(watched: Watched) -> None:
    watched.handle(ev.AgentReplyStarted(1, watched.numbers[-1], "reply"))
    watched.handle(ev.AgentClauseStarted(1, watched.numbers[-1], "Of course. ", 0))


def _falls_silent(watched: Watched) -> None:
    watched.handle(ev.AgentFinished(1, watched.numbers[-1], "Of course. ", "Of course. "))


WAYS: dict[tuple[CallPhase, ConversationState], tuple[Callable[[Watched], None], ...]] = {
    (RINGING, LISTENING): (lambda _watched: None,),
    (TALKING, LISTENING): (_answered, _greeted),
    (TALKING, PROCESSING): (_asked,),
    (TALKING, SPEAKING): (_answering,),
    (TRANSFERRING, LISTENING): (_announced,),
    (TRANSFERRING, SPEAKING): (_announcing, _announced_by_the_model),
    (TRANSFERRING, PROCESSING): (_calling_a_human,),
    (CLOSING, LISTENING): (_stopped(_greeted),),
    (CLOSING, PROCESSING): (_stopped(_asked), _stopped(_calling_a_human)),
    (CLOSING, SPEAKING): (_saying_goodbye,),
    (ENDED, _ENDED): (_left,),
}
"""A run begins in any of them, because chance alone hardly ever comes that far."""
