"""What holds in every call whose voice and vendors do as they are asked, tell what is so, and sometimes fail."""

import json
from dataclasses import asdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.conversation import events as ev
from app.conversation.phases import CallPhase
from app.conversation.take_over import GO_ON
from app.journal.replay import differences, replay
from app.models import JournalRow
from tests.conversation.chance import languages, last_events, short_times, texts
from tests.conversation.script import Call, Utterance

_LONGEST_SILENCE_SECONDS = 35.0


class ARealCall(RuleBasedStateMachine):
    """A caller who does anything, an agent that says or fails to say what it is asked for."""

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

    @precondition(lambda self: self.call.live)
    @rule(tool=st.sampled_from(["transfer", "send_dtmf"]))
    def the_model_acts(self, tool: str) -> None:
        self.call.model_calls(tool, '{"target": "sales", "digits": "1w"}')

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

    @rule()
    def transfer_requested(self) -> None:
        self.call.operator_hands_over()

    @precondition(lambda self: self.call.transfer)
    @rule(succeeds=st.booleans())
    def transfer_has_an_outcome(self, succeeds: bool) -> None:
        if succeeds:
            self.call.human_takes_over()
        else:
            self.call.transfer_fails()

    @rule(gap=st.sampled_from([0.3, 1.0, 4.0, 40.0]), luck=st.integers(0, 3))
    def the_process_dies(self, gap: float, luck: int) -> None:
        if luck == 0 and self.call.ended is None:
            self.call.process_dies(gap)
            self.sounding = False

    @rule(event=last_events, luck=st.integers(0, 9))
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
        if call.transfer is not None:
            assert (call.state, call.live) == ("processing", [])
        assert len([utterance for utterance in call.live if utterance.kind == "reply"]) <= 1
        assert len([utterance for utterance in call.live if utterance.kind != "reply"]) <= 1
        if call.audible is not None:
            assert call.state == "speaking"
        elif call.live == call.waiting and [utterance.kind for utterance in call.live] == ["reply"]:
            assert call.state == "processing"

    @invariant()
    def a_silence_has_an_end(self) -> None:
        if not hasattr(self, "call") or self.call.ended or self.call.core.phase is not CallPhase.TALKING:
            return
        if self.call.audible is None and not self.call.waiting:
            deadline = self.call.core.next_deadline()
            assert deadline is not None
            assert deadline - self.call.now <= _LONGEST_SILENCE_SECONDS

    def teardown(self) -> None:
        if not hasattr(self, "call"):
            return
        _let_it_end(self.call)
        _every_turn_was_answered(self.call)
        _whoever_was_announced_was_called(self.call)
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
TestARealCall.settings = settings(stateful_step_count=30)


def _let_it_end(call: Call) -> None:
    """The caller falls silent; the agent says what it has to say, and the call ends without a long silence."""
    if call.ended is None:
        call.caller_falls_silent()
    quiet_since = call.now
    for _ in range(200):
        if call.core.next_deadline() is None:
            return
        speech = call.audible or next(iter(call.waiting), None)
        if call.transfer is not None:
            call.transfer_fails()
        elif speech is None or speech.fate == "held back":
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
    reply_pending = False
    for row in call.rows:
        if row.type == "turn.taken":
            reply_pending = True
        elif row.type in ("agent.reply_started", "caller.words", "caller.turn_ended", "caller.dtmf", "call.ended"):
            reply_pending = (
                reply_pending and row.type == "agent.reply_started" and row.data["kind"] in ("filler", "reconnected")
            )
    assert not reply_pending


def _whoever_was_announced_was_called(call: Call) -> None:
    """Once there is a prepared line, nothing but the end of the call keeps the caller from the human.

    The line need not have been heard: a voice that does not begin in time is not waited for.
    """
    lines = [utterance for utterance in call.utterances if utterance.kind == "transfer"]
    announced = [line for line in lines if line.fate == "finished"]
    assert len(call.facts("transfer.started")) >= max(len(announced), len(lines) - 1)


def _the_history_is_what_was_heard(call: Call) -> None:
    heard = [data["heard"] for kind in ("agent.finished", "agent.interrupted") for data in call.facts(kind)]
    pressed = "You pressed these keys: "
    said_by = {"assistant": heard, "user": [taken for taken, _ in call.turns]}
    for role, text in call.remembers:
        assert text.startswith((pressed, GO_ON)) if role == "system" else text in said_by[role]
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
    assert differences(rows) == []
