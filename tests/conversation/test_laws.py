"""What holds in every call, whatever is told of it and in whatever order."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from app.conversation import events as ev
from app.conversation.commands import PauseUtterance, StopUtterance
from app.conversation.phases import ALLOWED, CallPhase
from app.conversation.policy import CallPolicy
from app.conversation.turns import UtteranceKind
from app.models import ConversationState
from tests.conversation.chance import (
    agent_events,
    caller_events,
    last_events,
    moments,
    odd_events,
    outside_events,
    policies,
    short_times,
)
from tests.conversation.watched import WAYS, Watched, memory

_ENDS_WITHIN_SECONDS = 150.0
"""Of a call of which nobody tells anything any more: neither the caller, nor the agent's voice, nor a vendor."""


class AnythingInAnyOrder(RuleBasedStateMachine):
    """Facts that no sane world would tell, with numbers that no utterance has."""

    @initialize(policy=policies, place=st.sampled_from(list(WAYS)), data=st.data())
    def begin(self, policy: CallPolicy, place: tuple[CallPhase, ConversationState], data: st.DataObject) -> None:
        if place[0] is not CallPhase.RINGING:  # the ways to the other places begin with the greeting
            policy = replace(policy, asks_consent=False, lines=CallPolicy().lines)
        self.watched = Watched(policy)
        data.draw(st.sampled_from(WAYS[place]))(self.watched)
        assert (self.watched.core.phase, self.watched.core.state) == place

    @rule(event=caller_events)
    def the_caller(self, event: ev.Event) -> None:
        line = self.watched.core._call.floor.line
        uncut = {line.number} if line is not None and line.kind is UtteranceKind.DISCLOSURE else set[int]()

        commands = self.watched.handle(event)

        assert not uncut & {each.utterance for each in commands if isinstance(each, (PauseUtterance, StopUtterance))}

    @rule(data=st.data())
    def the_agent(self, data: st.DataObject) -> None:
        lately = st.sampled_from([*self.watched.numbers[-3:], 99])
        self.watched.handle(data.draw(agent_events(lately)))

    @rule(data=st.data(), ok=st.booleans(), given_up=st.booleans())
    def a_tool_finishes(self, data: st.DataObject, ok: bool, given_up: bool) -> None:
        speech = data.draw(st.sampled_from([*self.watched.numbers[-3:], 99]))
        finished = ev.AgentToolFinished(0, speech, "2", "dance", ok, None, 8.0, "It is done.", given_up)
        self.watched.handle(finished)

    @rule(data=st.data())
    def somebody_who_does_not_exist(self, data: st.DataObject) -> None:
        core = self.watched.core
        before = memory(core, but=("_fault",))  # a vendor that fails is blamed, whatever became of the utterance
        event = data.draw(agent_events(st.sampled_from([-1, 0, 99, *sorted(self.watched.over)])))

        assert self.watched.handle(event) == []
        assert memory(core, but=("_fault",)) == before

    @rule(since=moments, luck=st.integers(0, 2))
    def another_process_takes_over(self, since: float, luck: int) -> None:
        if luck == 0:
            ends = self.watched.core.cut_off(since)
            self.watched.handle(ev.CallTakenOver(since, 1.0, "heir"))
            for end in ends:
                self.watched.handle(end)

    @rule(event=outside_events | odd_events)
    def the_world(self, event: ev.Event) -> None:
        self.watched.handle(event)

    @rule(event=last_events | st.just(ev.CallEnded("crashed")), luck=st.integers(0, 4))
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
        self.watched.handle(ev.CallerReturned(self.watched.now))  # the leg ends a hold
        began = self.watched.now
        while (deadline := self.watched.core.next_deadline()) is not None:
            self.watched.let_pass(deadline)
            assert self.watched.now - began < _ENDS_WITHIN_SECONDS


TestAnythingInAnyOrder = AnythingInAnyOrder.TestCase
TestAnythingInAnyOrder.settings = settings(stateful_step_count=25)


def test_a_run_may_begin_in_every_phase_and_state() -> None:
    assert set(WAYS) == set(ALLOWED)
