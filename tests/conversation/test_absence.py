"""The leg loses the caller's room for a while."""

import pytest

from app.conversation import events as ev
from tests.conversation.script import LINES, Call, greeted_call


def leg_is_lost(call: Call) -> Call:
    return call._happens(ev.LegLost(call.now))


def leg_is_back(call: Call, away_seconds: float = 5.0) -> Call:
    return call._happens(ev.LegRejoined(away_seconds))


def answering() -> Call:
    return greeted_call().caller_says("I want to pay").agent_begins("Gladly. ")


def test_the_voice_stops_when_the_caller_no_longer_hears_it_and_goes_on_when_they_do() -> None:
    call = leg_is_lost(answering())
    assert call.replies[0].fate == "held back"

    assert call.wait(20).replies[0].fate == "held back"
    assert leg_is_back(call).wait(0.6).replies[0].fate == "speaking"


def test_even_a_voice_that_nothing_interrupts_stops() -> None:
    call = greeted_call().operator_hands_over().agent_begins()

    assert leg_is_lost(call).last("transfer").fate == "held back"
    assert leg_is_back(call).wait(0.6).last("transfer").fate == "speaking"


def test_an_answer_that_is_ready_in_the_meantime_is_not_given_up() -> None:
    call = leg_is_lost(greeted_call().caller_says("I want to pay")).wait(25)

    assert call.lines == [LINES.greeting], "no filler for nobody"
    assert leg_is_back(call).replies[0].fate == "waiting"
    assert call.agent_says("Gladly.").state == "listening"


def test_a_silence_that_nobody_can_break_is_not_the_callers() -> None:
    call = leg_is_lost(greeted_call()).wait(25)
    assert call.lines == [LINES.greeting]

    assert leg_is_back(call).wait(7.9).lines == [LINES.greeting]
    assert call.wait(0.2).lines[-1] == LINES.idle[0]


def test_it_counts_as_no_interruption() -> None:
    call = answering()
    for _ in range(3):
        leg_is_back(leg_is_lost(call).wait(1)).wait(0.6)

    assert (call.threshold_raised, call.replies[0].fate) == (0, "speaking")


def test_a_caller_who_left_in_the_meantime_has_left() -> None:
    assert leg_is_lost(answering()).wait(3).caller_hangs_up().ended == ("caller_hangup", "none")


def test_a_room_that_does_not_come_back_ends_the_call() -> None:
    assert leg_is_lost(answering()).wait(30).line_breaks().ended == ("media_lost", "carrier")


def test_a_leg_of_which_nothing_more_is_told_does_not_keep_the_call_for_ever() -> None:
    assert leg_is_lost(greeted_call()).wait(60).lines[1:] != []


@pytest.mark.parametrize("speaks", [True, False])
def test_words_that_come_late_are_heard(speaks: bool) -> None:
    call = greeted_call(speaks=speaks) if speaks else Call(speaks=False).is_answered()
    leg_is_lost(call).caller_says("I want to pay")

    assert call.turns == [("I want to pay", "speech")]
