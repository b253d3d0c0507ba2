"""Speech to text fails: the caller is told in time, keys stand in for words, and what was said is not lost."""

import pytest

from app.conversation import events as ev
from tests.conversation.script import LINES, Call, greeted_call


def call_that_owes_an_answer(**manners: object) -> Call:
    return greeted_call(**manners).caller_says("I want to pay")


def test_a_short_loss_of_speech_recognition_goes_unnoticed() -> None:
    call = greeted_call(stt_outage_seconds=3.0).hearing_fails().wait(2.9).hearing_works_again().wait(4)

    assert call.lines == [LINES.greeting]


def test_the_agent_says_that_it_cannot_hear_the_caller() -> None:
    call = greeted_call(stt_outage_seconds=3.0).hearing_fails().wait(3)

    assert call.lines[-1] == LINES.deaf
    assert call.agent_says_the_line().hearing_works_again().wait(2).ended is None
    assert call.caller_says("Hello?").state == "processing"


def speaks_unheard(call: Call, seconds: float) -> Call:
    return call.caller_makes_a_sound().wait(seconds).caller_falls_silent()


def test_who_has_spoken_since_the_loss_waits_less_than_two_seconds() -> None:
    call = speaks_unheard(greeted_call().hearing_fails(), 0.8)

    assert call.wait(1.6).lines[-1] == LINES.greeting
    assert call.wait(0.1).lines[-1] == LINES.deaf


def test_who_spoke_as_it_was_lost_waits_less_than_two_seconds() -> None:
    call = greeted_call().caller_makes_a_sound().wait(0.4).caller_begins("I want to move my").hearing_fails().wait(0.3)

    assert call.caller_falls_silent().wait(1.8).lines[-1] == LINES.deaf


def test_who_was_silent_already_is_told_when_nothing_else_can_have_heard_them() -> None:
    call = greeted_call().caller_makes_a_sound().wait(0.4).caller_begins("I want to").caller_falls_silent().wait(1.55)

    assert call.hearing_fails().wait(0.15).lines[-1] == LINES.greeting
    assert call.wait(0.1).lines[-1] == LINES.deaf


def test_a_cough_during_an_outage_is_nothing_to_wait_for() -> None:
    call = speaks_unheard(greeted_call().hearing_fails(), 0.2)

    assert call.wait(2.5).lines[-1] == LINES.greeting
    assert call.wait(0.4).lines[-1] == LINES.deaf


def test_words_that_come_late_are_not_said_to_be_unheard() -> None:
    call = speaks_unheard(greeted_call().hearing_fails(), 0.8).wait(1.0).hearing_works_again().caller_ends("Hello?")

    assert call.agent_says("Hello!").wait(3).lines == [LINES.greeting]


def test_ears_that_stay_lost_end_the_call_politely() -> None:
    call = greeted_call(stt_outage_seconds=3.0, stt_give_up_seconds=10.0).hearing_fails().wait(3).agent_says_the_line()

    call.wait(9)

    assert call.lines[-1] == LINES.failure_goodbye
    assert call.agent_says_the_line().ended == ("provider_failure", "provider:deepgram")


def test_half_a_sentence_is_not_a_turn_while_speech_recognition_is_known_to_be_gone() -> None:
    call = greeted_call().caller_makes_a_sound().wait(0.4).caller_begins("I want to move my").hearing_fails().wait(3)

    assert call.agent_begins().lines[-1] == LINES.deaf
    assert call.wait(4).turns == []
    assert call.agent_falls_silent().wait(7).turns == []
    assert call.agent_says_the_line().ended == ("provider_failure", "provider:deepgram")


@pytest.mark.parametrize("words", ["I want to move my", "I want to move my visit", "yes"])
def test_the_silence_after_half_a_sentence_is_no_end_while_speech_recognition_is_known_to_be_gone(words: str) -> None:
    call = greeted_call().caller_says("Book me in").agent_says("Does Tuesday suit you?")
    call.caller_makes_a_sound().wait(0.4).caller_begins(words).hearing_fails().wait(0.5).caller_falls_silent().wait(3)

    assert call.agent_begins().lines[-1] == LINES.deaf
    assert call.wait(3).turns[1:] == []
    assert call.last("apology").fate == "speaking"


def test_half_a_number_before_an_outage_and_the_rest_after_it_are_one_turn() -> None:
    call = greeted_call().caller_says("Book me in").agent_says("What is your phone number?")
    call.caller_says("415 555").hearing_fails().wait(4).agent_says_the_line().hearing_works_again()

    call.wait(1).caller_says("2671").wait(3)

    assert call.turns[1:] == [("415 555 2671", "speech")]


def test_who_says_nothing_more_after_an_outage_is_answered() -> None:
    call = greeted_call().caller_says("Book me in").agent_says("What is your phone number?")
    call.caller_says("415 555").hearing_fails().wait(4).agent_says_the_line().hearing_works_again()

    assert call.wait(call.policy.unfinished_pause_seconds).turns[1:] == [("415 555", "speech")]


def test_half_a_sentence_that_the_ears_finish_when_they_are_back_is_one_turn() -> None:
    call = greeted_call().caller_makes_a_sound().wait(0.4).caller_begins("I want to move my").hearing_fails().wait(7)

    call.hearing_works_again().caller_begins("I want to move my appointment").wait(6)

    assert call.turns == [("I want to move my appointment", "timeout")]


def test_ears_that_are_lost_again_and_again_are_one_loss() -> None:
    call = greeted_call(stt_outage_seconds=3.0).hearing_fails().wait(2).hearing_fails().wait(1)

    assert call.lines[-1] == LINES.deaf


def test_after_they_came_back_the_next_loss_has_its_own_time() -> None:
    call = greeted_call(stt_outage_seconds=3.0, stt_give_up_seconds=10.0).hearing_fails().wait(3).agent_says_the_line()
    call.hearing_works_again().hearing_fails().wait(3)

    assert call.lines[-1] == LINES.deaf
    assert call.ended is None


def test_the_agent_finishes_its_sentence_before_it_says_that_it_hears_nothing() -> None:
    call = call_that_owes_an_answer(stt_outage_seconds=3.0).agent_begins("Gladly. ").hearing_fails().wait(4)

    assert call.replies[0].fate == "speaking"
    assert call.lines == [LINES.greeting]


def test_the_line_is_told_at_the_first_gap_and_the_time_to_give_up_begins_then() -> None:
    call = call_that_owes_an_answer(stt_outage_seconds=3.0, stt_give_up_seconds=10.0)
    call.agent_begins("Gladly. ").hearing_fails().wait(14)
    assert call.lines == [LINES.greeting], "the agent is speaking"

    call.agent_falls_silent()
    assert call.lines[-1] == LINES.deaf
    assert call.agent_says_the_line().wait(6).ended is None
    assert call.wait(3).lines[-1] == LINES.failure_goodbye


def test_an_answer_that_is_only_prepared_is_no_speech_to_wait_for() -> None:
    call = greeted_call(stt_outage_seconds=3.0).hearing_fails()
    call.tell(ev.CallerTurnEndedEagerly("yes"))

    assert call.wait(3).lines[-1] == LINES.deaf


def test_ears_that_are_back_before_the_gap_are_not_mentioned() -> None:
    call = call_that_owes_an_answer(stt_outage_seconds=3.0).agent_begins("Gladly. ").hearing_fails().wait(4)

    assert call.hearing_works_again().agent_falls_silent().wait(1).lines == [LINES.greeting]


def test_ears_that_give_up_are_told_after_the_answer_and_end_the_call_when_no_key_is_pressed() -> None:
    call = call_that_owes_an_answer(stt_give_up_seconds=10.0).hearing_fails(final=True)
    assert call.agent_says("Gladly.").lines[-1] == LINES.deaf

    assert call.agent_says_the_line().wait(9).lines[-1] == LINES.failure_goodbye
    assert call.agent_says_the_line().ended == ("provider_failure", "provider:deepgram")


def test_the_restoration_of_another_vendor_gives_no_ears() -> None:
    call = greeted_call(stt_outage_seconds=3.0).hearing_fails()
    call.tell(ev.ProviderRestored("openai", "think"))

    assert call.wait(3).lines[-1] == LINES.deaf
