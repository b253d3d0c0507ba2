"""Who may end a call, and how."""

from collections.abc import Callable

import pytest

from app.conversation import events as ev
from app.conversation.commands import EndCall
from tests.conversation.script import LINES, Call, greeted_call


def agent_says_goodbye() -> Call:
    """The agent asked for the end of the call, and is saying its last words."""
    return greeted_call().caller_says("That is all, thank you").model_asks_to_hang_up().agent_begins("Goodbye, then! ")


# --- the agent -------------------------------------------------------------------------------------------------------


def test_the_agent_hangs_up_after_its_last_word_was_heard() -> None:
    call = agent_says_goodbye()
    assert call.ended is None

    call.agent_falls_silent()

    assert call.asked[-1] == EndCall("agent_hangup", "none")
    assert call.remembers[-1] == ("assistant", "Goodbye, then! ")


def test_the_wish_to_hang_up_may_come_after_the_first_words() -> None:
    call = greeted_call().caller_says("That is all").agent_begins("Goodbye, then!").model_asks_to_hang_up()

    assert call.agent_falls_silent().ended == ("agent_hangup", "none")


def test_another_tool_ends_nothing() -> None:
    call = greeted_call().caller_says("What is the weather?")
    call.tell(ev.AgentToolCalled(2, 2, "call_1", "look_out_of_the_window", "{}"))

    assert call.agent_says("It rains.").ended is None


def test_an_agent_that_hangs_up_without_a_word_says_a_prepared_goodbye() -> None:
    call = greeted_call().caller_says("That is all").model_asks_to_hang_up().agent_has_nothing_to_say()

    assert call.last("goodbye").text == LINES.goodbye
    assert call.last("goodbye").turn == 2
    assert call.agent_says_the_line().ended == ("agent_hangup", "none")


def test_a_goodbye_whose_voice_fails_is_replaced_by_the_prepared_one() -> None:
    call = greeted_call().caller_says("That is all").model_asks_to_hang_up().speaking_fails()

    assert call.lines[-1] == LINES.goodbye
    assert call.agent_says_the_line().ended == ("agent_hangup", "provider:cartesia")


def test_a_goodbye_that_breaks_off_is_goodbye_enough() -> None:
    call = agent_says_goodbye().speaking_fails().agent_falls_silent()

    assert call.ended == ("agent_hangup", "provider:cartesia")


def test_a_caller_who_interrupts_the_goodbye_keeps_the_call() -> None:
    call = agent_says_goodbye().caller_says("Oh, one more question")
    assert call.ended is None

    call.agent_says("Yes?")

    assert call.ended is None
    assert call.state == "listening"


def test_the_next_reply_may_ask_for_the_end_again() -> None:
    call = agent_says_goodbye().caller_says("Oh, thank you very much").model_asks_to_hang_up()

    assert call.agent_says("You are welcome.").ended == ("agent_hangup", "none")


def test_a_small_word_over_the_goodbye_does_not_keep_the_call() -> None:
    call = agent_says_goodbye().caller_says("okay").agent_falls_silent()

    assert call.ended == ("agent_hangup", "none")


def test_a_prepared_goodbye_may_be_interrupted_too() -> None:
    call = greeted_call().caller_says("That is all").model_asks_to_hang_up().agent_has_nothing_to_say()

    call.agent_begins().caller_says("Oh, one more question")

    assert call.last("goodbye").fate == "stopped"
    assert call.state == "processing"


def test_an_answer_that_is_written_again_must_ask_for_the_end_again() -> None:
    call = greeted_call().caller_says("That is all").model_asks_to_hang_up().thinking_fails(final=False)

    assert call.agent_says("Anything else?").ended is None


def test_a_voice_that_is_tried_again_does_not_make_the_agent_forget_the_end() -> None:
    call = greeted_call().caller_says("That is all").model_asks_to_hang_up().speaking_fails(final=False)

    assert call.agent_says("Goodbye!").ended == ("agent_hangup", "provider:cartesia")


def test_what_was_prepared_on_suspicion_may_ask_for_the_end() -> None:
    call = greeted_call().caller_seems_to_end("That is all").model_asks_to_hang_up().caller_ends("That is all")

    assert call.agent_says("Goodbye!").ended == ("agent_hangup", "none")


def test_a_prepared_answer_that_became_void_takes_its_wish_with_it() -> None:
    call = greeted_call().caller_seems_to_end("That is all").model_asks_to_hang_up().caller_resumes()

    call.caller_ends("That is all I ordered, but what does it cost?")

    assert call.agent_says("Ten euros.").ended is None


# --- the caller ------------------------------------------------------------------------------------------------------

MOMENTS: dict[str, Callable[[], Call]] = {
    "ringing": lambda: Call(),
    "before the greeting": lambda: Call().is_answered(),
    "greeting": lambda: Call().is_answered().agent_begins(),
    "listening": greeted_call,
    "speaking himself": lambda: greeted_call().caller_begins("I want to"),
    "prepared answer": lambda: greeted_call().caller_seems_to_end("I want to pay"),
    "processing": lambda: greeted_call().caller_says("I want to pay"),
    "filler": lambda: greeted_call().caller_says("I want to pay").wait(1.5).agent_begins(),
    "speaking": lambda: greeted_call().caller_says("I want to pay").agent_begins("Gladly. "),
    "held back": lambda: greeted_call().caller_says("Pay").agent_begins("Gladly. ").caller_makes_a_sound(),
    "keys": lambda: greeted_call().caller_presses("12"),
    "goodbye": agent_says_goodbye,
    "forced goodbye": lambda: greeted_call().service_stops().agent_begins(),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_caller_may_be_gone_at_any_moment(moment: str) -> None:
    call = MOMENTS[moment]().caller_hangs_up()

    assert call.ended is not None
    assert call.ended[0] == "caller_hangup"
    assert call.live == []
    assert isinstance(call.asked[-1], EndCall)
    assert call.rows[-1].type == "call.ended"


def test_what_was_heard_until_then_is_in_the_record() -> None:
    call = (
        greeted_call().caller_says("I want to pay").agent_begins("Gladly. ").caller_has_heard("Glad").caller_hangs_up()
    )

    assert [turn.text for turn in call.record.turns][-1] == "Glad"
    assert call.record.turns[-1].interrupted


def test_a_call_that_somebody_else_has_ended_is_over() -> None:
    call = greeted_call().caller_says("I want to pay")

    assert call.tell(ev.CallEnded("crashed", "ours")) == []
    assert call.state == "ended"
    assert call.core.next_deadline() is None


def test_a_lost_line_is_the_carriers_fault() -> None:
    assert greeted_call().line_breaks().ended == ("media_lost", "carrier")


# --- the operator, and the service -----------------------------------------------------------------------------------


def test_an_operator_hangs_up_at_once() -> None:
    call = greeted_call().caller_says("I want to pay").agent_begins("Gladly. ").operator_hangs_up()

    assert call.ended == ("operator_hangup", "none")
    assert call.replies[0].fate == "stopped"


def test_an_operator_may_hang_up_during_a_goodbye() -> None:
    assert greeted_call().service_stops().agent_begins().operator_hangs_up().ended == ("operator_hangup", "ours")


def test_a_service_that_stops_says_goodbye_first() -> None:
    call = greeted_call().caller_says("I want to pay").agent_begins("Gladly. ").service_stops()

    assert call.replies[0].fate == "stopped"
    assert call.lines[-1] == LINES.shutdown_goodbye
    assert call.ended is None
    assert call.agent_says_the_line().ended == ("shutdown", "ours")


def test_a_service_stops_once() -> None:
    call = greeted_call().service_stops().service_stops()

    assert call.lines == [LINES.greeting, LINES.shutdown_goodbye]


def test_a_service_that_has_no_time_says_no_goodbye_or_breaks_it_off() -> None:
    assert greeted_call().service_stops(at_once=True).ended == ("shutdown", "ours")

    call = greeted_call().service_stops().agent_begins().service_stops(at_once=True)

    assert call.last("goodbye").fate == "stopped"
    assert call.ended == ("shutdown", "ours")


def test_nothing_the_caller_does_averts_that_end() -> None:
    call = greeted_call().service_stops().agent_begins()

    call.caller_says("wait, I want to pay").caller_presses("1#").operator_says("One more thing.")

    assert call.last("goodbye").fate == "speaking"
    assert call.turns == []
    assert call.agent_falls_silent().ended == ("shutdown", "ours")


def test_a_forced_goodbye_that_does_not_end_is_cut() -> None:
    call = greeted_call(goodbye_seconds=15.0).service_stops().agent_begins().wait(15)

    assert call.ended == ("shutdown", "ours")


def test_a_forced_goodbye_that_does_not_begin_is_not_waited_for() -> None:
    assert greeted_call(line_start_seconds=3.0).service_stops().wait(3).ended == ("shutdown", "ours")
