"""The caller is handed over to a human, or is told that he cannot be."""

from collections.abc import Callable
from typing import Any

import pytest

from app.conversation import events as ev
from app.conversation.commands import CancelTransfer, EndCall, Say, Transfer
from app.conversation.policy import RUSSIAN
from tests.conversation.script import LINES, Call, greeted_call


def agent_announces() -> Call:
    """The agent asked for the transfer, and is saying so."""
    call = greeted_call().caller_says("I want to talk to a human").model_hands_over("sales")
    return call.agent_begins("I will put you through. ")


def on_the_way(**manners: Any) -> Call:
    """The human's telephone rings."""
    call = greeted_call(**manners).caller_says("I want to talk to a human").model_hands_over("sales")
    return call.agent_says("I will put you through.")


# --- the agent -------------------------------------------------------------------------------------------------------


def test_the_transfer_begins_after_the_last_word_was_heard() -> None:
    call = agent_announces()
    assert call.transfer is None

    call.agent_falls_silent()

    assert call.asked == [Transfer("sales")]
    assert call.facts("transfer.started") == [{"to": "sales"}]
    assert call.state == "processing"
    assert call.remembers[-1] == ("assistant", "I will put you through. ")


def test_the_call_ends_when_the_caller_is_with_the_human() -> None:
    call = on_the_way().human_takes_over()

    assert call.asked == [EndCall("transferred", "none")]
    assert call.record.end_reason == "transferred"


def test_an_agent_that_hands_over_without_a_word_says_a_prepared_line_first() -> None:
    call = greeted_call().caller_says("A human, please").model_hands_over().agent_has_nothing_to_say()
    assert (call.last("transfer").text, call.last("transfer").turn) == (LINES.transfer, 2)
    assert call.transfer is None

    assert call.agent_says_the_line().transfer == "sales"


def test_words_that_cannot_be_voiced_are_replaced_by_the_prepared_line() -> None:
    call = greeted_call().caller_says("A human, please").model_hands_over().speaking_fails()

    assert call.lines[-1] == LINES.transfer
    assert call.agent_says_the_line().transfer == "sales"


def test_words_that_break_off_are_announcement_enough() -> None:
    assert agent_announces().speaking_fails().agent_falls_silent().transfer == "sales"


def test_a_line_that_cannot_be_voiced_does_not_keep_the_caller_from_the_human() -> None:
    call = greeted_call().caller_says("A human, please").model_hands_over().agent_has_nothing_to_say()

    assert call.speaking_fails().transfer == "sales"


def test_a_line_that_does_not_begin_does_not_either() -> None:
    call = greeted_call(line_start_seconds=3.0).operator_hands_over().wait(3)

    assert call.transfer == "sales"


def test_an_answer_that_is_written_again_must_ask_for_the_transfer_again() -> None:
    call = greeted_call().caller_says("A human, please").model_hands_over().thinking_fails(final=False)

    assert call.agent_says("What is it about?").transfer is None


def test_whoever_hands_over_does_not_hang_up_besides() -> None:
    call = greeted_call().caller_says("A human, please").model_asks_to_hang_up().model_hands_over()

    call.agent_says("I will put you through.")

    assert (call.ended, call.transfer) == (None, "sales")


@pytest.mark.parametrize("arguments", ["", "{", "[]", "{}", '{"target": 5}'])
def test_a_wish_that_names_nobody_is_asked_for_and_refused_as_any_other(arguments: str) -> None:
    call = greeted_call().caller_says("A human, please").model_calls("transfer", arguments).agent_says("Sure.")

    assert call.asked[-1] == Transfer("")


# --- the caller, while it is under way -------------------------------------------------------------------------------


def test_words_before_the_announcement_void_it_as_they_void_any_answer() -> None:
    call = greeted_call().caller_says("A human, please").model_hands_over().caller_says("No, wait, one question")

    assert call.agent_says("Yes?").transfer is None


@pytest.mark.parametrize("text", ["thank you very much", "stop", "no, wait, I have a question"])
def test_words_over_the_announcement_do_not_avert_it(text: str) -> None:
    call = agent_announces().caller_says(text)
    assert call.audible is not None
    assert call.audible.fate == "speaking"

    assert call.agent_falls_silent().transfer == "sales"
    assert [text for text, _ in call.turns] == ["I want to talk to a human"]


def test_a_wish_that_comes_after_the_voice_was_held_back_lets_it_go_on() -> None:
    call = greeted_call().caller_says("A human, please").agent_begins("I will put you through. ")
    call.caller_makes_a_sound().model_hands_over().caller_begins("thank you so much")

    assert call.wait(3).agent_falls_silent().transfer == "sales"


def test_the_prepared_line_is_not_averted_either() -> None:
    call = greeted_call().operator_hands_over().caller_says("what was that?")

    assert call.agent_says_the_line().transfer == "sales"
    assert call.turns == []


def test_nothing_the_caller_does_calls_the_human_off() -> None:
    call = on_the_way().caller_says("hello? is there anybody?").caller_presses("1#").wait(10)

    assert call.transfer == "sales"
    assert call.live == []
    assert call.ended is None


def test_keys_that_were_pressed_before_do_not_either() -> None:
    call = greeted_call(digits_seconds=4.0).caller_presses("4").caller_says("A human, please").model_hands_over()

    call.agent_says("I will put you through.").wait(5)

    assert call.transfer == "sales"
    assert call.transfer_fails().agent_says_the_line().caller_presses("7#").wait(0).turns[-1][0] == "[keypad] 7"


@pytest.mark.parametrize("outcome", [lambda call: call.wait(2), Call.transfer_fails], ids=["none", "failure"])
def test_a_caller_who_hangs_up_meanwhile_has_hung_up(outcome: Callable[[Call], Call]) -> None:
    call = on_the_way().caller_hangs_up()
    assert call.ended is None, "it may be the telephone network that has taken him along"

    assert outcome(call).ended == ("caller_hangup", "none")


def test_a_caller_who_is_reported_gone_again_and_again_is_waited_for_once() -> None:
    call = on_the_way().caller_hangs_up().wait(1.5).caller_hangs_up().wait(0.4).caller_hangs_up()

    assert call.ended is None
    assert call.wait(0.1).ended == ("caller_hangup", "none")


def test_a_caller_whom_the_network_took_along_leaves_before_that_is_reported() -> None:
    assert on_the_way().caller_hangs_up().wait(1).human_takes_over().ended == ("transferred", "none")


def test_once_a_human_is_called_into_the_room_a_caller_who_leaves_has_hung_up() -> None:
    call = on_the_way().human_is_called().wait(1).caller_hangs_up()

    assert call.ended == ("caller_hangup", "none")
    assert call.facts("transfer.dialled") == [{}]


def test_a_caller_who_left_just_before_is_not_waited_for_either() -> None:
    assert on_the_way().caller_hangs_up().human_is_called().ended == ("caller_hangup", "none")


def test_the_next_transfer_may_take_the_caller_along_again() -> None:
    call = on_the_way().human_is_called().transfer_fails().agent_says_the_line()
    call.caller_says("Then try the sales team").model_hands_over("sales").agent_says("I will put you through.")

    assert call.caller_hangs_up().ended is None
    assert call.wait(1).human_takes_over().ended == ("transferred", "none")


def test_a_human_who_was_called_off_changes_nothing() -> None:
    call = on_the_way().transfer_fails().human_is_called().agent_says_the_line()

    assert call.caller_says("Are you still there?").agent_says("I am.").ended is None


# --- a transfer that fails -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "fault"), [("no_answer", "none"), ("busy", "none"), ("unavailable", "carrier")])
def test_the_caller_is_told_and_the_conversation_goes_on(reason: str, fault: str) -> None:
    call = on_the_way().transfer_fails(reason)
    assert call.lines[-1] == LINES.transfer_failed

    call.agent_says_the_line()
    assert call.state == "listening"
    assert call.remembers[-1] == ("assistant", LINES.transfer_failed)

    call.caller_says("Then take a message").model_asks_to_hang_up().agent_says("I will. Goodbye!")
    assert call.ended == ("agent_hangup", fault)


def test_after_that_silence_has_its_owner_again() -> None:
    call = on_the_way(idle_prompt_seconds=8.0).transfer_fails().agent_says_the_line().wait(8)

    assert call.lines[-1] == LINES.idle[0]


def test_a_failure_is_told_in_the_language_of_the_call() -> None:
    call = Call("ru").is_greeted().caller_says("Соедините с человеком").model_hands_over().agent_says("Соединяю.")

    assert call.transfer_fails().lines[-1] == RUSSIAN.transfer_failed


def test_a_transfer_without_an_outcome_is_called_off() -> None:
    call = on_the_way(transfer_seconds=45.0).wait(44.9)
    assert call.transfer == "sales"

    call.wait(0.1)

    assert call.transfer is None
    assert call.lines[-1] == LINES.transfer_failed


def test_a_failure_that_was_called_off_before_is_told_once() -> None:
    call = on_the_way(transfer_seconds=45.0).wait(45).transfer_fails()

    assert call.lines.count(LINES.transfer_failed) == 1


def test_a_human_who_answers_too_late_has_the_caller_all_the_same() -> None:
    assert on_the_way(transfer_seconds=45.0).wait(45).human_takes_over("dialled").ended == ("transferred", "none")


def test_a_call_nobody_can_hear_any_more_goes_to_the_human_first() -> None:
    call = on_the_way().hearing_fails().wait(5).hearing_fails(final=True)
    assert call.transfer == "sales"
    assert call.live == []

    call.transfer_fails()

    assert call.lines[-1] == LINES.failure_goodbye
    assert call.agent_says_the_line().ended == ("provider_failure", "provider:deepgram")


# --- the operator, and the service -----------------------------------------------------------------------------------


def test_an_operator_hands_a_silent_call_over_after_a_line() -> None:
    call = greeted_call().operator_hands_over("support")
    assert isinstance(call.asked[-1], Say)
    assert call.lines[-1] == LINES.transfer

    assert call.agent_says_the_line().transfer == "support"


def test_an_operator_waits_until_the_answer_was_heard_to_its_last_word() -> None:
    call = greeted_call().caller_says("When are you open?").operator_hands_over()
    call.agent_begins("From nine. ")
    assert call.lines == [LINES.greeting]

    call.agent_falls_silent()

    assert call.remembers[-1] == ("assistant", "From nine. ")
    assert call.lines[-1] == LINES.transfer
    assert call.agent_says_the_line().transfer == "sales"


def test_an_operator_waits_for_a_caller_who_is_speaking_and_for_his_answer() -> None:
    call = greeted_call().caller_begins("When are").operator_hands_over().caller_ends("When are you open?")
    assert call.lines == [LINES.greeting]

    call.agent_says("From nine.").agent_says_the_line()

    assert call.transfer == "sales"


def test_an_operator_waits_for_keys() -> None:
    call = greeted_call(digits_seconds=2.0).caller_presses("4").operator_hands_over().wait(2)
    assert call.turns == [("[keypad] 4", "keypad")]

    assert call.agent_says("Thank you.").agent_says_the_line().transfer == "sales"


def test_an_operator_may_ask_while_it_rings() -> None:
    call = Call().operator_hands_over().is_greeted()

    assert call.agent_says_the_line().transfer == "sales"


def test_what_the_operator_wanted_to_be_said_is_said_first() -> None:
    call = greeted_call().operator_says("Our office moved.").operator_hands_over().agent_says_the_line()

    assert call.lines[-1] == LINES.transfer


def test_what_the_operator_wants_to_be_said_meanwhile_waits_for_the_outcome() -> None:
    call = on_the_way().operator_says("Our office moved.")
    assert call.live == []

    assert call.transfer_fails().agent_says_the_line().lines[-1] == "Our office moved."


def test_there_is_one_transfer_at_a_time() -> None:
    call = on_the_way().operator_hands_over("support").transfer_fails().agent_says_the_line()

    assert call.live == []
    assert call.facts("transfer.started") == [{"to": "sales"}]


def test_a_service_that_stops_calls_the_human_off() -> None:
    call = on_the_way().service_stops()

    assert CancelTransfer() in call.asked
    assert call.lines[-1] == LINES.shutdown_goodbye
    assert call.transfer_fails().agent_says_the_line().ended == ("shutdown", "ours")


def test_an_operator_may_hang_up_meanwhile() -> None:
    assert on_the_way().operator_hangs_up().ended == ("operator_hangup", "none")


def test_an_outcome_that_belongs_to_no_transfer_changes_nothing() -> None:
    call = greeted_call().transfer_fails()

    assert call.asked == []
    assert call.state == "listening"


def test_a_transfer_that_is_over_leaves_no_trace_in_the_next_one() -> None:
    call = on_the_way().transfer_fails().agent_says_the_line().operator_hands_over().agent_says_the_line()

    assert call.transfer == "sales"
    assert call.tell(ev.TransferCompleted("dialled")) == [EndCall("transferred", "none")]
