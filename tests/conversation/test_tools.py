"""The model uses a tool of the agent's own: when it is run, what is said meanwhile, and what is remembered."""

import pytest

from app.conversation.commands import ReleaseReply, RunTool, Say
from app.conversation.history import ToolUse
from tests.conversation.script import LINES
from tests.conversation.tool_script import CallWithTools

LINE = "Let me look."


def greeted_call(**manners: float) -> CallWithTools:
    call = CallWithTools(**manners)
    call.is_greeted()
    return call


def asked_call(**manners: float) -> CallWithTools:
    return greeted_call(**manners).caller_says("When do you have time?")


def test_it_is_run_at_once_and_the_caller_is_told() -> None:
    call = asked_call().model_wants("find_times", line=LINE)

    assert call.asked == [RunTool(2, 2, "tool-1"), Say(2, 3, "filler", "en", LINE)]
    assert call.state == "processing"


def test_an_answer_that_has_said_something_needs_no_waiting_phrase() -> None:
    call = asked_call().agent_begins("I will check. ").model_wants("find_times", line=None)

    assert call.asked == [RunTool(2, 2, "tool-1")]
    assert call.state == "speaking"


def test_a_filler_that_is_being_said_is_line_enough() -> None:
    call = asked_call().wait(1.6).agent_begins().model_wants("find_times", line=LINE)

    assert call.asked == [RunTool(2, 2, "tool-1")]
    assert call.lines[-1] == LINES.fillers[0]


def test_nothing_is_said_over_a_caller_who_makes_a_sound() -> None:
    call = asked_call().caller_makes_a_sound().model_wants("find_times", line=LINE)

    assert call.asked == [RunTool(2, 2, "tool-1")]
    assert call.caller_falls_silent().wait(0.6).lines[-1] == LINE


def test_a_suspected_turn_has_nothing_run_before_it_is_certain() -> None:
    call = greeted_call().caller_makes_a_sound().caller_begins("Book it").caller_seems_to_end("Book it")
    assert call.model_wants("book", line=LINE).asked == []

    call.caller_ends("Book it")

    assert call.asked == [ReleaseReply(2), RunTool(2, 2, "tool-1"), Say(2, 3, "filler", "en", LINE)]


def test_a_suspicion_that_was_wrong_has_nothing_run() -> None:
    call = greeted_call().caller_makes_a_sound().caller_begins("Book it").caller_seems_to_end("Book it")
    call.model_wants("book", line=LINE)

    call.caller_resumes("Book it for").caller_ends("Book it for Sunday")

    assert not [command for command in call.asked if isinstance(command, RunTool)]


def test_an_answer_that_was_stopped_has_nothing_run() -> None:
    call = asked_call()
    stopped = call.replies[-1]
    call.caller_says("No, wait a second")

    assert call.model_wants("book", line=LINE, speech=stopped).asked == []
    assert [role for role, _ in call.remembers] == ["assistant", "user", "user"]


@pytest.mark.parametrize("timeout", [1.0, 8.0])
def test_the_answer_has_the_time_that_its_tool_may_take(timeout: float) -> None:
    call = asked_call(reply_seconds=12.0).wait(5).model_wants("find_times", line=LINE, timeout=timeout)
    call.agent_says_the_line()

    assert call.wait(11 + timeout - 1).record.fault == "none"
    assert call.wait(2).lines[-1] == LINES.apology


def test_a_voice_that_waits_for_a_tool_is_not_stalled() -> None:
    call = asked_call(stall_seconds=5.0).agent_begins("I will check. ").model_wants("find_times", timeout=8.0)

    assert call.wait(12.5).state == "speaking"
    assert call.wait(4).lines[-1] == LINES.cut_off


def test_the_result_is_remembered_after_the_question_and_before_what_was_said_of_it() -> None:
    call = asked_call().model_wants("find_times", line=LINE).agent_says_the_line()
    call.tool_gives("at ten").agent_says("At ten.")

    assert call.remembers[-3:] == [("user", "When do you have time?"), ("tool", "at ten"), ("assistant", "At ten.")]


def test_a_booking_that_goes_on_is_remembered_as_one_that_runs() -> None:
    call = asked_call().model_wants("book", line=LINE).agent_begins()
    call.caller_says("And how much is it?")

    (running,) = [remark for remark in call.core.history if remark.tool is not None]
    assert (running.turn, running.text, running.tool) == (2, "", ToolUse("tool-1", "book", "{}"))

    call.tool_gives("booked")
    assert ("tool", "booked") in call.remembers


def test_a_tool_that_fails_is_told_by_the_model_and_not_apologised_for_twice() -> None:
    call = asked_call().model_wants("find_times", line=LINE).agent_says_the_line()
    call.tool_fails().agent_says("I could not look it up.")

    assert LINES.apology not in call.lines
    assert call.record.end_reason is None
    assert call.caller_hangs_up().ended == ("caller_hangup", "provider:tools")
