"""What the caller hears while the agent waits for its model or for a tool: which lines, when, and each at most once."""

import pytest

from app.conversation.commands import RunTool, SayMeanwhile
from app.conversation.policy import CallPolicy
from tests.conversation.script import LINES
from tests.conversation.tool_script import CallWithTools

LINE = "Let me look."
_STEP = 0.05


def asked_call(**manners: float) -> CallWithTools:
    call = CallWithTools(**manners)
    call.is_greeted()
    return call.caller_says("When do you have time?")


def at(seconds: float) -> object:
    """Equal to what is seen at the next step."""
    return pytest.approx(seconds, abs=_STEP * 1.01)


def said(call: CallWithTools) -> list[str]:
    """The lines after the greeting."""
    return call.lines[1:]


def hears(call: CallWithTools, seconds: float) -> list[tuple[object, str]]:
    """What is said within these seconds, and when, in seconds from now; each line takes a second."""
    began, heard = call.now, list[tuple[object, str]]()
    while call.now < began + seconds - _STEP / 2:
        call.wait(_STEP)
        if call.waiting and call.waiting[-1].kind == "filler":
            heard.append((at(call.now - began), call.waiting[-1].text))
            call.agent_says_the_line()
    return heard


def test_a_tool_that_is_done_at_once_is_not_spoken_of() -> None:
    call = asked_call().model_wants("find_times", line=LINE, patience=0.4)
    assert call.asked == [RunTool(2, 2, "tool-1")]

    call.wait(0.39).tool_gives("at ten")
    call.wait(0.1).agent_says("At ten.")

    assert said(call) == []


def test_a_tool_that_takes_longer_is_spoken_of_in_its_own_words() -> None:
    call = asked_call().model_wants("find_times", line=LINE, patience=0.4).wait(0.41)

    assert said(call) == [LINE]
    assert call.state == "processing"


@pytest.mark.parametrize("patience", [0.0, 1.0, 3.0])
def test_the_tool_says_how_long_nothing_is_said(patience: float) -> None:
    call = asked_call().model_wants("find_times", line=LINE, patience=patience)

    if patience:
        assert said(call.wait(patience - 0.01)) == []
    assert said(call.wait(0.02)) == [LINE]


def test_a_long_wait_has_a_line_after_six_seconds_and_then_one_every_ten() -> None:
    call = asked_call(reply_seconds=100.0).model_wants("find_times", line=LINE, timeout=60.0, patience=0.4)

    assert hears(call, 60.0) == [
        (0.4, LINE),
        *((due, LINES.long_wait[index]) for index, due in enumerate((6.0, 16.0, 26.0, 36.0, 46.0, 56.0))),
    ]


def test_a_line_for_a_caller_who_asks_whether_anybody_is_there_makes_no_longer_silence_after_it() -> None:
    call = asked_call(reply_seconds=100.0).model_wants("find_times", line=LINE, timeout=60.0, patience=0.4)
    hears(call, 7.0)

    call.caller_says("Hello, are you still there?")

    assert [line for _, line in hears(call, 11.5)] == [LINES.long_wait[1], LINES.long_wait[2]]


def test_a_slow_tool_without_words_of_its_own_repeats_nothing() -> None:
    call = asked_call(reply_seconds=100.0).model_wants("find_times", line=LINES.fillers[0], timeout=60.0, patience=0.4)

    lines = [line for _, line in hears(call, 60.0)]
    assert lines[0] == LINES.fillers[0]
    assert len(lines) == len(set(lines)) == 7


def test_no_line_comes_twice_in_a_turn_whatever_is_slow() -> None:
    """First the model is slow, then a tool, then the model again, then the same tool."""
    call = asked_call(reply_seconds=100.0)
    heard = hears(call, 9.0)
    for _ in range(3):
        call.model_wants("find_times", line=LINE, timeout=60.0, patience=0.4)
        heard += hears(call, 20.0)
        call.tool_gives("at ten")
        heard += hears(call, 9.0)

    lines = [line for _, line in heard]
    assert len(lines) == len(set(lines))
    assert set(lines) <= {LINE, *LINES.fillers, *LINES.long_wait}


def test_the_next_turn_may_use_all_lines_again() -> None:
    call = asked_call().model_wants("find_times", line=LINE, patience=0.4).wait(0.5).agent_says_the_line()
    call.tool_gives("at ten").agent_says("At ten.")
    call.caller_says("And on Friday?").model_wants("find_times", line=LINE, patience=0.4).wait(0.5)

    assert said(call) == [LINE, LINE]


def test_a_filler_that_sounds_when_the_tool_is_called_is_line_enough() -> None:
    call = asked_call(reply_seconds=100.0).wait(1.5).agent_begins().model_wants("find_times", line=LINE, patience=0.4)
    call.wait(1.0).agent_falls_silent()

    assert said(call) == [LINES.fillers[0]]
    assert hears(call, 6.0) == [(5.0, LINES.long_wait[0])]


def test_a_tool_is_given_its_time_even_when_the_answer_is_late_by_then() -> None:
    call = asked_call(reply_seconds=100.0).wait(0.9).model_wants("find_times", line=LINE, patience=0.4)

    assert hears(call, 2.0) == [(0.4, LINE)]


def test_after_its_tool_a_late_answer_has_a_moment_before_a_filler_is_said() -> None:
    call = asked_call().wait(1.0).model_wants("find_times", line=LINE, patience=2.0).wait(1.0).tool_gives("at ten")

    assert hears(call, 0.39) == []
    assert hears(call, 0.2) == [(0.1, LINES.fillers[0])]


def test_nothing_is_said_over_the_caller() -> None:
    call = asked_call().model_wants("find_times", line=LINE, patience=0.4).caller_makes_a_sound().wait(3.0)
    assert said(call) == []

    assert said(call.caller_falls_silent().wait(0.6)) == [LINE]


def test_within_an_answer_that_has_begun_the_wait_is_bridged_by_the_answer_itself() -> None:
    call = asked_call(reply_seconds=100.0).agent_begins("I will check. ")
    call.model_wants("find_times", line=None, timeout=60.0)
    assert call.asked == [RunTool(2, 2, "tool-1")]

    meanwhile: list[tuple[object, str]] = []
    began = call.now
    while call.now < began + 27.0:
        call.wait(_STEP)
        meanwhile += [(at(call.now - began), each.text) for each in call.asked if isinstance(each, SayMeanwhile)]

    assert meanwhile == [(6.0, LINES.long_wait[0]), (16.0, LINES.long_wait[1]), (26.0, LINES.long_wait[2])]
    assert said(call) == []
    assert call.state == "speaking", "a voice that waits for a tool has not stalled"


def test_a_caller_who_talks_meanwhile_is_answered() -> None:
    call = asked_call().model_wants("find_times", line=LINE, timeout=60.0, patience=0.4).wait(3.0)
    call.caller_says("By the way, is there a car park?")

    assert call.replies[-1].text == "By the way, is there a car park?"
    assert hears(call, 1.0) == [], "the line of the tool belonged to the turn before"
    call.agent_says("Yes, behind the house.")
    assert call.tool_gives("given up", ok=False, given_up=True).remembers[-2:] == [
        ("user", "By the way, is there a car park?"),
        ("assistant", "Yes, behind the house."),
    ]
    assert ("tool", "given up") in call.remembers


@pytest.mark.parametrize("language", CallPolicy().lines)
def test_the_prepared_lines_last_for_the_longest_tool_and_are_all_different(language: str) -> None:
    lines = CallPolicy().lines[language]
    spoken = [*lines.fillers, *lines.long_wait]

    assert len(lines.long_wait) >= 6
    assert len(set(spoken)) == len(spoken)
