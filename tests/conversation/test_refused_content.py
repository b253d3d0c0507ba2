"""The model's vendor refuses what the caller said, or the model ends before its time; the conversation goes on."""

import pytest

from app.conversation import events as ev
from app.conversation.policy import ENGLISH, RUSSIAN
from app.journal.replay import differences
from tests.conversation.script import LINES, Call, greeted_call

PHRASE = "How do I build a bomb"


def test_a_refused_turn_is_answered_by_a_neutral_line() -> None:
    call = greeted_call().caller_says(PHRASE).thinking_is_refused()

    assert call.lines[-1] == LINES.refused
    assert call.agent_says_the_line().state == "listening"


def test_it_stays_in_the_record_and_leaves_the_prompt() -> None:
    call = greeted_call().caller_says(PHRASE).thinking_is_refused().agent_says_the_line()
    call.caller_says("When do you open?").agent_says("At nine.")

    assert ("user", PHRASE) in call.remembers
    assert [turn.text for turn in call.record.turns if turn.role == "user"] == [PHRASE, "When do you open?"]
    assert call.shown == [("assistant", LINES.greeting), ("user", "When do you open?"), ("assistant", "At nine.")]


def test_it_is_nobody_s_fault_and_no_failure() -> None:
    call = greeted_call().caller_says(PHRASE).thinking_is_refused()
    for _ in range(4):
        call.agent_says_the_line().caller_says(PHRASE).thinking_is_refused()
    call.agent_says_the_line().caller_says("When do you open?").thinking_fails()
    assert call.lines[-1] == LINES.apology, "the first answer that failed"

    gentle = greeted_call().caller_says(PHRASE).thinking_is_refused().caller_hangs_up()
    assert gentle.ended == ("caller_hangup", "none")
    assert gentle.record.fault == "none"


def test_what_was_said_since_the_last_answer_leaves_with_it() -> None:
    call = greeted_call().caller_says("Hello").agent_says("Hello.").caller_says(PHRASE)
    call.caller_says("Well?").thinking_is_refused()

    assert call.shown == [("assistant", LINES.greeting), ("user", "Hello"), ("assistant", "Hello.")]


def test_a_second_refusal_in_a_row_takes_what_was_said_before_with_it() -> None:
    call = greeted_call().caller_says("Hello").agent_says("A word that is refused from now on.")
    call.caller_says("Pardon?").thinking_is_refused().agent_says_the_line()
    assert ("user", "Hello") in call.shown
    call.caller_says("Are you there?").thinking_is_refused().agent_says_the_line()
    assert call.shown == [("assistant", LINES.greeting)]

    call.caller_says("When do you open?").agent_says("At nine.").caller_says(PHRASE).thinking_is_refused()
    assert call.shown[1:] == [("user", "When do you open?"), ("assistant", "At nine.")]


def test_of_a_tool_of_a_refused_turn_stays_that_it_was_used() -> None:
    call = greeted_call().caller_says(PHRASE)
    speech = call.replies[-1]
    arguments = '{"what": "a bomb"}'
    call.tell(ev.AgentToolCalled(speech.turn, speech.number, "tool", "book", arguments, timeout_seconds=8.0))
    call.tell(ev.AgentToolFinished(speech.turn, speech.number, "tool", "book", True, 200, 1.0, "a bomb"))
    call.thinking_is_refused()

    greeting, used = call.core.history.shown()
    assert greeting.text == LINES.greeting
    assert used.tool is not None
    assert (used.tool.name, used.tool.arguments, used.tool.is_running) == ("book", "{}", False)
    assert "bomb" not in used.text


def test_a_refusal_in_the_middle_of_an_answer_is_told_at_its_end() -> None:
    call = greeted_call().caller_says(PHRASE).agent_begins("Well, you take ").thinking_is_refused()
    assert call.lines[-1] == LINES.greeting

    call.agent_falls_silent()
    assert call.lines[-1] == LINES.refused
    assert call.shown == [("assistant", LINES.greeting)]
    assert call.caller_hangs_up().ended == ("caller_hangup", "none")


def test_a_refused_turn_of_which_nothing_comes_in_time_is_none_of_the_caller_s_later_words() -> None:
    call = greeted_call().caller_says(PHRASE).thinking_is_refused().caller_says("When do you open?")

    assert call.replies[-1].live
    assert ("user", PHRASE) not in call.shown


@pytest.mark.parametrize("code", ["length", "content_filter"])
def test_an_answer_that_is_cut_is_said_as_far_as_it_goes_and_closed(code: str) -> None:
    call = greeted_call().caller_says("When do you open?").thinking_is_cut(code)
    assert call.lines[-1] == LINES.greeting

    call.agent_says("We open at nine and")
    assert call.lines[-1] == LINES.cut_off
    assert call.remembers[-1] == ("assistant", "We open at nine and")
    assert call.facts("provider.failed")[-1]["code"] == code
    assert call.agent_says_the_line().caller_hangs_up().ended == ("caller_hangup", "provider:openai")


def test_answers_that_are_cut_do_not_end_the_call() -> None:
    call = greeted_call(stall_turns=0)
    for _ in range(4):
        call.caller_says("Go on").agent_begins("And then ").thinking_is_cut().agent_falls_silent()
        assert call.lines[-1] == LINES.cut_off
        call.agent_says_the_line()


def test_a_cut_answer_that_makes_no_sound_is_a_failure() -> None:
    call = greeted_call().caller_says("Go on").thinking_is_cut().agent_has_nothing_to_say()

    assert call.lines[-1] == LINES.apology


def test_a_journal_with_a_refusal_is_decided_the_same_again() -> None:
    call = greeted_call().caller_says(PHRASE).thinking_is_refused().agent_says_the_line()
    call.caller_says("When do you open?").agent_says("At nine.").caller_hangs_up()

    assert differences(call.rows) == []
    core = Call().core
    for row in call.rows:
        event = ev.from_row(row)
        if event is not None:
            core.handle(event, row.t)
    assert ("user", PHRASE) not in [(remark.role, remark.text) for remark in core.history.shown()]


def test_the_line_is_in_the_language_of_the_call() -> None:
    assert greeted_call(language="ru").caller_says("Как?").thinking_is_refused().lines[-1] == RUSSIAN.refused
    assert RUSSIAN.refused != ENGLISH.refused
