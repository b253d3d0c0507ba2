"""What holds in every call, whatever is told of it and in whatever order."""

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from app.conversation import commands as cmd
from app.conversation import events as ev
from app.conversation.core import ConversationCore
from app.conversation.phases import ALLOWED, PHASE_TRANSITIONS, CallPhase, is_allowed
from app.conversation.policy import CallPolicy
from app.conversation.states import TRANSITIONS
from app.models import ConversationState
from tests.conversation.chance import (
    agent_facts,
    caller_facts,
    last_facts,
    odd_facts,
    outside_facts,
    policies,
    short_times,
)

_ENDS_WITHIN_SECONDS = 150.0
"""Of a call of which nobody tells anything any more: neither the caller, nor the agent's voice, nor a vendor."""


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
        self.transferring = False
        self.over: set[int] = set()
        """Utterances of which nothing more can be told."""

    def handle(self, event: ev.Event) -> list[cmd.Command]:
        before, phase, due = self.core.state, self.core.phase, self.core.next_deadline()
        forbidden = not is_allowed(phase, before, type(event))
        remembered = memory(self.core) if forbidden else None
        commands = self.core.handle(event, self.now)
        if before is ConversationState.ENDED:
            assert commands == []
        if forbidden:
            assert commands == []
            assert memory(self.core) == remembered, "an event changed something in a phase that forbids it"
        self._follow_phases(phase, commands)
        self._follow_states(before, commands)
        self._follow_utterances(event, commands)
        self._look_at_the_end(event, commands)
        self._look_at_the_deadline(due)
        return commands

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while (deadline := self.core.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.handle(self.core.deadline_passed())
        self.now = until

    def _follow_states(self, state: ConversationState, commands: list[cmd.Command]) -> None:
        for command in commands:
            if isinstance(command, cmd.Record) and isinstance(command.event, ev.StateChanged):
                assert command.event.before == state
                assert command.event.after in TRANSITIONS[state]
                state = ConversationState(command.event.after)
        if self.core.state is not ConversationState.ENDED:
            assert state is self.core.state

    def _follow_phases(self, before: CallPhase, commands: list[cmd.Command]) -> None:
        phase, state = self.core.phase, self.core.state
        assert (phase, state) in ALLOWED
        assert phase in reachable(before)
        assert self.core.next_deadline() is not None or phase is CallPhase.ENDED
        said = [command.kind for command in commands if isinstance(command, cmd.Say)]
        if before is CallPhase.CLOSING:
            assert said == [], "a call that is closing talks again"
        elif phase is CallPhase.CLOSING:
            assert said[-1] == "goodbye"
        if CallPhase.CLOSING in (before, phase):
            begun = (cmd.StartReply, cmd.ReleaseReply, cmd.ResumeUtterance, cmd.Transfer, cmd.RunTool, cmd.SendDigits)
            closing = commands if before is CallPhase.CLOSING else commands[_place_of_goodbye(commands) :]
            assert not any(isinstance(command, begun) for command in closing)

    def _follow_utterances(self, event: ev.Event, commands: list[cmd.Command]) -> None:
        self._follow_fact(event)
        for command in commands:
            match command:
                case cmd.StartReply(utterance=speech, preemptive=held):
                    assert not self.transferring, "somebody speaks while the human is being called"
                    assert not self.replies, "two replies are alive"
                    self._add(self.replies, speech, held=held)
                case cmd.Say(utterance=speech):
                    assert not self.transferring, "somebody speaks while the human is being called"
                    assert not self.lines, "two lines are alive"
                    self._add(self.lines, speech, held=False)
                case cmd.ReleaseReply(speech):
                    assert speech in self.held & self.replies
                    self.held.remove(speech)
                case cmd.PauseUtterance(speech) | cmd.ResumeUtterance(speech):
                    assert speech in self.begun & self._live
                case cmd.StopUtterance(speech):
                    assert speech in self.numbers
                    self._drop(speech)
                case cmd.Transfer():
                    assert not self.transferring, "two humans are called"
                    self.transferring = True
                case cmd.CancelTransfer():
                    assert self.transferring
                    self.transferring = False
                case _:
                    pass
        assert len(self.begun & self._live) <= 1, "two utterances are heard"

    def _follow_fact(self, event: ev.Event) -> None:
        speech = getattr(event, "speech", None)
        self.transferring = self.transferring and not isinstance(event, ev.TransferFailed)
        if isinstance(event, ev.AgentFinished | ev.AgentInterrupted) and speech in set(self.numbers) - self._live:
            self.over.add(speech)
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


def _place_of_goodbye(commands: list[cmd.Command]) -> int:
    return next(at for at, command in enumerate(commands) if isinstance(command, cmd.Say) and command.kind == "goodbye")


class AnythingInAnyOrder(RuleBasedStateMachine):
    """Facts that no sane world would tell, with numbers that no utterance has."""

    @initialize(policy=policies, answered=st.booleans())
    def begin(self, policy: CallPolicy, answered: bool) -> None:
        self.watched = Watched(policy)
        if answered:
            self.watched.handle(ev.CallAnswered())

    @rule(event=caller_facts)
    def the_caller(self, event: ev.Event) -> None:
        self.watched.handle(event)

    @rule(data=st.data())
    def the_agent(self, data: st.DataObject) -> None:
        lately = st.sampled_from([*self.watched.numbers[-3:], 99])
        self.watched.handle(data.draw(agent_facts(lately)))

    @rule(data=st.data())
    def somebody_who_does_not_exist(self, data: st.DataObject) -> None:
        core = self.watched.core
        before = memory(core, but=("_fault",))  # a vendor that fails is blamed, whatever became of the utterance
        event = data.draw(agent_facts(st.sampled_from([-1, 0, 99, *sorted(self.watched.over)])))

        assert self.watched.handle(event) == []
        assert memory(core, but=("_fault",)) == before

    @rule(event=outside_facts | odd_facts)
    def the_world(self, event: ev.Event) -> None:
        self.watched.handle(event)

    @rule(event=last_facts | st.just(ev.CallEnded("crashed")), luck=st.integers(0, 4))
    def the_end(self, event: ev.Event, luck: int) -> None:
        if luck == 0:
            self.watched.handle(event)

    @rule(seconds=short_times)
    def time(self, seconds: float) -> None:
        self.watched.pass_time(seconds)

    def teardown(self) -> None:
        """When nobody tells anything any more, the call ends by itself, and soon."""
        if not hasattr(self, "watched"):
            return
        began = self.watched.now
        while (deadline := self.watched.core.next_deadline()) is not None:
            self.watched.now = max(self.watched.now, deadline)
            self.watched.handle(self.watched.core.deadline_passed())
            assert self.watched.now - began < _ENDS_WITHIN_SECONDS


TestAnythingInAnyOrder = AnythingInAnyOrder.TestCase
TestAnythingInAnyOrder.settings = settings(stateful_step_count=25)
