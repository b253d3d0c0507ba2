"""A tool that finishes after the caller has talked about something else: the agent tells what came of it by itself."""

import pytest

from tests.conversation.script import LINES
from tests.conversation.tool_script import CallWithTools

LINE = "Let me book it."


def side_talk() -> CallWithTools:
    """A booking runs, and the caller has asked something else meanwhile."""
    call = CallWithTools(idle_prompt_seconds=8.0)
    call.is_greeted()
    call.caller_says("Book a table for seven").model_wants("book", line=LINE, timeout=30.0)
    call.agent_says_the_line().wait(1)
    call.caller_says("And is there a car park?")
    return call


@pytest.mark.parametrize("ok", [True, False])
def test_what_came_of_it_is_told_without_a_question(ok: bool) -> None:
    call = side_talk()
    call.agent_says("There is one behind the house.").wait(2)
    asked = len(call.replies)

    call.tool_gives("booked", ok=ok)

    assert len(call.replies) == asked + 1
    assert call.state == "processing"
    assert ("tool", "booked") in call.shown
    assert call.shown[-1][0] == "system"
    call.agent_says("Your table is booked.").wait(7)
    assert call.state == "listening"
    assert len(call.replies) == asked + 1, "it is told once"
    assert call.wait(2).lines[-1] == LINES.idle[0]


def test_it_is_told_after_the_answer_that_is_being_given() -> None:
    call = side_talk()
    call.agent_begins("There is one behind the house. ")
    asked = len(call.replies)
    call.tool_gives("booked")
    assert len(call.replies) == asked

    call.agent_falls_silent()

    assert len(call.replies) == asked + 1


def test_an_answer_that_was_requested_afterwards_knows_it() -> None:
    call = side_talk()
    call.caller_makes_a_sound().caller_begins("and how much")
    call.tool_gives("booked")
    call.caller_falls_silent().caller_ends("And how much is it?").agent_says("It is booked, and it is free.").wait(3)

    assert call.replies[-1].text == "And how much is it?"
    assert call.state == "listening"


def test_a_tool_whose_own_answer_tells_it_is_no_news() -> None:
    call = CallWithTools()
    call.is_greeted()
    call.caller_says("Book a table").model_wants("book", line=LINE).agent_says_the_line()
    call.tool_gives("booked").agent_says("It is booked.").wait(3)

    assert len(call.replies) == 1


def test_a_tool_that_was_given_up_is_no_news() -> None:
    call = side_talk()
    call.agent_says("There is one.")
    asked = len(call.replies)

    call.tool_gives("given up", ok=False, given_up=True).wait(3)

    assert len(call.replies) == asked


def test_it_waits_for_a_sound_and_is_told_in_place_of_the_idle_prompt() -> None:
    call = side_talk()
    call.agent_says("There is one.").caller_makes_a_sound()
    asked = len(call.replies)
    call.tool_gives("booked").wait(1).caller_falls_silent().wait(8)

    assert len(call.replies) == asked + 1
    assert LINES.idle[0] not in call.lines


def test_an_operators_line_comes_first() -> None:
    call = side_talk()
    call.agent_begins("There is one. ").operator_says("We close at ten.")
    call.tool_gives("booked").agent_falls_silent()
    assert call.waiting[0].kind == "say"

    call.agent_says_the_line()

    assert call.waiting[0].kind == "reply"


def test_an_outcome_that_cannot_be_told_is_no_failed_answer() -> None:
    call = side_talk()
    call.agent_says("There is one.").wait(1)
    call.tool_gives("booked").thinking_fails()

    assert LINES.apology not in call.lines
    assert call.state == "listening"
    assert call.caller_says("Is it booked?").replies[-1].text == "Is it booked?"


def test_a_caller_who_speaks_meanwhile_is_answered() -> None:
    call = side_talk()
    call.agent_says("There is one.").wait(1)
    call.tool_gives("booked").caller_says("What about Sunday?")

    assert [reply.text for reply in call.live] == ["What about Sunday?"]
    assert ("tool", "booked") in call.shown
