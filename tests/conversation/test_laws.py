"""What holds in every call, whatever happens in it and in whatever order."""

import json
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.conversation import commands as cmd
from app.conversation import events as ev
from app.conversation.core import ConversationCore
from app.conversation.deadlines import Deadline
from app.conversation.policy import CallPolicy
from app.conversation.replay import replay
from app.conversation.states import TRANSITIONS
from app.models import ConversationState, JournalRow
from tests.conversation.script import LINES, Call, Utterance

_ENDS_WITHIN_SECONDS = 100.0
"""Of a call of which nobody tells anything any more: neither the caller, nor the agent's voice, nor a vendor."""
_LONGEST_SILENCE_SECONDS = 35.0

texts = st.sampled_from(
    [
        "", " ", "yes", "uh-huh", "stop", "one second", "no", "I want to move my appointment", "to Tuesday, please",
        "I am a voice assistant", "let me check", "да", "Запишите меня на вторник", LINES.greeting, "Of course. ",
        "Which day?",
    ]
)  # fmt: skip
moments = st.floats(0, 60)
short_times = st.sampled_from([0.0, 0.05, 0.3, 0.7, 1.6, 4.0, 9.0, 31.0])
languages = st.sampled_from([None, "en", "ru", "fr"])
policies = st.builds(
    CallPolicy,
    max_duration_seconds=st.sampled_from([30.0, 1800.0]),
    idle_prompts=st.sampled_from([0, 1, 2, 5]),
    max_failures=st.sampled_from([1, 2, 3]),
)
caller_facts = st.one_of(
    st.builds(ev.CallerSoundStarted, moments),
    st.builds(ev.CallerSoundStopped, moments),
    st.builds(ev.CallerWords, texts),
    st.builds(ev.CallerTurnEndedEagerly, texts, languages),
    st.builds(ev.CallerTurnResumed, texts),
    st.builds(
        ev.CallerTurnEnded, texts, st.none() | st.sampled_from([0.1, 0.9]), languages, st.none() | moments
    ),
    st.builds(ev.CallerDtmf, st.sampled_from("0129*#A")),
)  # fmt: skip
outside_facts = st.one_of(
    st.builds(ev.ProviderFailed, st.just("deepgram"), st.just("listen"), st.just("lost"), st.booleans()),
    st.builds(ev.ProviderRestored, st.just("deepgram"), st.sampled_from(["listen", "think"])),
    st.builds(ev.ProviderUsed, st.just("openai"), st.just("m")),
    st.builds(ev.SayRequested, texts),
)
odd_facts = st.one_of(
    st.just(ev.CallAnswered()),
    st.builds(ev.DeadlinePassed, st.sampled_from([*Deadline, "none", "unheard of"])),
    st.builds(ev.CallCreated, st.just({}), st.just("en")),
    st.builds(ev.StateChanged, st.just("listening"), st.just("ended")),
    st.builds(ev.CallerIgnored, st.just("echo")),
    st.builds(ev.TurnTaken, st.just(3), texts, st.just("speech"), moments, moments),
)
last_facts = st.one_of(
    st.builds(ev.CallerLeft, st.sampled_from(["caller_hangup", "media_lost"])),
    st.builds(ev.HangupRequested, st.sampled_from(["operator_hangup", "shutdown"])),
    st.builds(ev.ProviderFailed, st.just("deepgram"), st.just("listen"), st.just("lost"), st.just(True)),
)


@st.composite
def agent_facts(draw: st.DrawFn, speeches: st.SearchStrategy[int]) -> ev.Event:
    """Any fact of an utterance with one of those numbers."""
    turn, speech, text = draw(st.integers(0, 9)), draw(speeches), draw(texts)
    kind = draw(st.sampled_from(["reply", "greeting", "filler"]))
    stage = draw(st.sampled_from(["think", "speak"]))
    return draw(
        st.sampled_from(
            [
                ev.AgentReplyStarted(turn, speech, kind),
                ev.AgentReplyGenerated(turn, speech, text),
                ev.AgentClauseStarted(turn, speech, text, 0),
                ev.AgentPaused(turn, speech, text),
                ev.AgentResumed(turn, speech),
                ev.AgentInterrupted(turn, speech, text, text),
                ev.AgentFinished(turn, speech, text, text),
                ev.AgentToolCalled(turn, speech, "1", draw(st.sampled_from(["end_call", "dance"])), "{}"),
                ev.ProviderFailed("openai", stage, "broken", draw(st.booleans()), turn, speech),
            ]
        )
    )


def memory(thing: Any) -> Any:
    """Everything a core remembers, as a value that can be compared; not the fact it has just handled."""
    if isinstance(thing, ConversationCore) or type(thing).__module__.startswith("app.conversation"):
        names = [item.name for item in fields(thing)] if is_dataclass(thing) else list(vars(thing))
        passing = ("now", "commands", "_call", "_fault", "_handlers", "_due")
        return type(thing).__name__, {name: memory(getattr(thing, name)) for name in names if name not in passing}
    if isinstance(thing, dict):
        return {str(key): memory(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [memory(item) for item in thing]
    return repr(thing)


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
        self.over: set[int] = set()
        """Utterances of which nothing more can be told."""

    def handle(self, event: ev.Event) -> list[cmd.Command]:
        before, due = self.core.state, self.core.next_deadline()
        commands = self.core.handle(event, self.now)
        if before is ConversationState.ENDED:
            assert commands == []
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

    def _follow_utterances(self, event: ev.Event, commands: list[cmd.Command]) -> None:
        self._follow_fact(event)
        for command in commands:
            match command:
                case cmd.StartReply(speech=speech, speculative=held):
                    assert not self.replies, "two replies are alive"
                    self._add(self.replies, speech, held=held)
                case cmd.Say(speech=speech):
                    assert not self.lines, "two lines are alive"
                    self._add(self.lines, speech, held=False)
                case cmd.ReleaseReply(speech):
                    assert speech in self.held & self.replies
                    self.held.remove(speech)
                case cmd.PauseSpeech(speech) | cmd.ResumeSpeech(speech):
                    assert speech in self.begun & self._live
                case cmd.StopSpeech(speech):
                    assert speech in self._live or speech in self.numbers
                    self._drop(speech)
        assert len(self.begun & self._live) <= 1, "two utterances are heard"

    def _follow_fact(self, event: ev.Event) -> None:
        speech = getattr(event, "speech", None)
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
        before = memory(core)
        event = data.draw(agent_facts(st.sampled_from([-1, 0, 99, *sorted(self.watched.over)])))

        assert self.watched.handle(event) == []
        assert memory(core) == before

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
TestAnythingInAnyOrder.settings = settings(settings.get_profile("conversation"), stateful_step_count=40)


class ARealCall(RuleBasedStateMachine):
    """The agent's voice and the vendors behave as they do: they obey, they tell what is so, and sometimes they fail."""

    @initialize(idle_prompts=st.sampled_from([0, 2]), answered=st.booleans())
    def begin(self, idle_prompts: int, answered: bool) -> None:
        self.call = Call(idle_prompts=idle_prompts)
        self.sounding = False
        if answered:
            self.call.is_answered()

    # --- the caller ---

    @rule()
    def is_answered(self) -> None:
        self.call.is_answered()

    @rule()
    def sound(self) -> None:
        if self.sounding:
            self.call.caller_falls_silent()
        else:
            self.call.caller_makes_a_sound()
        self.sounding = not self.sounding

    @rule(text=texts)
    def words(self, text: str) -> None:
        self.call.caller_begins(text)

    @rule(text=texts, language=languages)
    def eager_end(self, text: str, language: str | None) -> None:
        self.call.caller_seems_to_end(text, language)

    @rule(text=texts)
    def resumed(self, text: str) -> None:
        self.call.caller_resumes(text)

    @rule(text=texts, confidence=st.sampled_from([0.1, 0.9, 0.9]), language=languages)
    def turn(self, text: str, confidence: float, language: str | None) -> None:
        self.call.caller_ends(text, confidence, language)

    @rule(keys=st.sampled_from(["1", "#", "42#"]))
    def keys(self, keys: str) -> None:
        self.call.caller_presses(keys)

    # --- the agent ---

    @rule(clause=texts, first_ready=st.integers(0, 1))
    def the_voice_goes_on(self, clause: str, first_ready: int) -> None:
        self._speak(clause, first_ready)

    @rule(clause=texts)
    def the_voice_goes_on_again(self, clause: str) -> None:
        self._speak(clause, 0)

    @rule()
    def the_reply_is_empty(self) -> None:
        if self.call.audible is None and self.call.waiting:
            self.call.agent_has_nothing_to_say()

    @precondition(lambda self: self.call.live)
    @rule()
    def the_model_hangs_up(self) -> None:
        self.call.model_asks_to_hang_up()

    # --- the outside ---

    @precondition(lambda self: any(reply.live for reply in self.call.replies))
    @rule(final=st.booleans())
    def the_model_fails(self, final: bool) -> None:
        if self.call.replies[-1].live:
            self.call.thinking_fails(final=final)

    @precondition(lambda self: self.call.live)
    @rule(final=st.booleans())
    def the_voice_fails(self, final: bool) -> None:
        self.call.speaking_fails(final=final)

    @rule(lost=st.booleans())
    def the_ears(self, lost: bool) -> None:
        if lost:
            self.call.hearing_fails()
        else:
            self.call.hearing_works_again()

    @rule()
    def say_requested(self) -> None:
        self.call.operator_says("Your table is ready.")

    @rule(event=last_facts, luck=st.integers(0, 9))
    def the_end(self, event: ev.Event, luck: int) -> None:
        if luck == 0:
            self.call.tell(event)

    @rule(seconds=short_times)
    def time(self, seconds: float) -> None:
        self.call.wait(seconds)

    # --- the laws ---

    @invariant()
    def the_state_is_what_is_heard(self) -> None:
        if not hasattr(self, "call") or self.call.ended:
            return
        call = self.call
        assert len([utterance for utterance in call.live if utterance.kind == "reply"]) <= 1
        assert len([utterance for utterance in call.live if utterance.kind != "reply"]) <= 1
        if call.audible is not None:
            assert call.state == "speaking"
        elif call.live == call.waiting and [utterance.kind for utterance in call.live] == ["reply"]:
            assert call.state == "processing"

    def teardown(self) -> None:
        if not hasattr(self, "call"):
            return
        _let_it_end(self.call)
        _every_turn_was_answered(self.call)
        _the_history_is_what_was_heard(self.call)
        _the_record_is_true(self.call)
        _the_journal_replays(self.call)

    def _speak(self, clause: str, first_ready: int) -> None:
        call = self.call
        audible = call.audible
        if audible is None and call.waiting:
            speech = call.waiting[min(first_ready, len(call.waiting) - 1)]
            call.begin(speech, clause if speech.kind == "reply" else None)
        elif audible is not None and audible.fate == "speaking":
            if audible.kind == "reply" and len(audible.clauses) < 3:
                call.agent_goes_on(clause)
            else:
                call.agent_falls_silent()


TestARealCall = ARealCall.TestCase
TestARealCall.settings = settings(settings.get_profile("conversation"), stateful_step_count=40)


def _let_it_end(call: Call) -> None:
    """The caller falls silent; the agent says what it has to say, and the call ends without a long silence."""
    if call.ended is None:
        call.caller_falls_silent()
    quiet_since = call.now
    for _ in range(200):
        if call.core.next_deadline() is None:
            return
        speech = call.audible or next(iter(call.waiting), None)
        if speech is None or speech.fate == "held back":
            deadline = call.core.next_deadline()
            assert deadline is not None
            call.wait(max(0.0, deadline - call.now))
        else:
            assert call.now - quiet_since <= _LONGEST_SILENCE_SECONDS
            _say(call, speech)
            quiet_since = call.now
    raise AssertionError("the call does not end")


def _say(call: Call, speech: Utterance) -> None:
    if speech.fate == "waiting":
        call.wait(0.5)
        if speech.fate == "waiting" and not speech.held:
            call.begin(speech, "All right." if speech.kind == "reply" else None)
    else:
        call.wait(1.0)
        if speech.fate == "speaking":
            call.finish(speech)


def _every_turn_was_answered(call: Call) -> None:
    """By a voice, by the caller's next words, or by the end."""
    owed = False
    for row in call.rows:
        if row.type == "turn.taken":
            owed = True
        elif row.type in ("agent.reply_started", "caller.words", "caller.turn_ended", "caller.dtmf", "call.ended"):
            owed = owed and row.type == "agent.reply_started" and row.data["kind"] == "filler"
    assert not owed


def _the_history_is_what_was_heard(call: Call) -> None:
    heard = [data["heard"] for kind in ("agent.finished", "agent.interrupted") for data in call.facts(kind)]
    for role, text in call.remembers:
        assert text in (heard if role == "assistant" else [taken for taken, _ in call.turns])
    assert len([role for role, _ in call.remembers if role == "user"]) == len(call.turns)


def _the_record_is_true(call: Call) -> None:
    record = call.record
    assert record.end_reason is not None
    for turn in record.turns:
        assert turn.text_generated is None or turn.text_generated.startswith(turn.text)
        assert turn.ended_at is not None
        assert turn.started_at <= turn.ended_at


def _the_journal_replays(call: Call) -> None:
    rows = [JournalRow(**json.loads(json.dumps(asdict(row)))) for row in call.rows]
    assert [commands for _, commands in replay(rows)] == call.answers
