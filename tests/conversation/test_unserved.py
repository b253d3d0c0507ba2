"""The agent cannot serve the call: a human takes it, or the caller leaves a message."""

from typing import Any

import pytest

from app.conversation import events as ev
from app.conversation.commands import StartReply
from app.conversation.phases import CallPhase
from app.conversation.policy import RUSSIAN
from app.journal.replay import differences
from tests.conversation.script import LINES, Call, greeted_call

HUMAN: dict[str, Any] = {"fallback_human": "fallback", "takes_messages": True}
MESSAGE: dict[str, Any] = {"takes_messages": True}


def without_a_model(language: str = "en", **manners: Any) -> Call:
    """Two answers in a row have failed."""
    call = Call(language, **manners).is_greeted().caller_says("I want to pay").thinking_fails().agent_says_the_line()
    return call.caller_says("I said I want to pay").thinking_fails()


def asked_for_a_message(**manners: Any) -> Call:
    call = without_a_model(**{**MESSAGE, **manners})
    assert call.lines[-1] == LINES.message
    return call.agent_says_the_line()


def is_all(call: Call) -> Call:
    """A pause, and no answer to the question for more."""
    call.wait(1.5)
    assert call.lines[-1] == LINES.message_more
    return call.agent_says_the_line().wait(3)


def deaf_and_asked_for_a_message() -> Call:
    return greeted_call(**MESSAGE).hearing_fails(final=True).agent_says_the_line()


# --- a human ---------------------------------------------------------------------------------------------------------


def test_a_call_without_a_model_is_put_through_to_a_human_with_a_sentence() -> None:
    call = without_a_model(**HUMAN)
    assert call.lines[-1] == LINES.unserved
    assert call.transfer is None, "the caller is told first"

    assert call.agent_says_the_line().transfer == "fallback"
    assert call.human_takes_over().ended == ("transferred", "provider:openai")


def test_a_call_that_hears_nothing_is_put_through_to_a_human() -> None:
    call = greeted_call(**HUMAN, stt_outage_seconds=3.0, stt_give_up_seconds=10.0).hearing_fails().wait(3)
    assert call.agent_says_the_line().lines[-1] == LINES.deaf

    assert call.wait(9).lines[-1] == LINES.unserved
    assert call.agent_says_the_line().transfer == "fallback"


def test_a_call_whose_hearing_is_given_up_at_once_is_put_through_too() -> None:
    assert greeted_call(**HUMAN).hearing_fails(final=True).lines[-1] == LINES.unserved


def test_a_call_that_cannot_speak_is_put_through_without_the_sentence() -> None:
    call = greeted_call(**HUMAN).caller_says("I want to pay").speaking_fails().speaking_fails()
    assert call.lines[-1] == LINES.unserved

    assert call.speaking_fails().transfer == "fallback"


def test_hearing_that_was_given_up_while_it_rang_is_known_when_the_call_is_answered() -> None:
    call = Call(**HUMAN).hearing_fails(final=True).is_answered()

    assert call.lines == [LINES.unserved]


def test_when_the_human_does_not_answer_the_caller_leaves_a_message() -> None:
    call = without_a_model(**HUMAN).agent_says_the_line().transfer_fails()
    assert call.lines[-1] == LINES.message

    is_all(call.agent_says_the_line().caller_says("Please call Anna about the invoice"))
    assert call.agent_says_the_line().ended == ("message_taken", "provider:openai")


def test_a_human_who_lets_it_ring_too_long_is_not_waited_for() -> None:
    call = without_a_model(**HUMAN, transfer_seconds=65.0).agent_says_the_line().wait(65)

    assert (call.transfer, call.lines[-1]) == (None, LINES.message)


def test_who_takes_no_messages_says_goodbye_when_the_human_does_not_answer() -> None:
    call = without_a_model(fallback_human="fallback").agent_says_the_line().transfer_fails()

    assert call.lines[-1] == LINES.failure_goodbye
    assert call.agent_says_the_line().ended == ("provider_failure", "provider:openai")


def test_a_transfer_that_somebody_asked_for_and_that_fails_is_no_reason_for_a_message() -> None:
    call = greeted_call(**HUMAN).operator_hands_over().agent_says_the_line().transfer_fails()

    assert call.lines[-1] == LINES.transfer_failed


def test_the_caller_who_hangs_up_while_the_human_is_called_has_hung_up() -> None:
    call = without_a_model(**HUMAN).agent_says_the_line().human_is_called().caller_hangs_up()

    assert call.ended == ("caller_hangup", "provider:openai")


# --- a message -------------------------------------------------------------------------------------------------------


def test_a_message_is_asked_for_heard_and_thanked_for() -> None:
    call = asked_for_a_message().caller_says("Please call me back about my invoice").wait(1.0)
    assert call.lines[-1] == LINES.message, "the caller may go on"

    assert call.wait(0.2).lines[-1] == LINES.message_more
    assert call.agent_says_the_line().wait(3).lines[-1] == LINES.message_thanks
    assert call.agent_says_the_line().ended == ("message_taken", "provider:openai")
    assert call.record.message is not None
    assert call.record.message.text == "Please call me back about my invoice"
    assert call.record.message.heard == "live"
    assert differences(call.rows) == []


def test_the_silence_after_words_that_came_late_counts_from_the_caller_s_last_sound() -> None:
    call = asked_for_a_message()
    call.caller_makes_a_sound().wait(1.0).caller_falls_silent().wait(1.5)
    call.caller_ends("Please call me back about my invoice", last_voiced_t=call.now - 1.5)

    assert call.wait(0.1).lines[-1] == LINES.message
    assert call.wait(0.2).lines[-1] == LINES.message_more


def test_nothing_of_a_message_is_shown_to_a_model_that_is_not_there() -> None:
    call = asked_for_a_message()
    asked = len(call.replies)
    call.caller_seems_to_end("Please call me back").caller_says("Please call me back about my invoice").wait(4)

    assert len(call.replies) == asked
    assert not any(isinstance(command, StartReply) for command in call.asked)


def test_a_message_may_have_pauses() -> None:
    call = asked_for_a_message().caller_says("This is Anna Smith").wait(1).caller_says("I want to cancel Tuesday")
    call.wait(1).caller_presses("5550199").wait(2).wait(1.4)
    assert call.lines[-1] == LINES.message

    is_all(call).agent_says_the_line()
    assert call.record.message is not None
    assert call.record.message.text == "This is Anna Smith I want to cancel Tuesday [keypad] 5550199"


def test_a_caller_who_speaks_on_is_not_cut_off() -> None:
    call = asked_for_a_message().caller_says("This is Anna Smith").wait(1).caller_makes_a_sound().wait(1)
    call.caller_begins("and I want").wait(4)

    assert call.lines[-1] == LINES.message


def test_what_the_caller_adds_belongs_to_the_message() -> None:
    call = asked_for_a_message().caller_says("This is Anna Smith").wait(1.5).agent_says_the_line()
    call.caller_says("I want to cancel Tuesday").wait(1.5)

    assert call.lines[-1] == LINES.message_thanks
    assert call.agent_says_the_line().record.message is not None
    assert call.record.message is not None
    assert call.record.message.text == "This is Anna Smith I want to cancel Tuesday"


def test_the_hash_key_ends_a_message() -> None:
    call = asked_for_a_message().caller_says("Please call Anna about the invoice").caller_presses("#").wait(0)

    assert call.lines[-1] == LINES.message_thanks


def test_the_hash_key_ends_a_message_in_the_middle_of_a_sentence() -> None:
    call = asked_for_a_message().caller_makes_a_sound().caller_begins("Please call Anna about it")
    call.caller_presses("#").wait(0)

    assert call.lines[-1] == LINES.message_thanks
    assert call.turns[-1] == ("Please call Anna about it", "timeout")


def test_a_goodbye_ends_a_message() -> None:
    call = asked_for_a_message().caller_says("Please call Anna tomorrow, goodbye")

    assert call.lines[-1] == LINES.message_thanks


@pytest.mark.parametrize("text", ["Goodbye", "Thanks, bye"])
def test_who_only_says_goodbye_leaves_no_message(text: str) -> None:
    call = asked_for_a_message().caller_says(text)

    assert call.lines[-1] == LINES.failure_goodbye
    assert call.agent_says_the_line().ended == ("provider_failure", "provider:openai")


def test_a_caller_who_hangs_up_after_their_message_has_left_it() -> None:
    call = asked_for_a_message().caller_says("Please call Anna about the invoice").caller_hangs_up()

    assert call.ended == ("message_taken", "provider:openai")


def test_a_caller_who_hangs_up_without_a_word_has_left_none() -> None:
    assert asked_for_a_message().caller_hangs_up().ended == ("caller_hangup", "provider:openai")


def test_a_line_that_breaks_in_a_message_is_a_broken_line() -> None:
    call = asked_for_a_message().caller_says("Please call Anna about the invoice").line_breaks()

    assert call.ended == ("media_lost", "provider:openai")


def test_who_says_nothing_is_asked_once_more_and_then_let_go() -> None:
    call = asked_for_a_message(message_wait_seconds=7.0).wait(7)
    assert call.lines[-1] == LINES.message_again

    assert call.agent_says_the_line().wait(7).lines[-1] == LINES.failure_goodbye
    assert call.agent_says_the_line().ended == ("provider_failure", "provider:openai")


def test_a_message_of_one_word_is_asked_for_once_more_and_then_taken_as_it_is() -> None:
    call = asked_for_a_message().caller_says("What?").wait(1.5)
    assert call.lines[-1] == LINES.message_again

    call.agent_says_the_line().caller_says("Okay").wait(1.5)
    assert call.lines[-1] == LINES.message_thanks


def test_a_message_over_the_request_stops_the_request() -> None:
    call = without_a_model(**MESSAGE).agent_begins().caller_says("Then tell Anna that I called")

    assert is_all(call).lines[-1] == LINES.message_thanks


def test_words_that_are_hardly_understood_are_kept_all_the_same() -> None:
    call = asked_for_a_message().caller_says("Please call Anna about the invoice", confidence=0.1)

    assert is_all(call).lines[-1] == LINES.message_thanks


def test_a_message_that_does_not_end_is_ended() -> None:
    call = asked_for_a_message(message_seconds=20.0)
    for _ in range(9):
        call.caller_says("and then he told me about the invoice").wait(1.2)

    assert call.lines[-1] == LINES.message_thanks


def test_an_operator_may_still_speak_and_transfer_during_a_message() -> None:
    call = asked_for_a_message().operator_says("Our system is down.").agent_says_the_line()
    call.caller_says("Please call Anna about the invoice").operator_hands_over()
    assert call.lines[-1] == LINES.transfer

    call.agent_says_the_line().transfer_fails()
    assert call.lines[-1] == LINES.message


def test_a_message_is_taken_in_the_language_of_the_call() -> None:
    call = without_a_model("ru", **MESSAGE)
    assert call.lines[-1] == RUSSIAN.message

    call.agent_says_the_line().caller_says("Перезвоните Анне насчёт счёта").wait(1.5)
    assert call.lines[-1] == RUSSIAN.message_more
    assert call.agent_says_the_line().wait(3).lines[-1] == RUSSIAN.message_thanks


def test_a_request_that_cannot_be_said_ends_the_call() -> None:
    call = greeted_call(**MESSAGE).caller_says("I want to pay").speaking_fails().speaking_fails()
    assert call.lines[-1] == LINES.message

    assert call.speaking_fails().ended == ("provider_failure", "provider:cartesia")


def test_thanks_that_cannot_be_said_end_the_call_as_well() -> None:
    call = is_all(asked_for_a_message().caller_says("Please call Anna about the invoice")).speaking_fails()

    assert call.ended == ("message_taken", "provider:openai")


def test_a_call_that_reaches_its_limit_during_a_message_ends_with_it() -> None:
    call = asked_for_a_message(max_duration_seconds=30.0).caller_says("Please call Anna and Tom").wait(1)
    for _ in range(12):
        call.caller_says("and Jim").wait(1)

    assert call.lines[-1] == LINES.limit_goodbye
    assert call.record.message is not None
    assert call.record.message.text.startswith("Please call Anna and Tom")


# --- nothing hears the message ---------------------------------------------------------------------------------------


def test_a_message_that_nothing_hears_is_kept_as_sound_and_transcribed_when_it_is_over() -> None:
    call = deaf_and_asked_for_a_message().caller_makes_a_sound().wait(5).caller_falls_silent()
    assert call.transcribed == 0

    is_all(call)
    assert (call.transcribed, call.lines[-1]) == (1, LINES.message_thanks)

    call.tell(ev.MessageTranscribed("Please call Anna", 0.9, "en"))
    assert call.agent_says_the_line().ended == ("message_taken", "provider:deepgram")
    assert call.transcribed == 1
    assert call.record.message is not None
    assert (call.record.message.text, call.record.message.heard) == ("Please call Anna", "recording")


def test_a_message_that_was_heard_live_is_not_transcribed_again() -> None:
    call = is_all(asked_for_a_message().caller_says("Please call Anna about the invoice")).agent_says_the_line()

    assert call.transcribed == 0


def test_a_caller_who_hangs_up_in_the_middle_of_such_a_message_has_left_it() -> None:
    call = deaf_and_asked_for_a_message().caller_makes_a_sound().wait(5).caller_hangs_up()

    assert call.ended == ("message_taken", "provider:deepgram")
    assert call.transcribed == 1
    assert call.record.message is not None
    assert (call.record.message.text, call.record.message.heard) == ("", "none")


def test_a_cough_is_no_message() -> None:
    call = deaf_and_asked_for_a_message().caller_makes_a_sound().wait(0.3).caller_falls_silent().wait(1.5)
    assert call.lines[-1] == LINES.message_again

    assert call.agent_says_the_line().wait(7).lines[-1] == LINES.failure_goodbye


def test_a_noise_without_end_does_not_keep_such_a_message_open() -> None:
    call = deaf_and_asked_for_a_message().caller_makes_a_sound().wait(30)

    assert is_all(call).lines[-1] == LINES.message_thanks


def test_words_before_the_loss_and_sound_after_it_are_one_message() -> None:
    call = asked_for_a_message().caller_says("This is Anna Smith").hearing_fails(final=True)
    is_all(call.caller_makes_a_sound().wait(5).caller_falls_silent())

    assert (call.lines[-1], call.transcribed) == (LINES.message_thanks, 1)


def test_half_a_sentence_before_the_loss_belongs_to_the_message() -> None:
    call = asked_for_a_message().caller_makes_a_sound().wait(0.4).caller_begins("This is Anna").hearing_fails()

    assert call.wait(6).turns[-1] == ("This is Anna", "timeout")
    assert is_all(call).lines[-1] == LINES.message_thanks


def test_hearing_that_comes_back_hears_the_rest() -> None:
    call = deaf_and_asked_for_a_message().hearing_works_again().caller_says("Please call Anna")

    assert is_all(call).lines[-1] == LINES.message_thanks
    assert (call.lines[-1], call.transcribed) == (LINES.message_thanks, 0)


# --- it is known before ----------------------------------------------------------------------------------------------


def test_a_call_that_is_known_to_be_out_of_order_is_put_through_without_a_greeting() -> None:
    assert Call(**HUMAN, is_out_of_order=True).is_answered().lines == [LINES.unserved]


def test_or_its_caller_leaves_a_message() -> None:
    call = Call(**MESSAGE, is_out_of_order=True).is_answered()
    assert call.lines == [LINES.message]

    is_all(call.agent_says_the_line().caller_says("Please call Anna about the invoice"))
    assert call.agent_says_the_line().ended == ("message_taken", "none")
    assert differences(call.rows) == []


def test_who_only_listens_takes_no_message_and_calls_no_human() -> None:
    call = Call(**HUMAN, is_out_of_order=True, speaks=False).is_answered()

    assert (call.lines, call.core.phase) == ([], CallPhase.TALKING)
