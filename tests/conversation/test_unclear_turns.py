"""Turns that are empty, or that nobody could understand."""

from tests.conversation.script import LINES, Call, greeted_call


def caller_mumbles(call: Call) -> Call:
    return call.caller_says("mmph grzl", confidence=0.1)


def test_a_turn_of_little_confidence_is_asked_for_again() -> None:
    call = caller_mumbles(greeted_call())

    assert call.lines[-1] == LINES.repeat
    assert call.turns == []
    assert call.ignored == ["unintelligible"]


def test_the_request_has_the_number_of_the_turn_it_asks_for() -> None:
    call = caller_mumbles(greeted_call())

    assert call.last("prompt").turn == 2
    assert call.agent_says_the_line().caller_says("Book a table").replies[-1].turn == 3


def test_a_confidence_that_is_missing_does_not_count_as_low() -> None:
    assert greeted_call().caller_says("Book a table", confidence=None).turns == [("Book a table", "speech")]


def test_a_turn_without_words_after_a_sound_is_asked_for_again() -> None:
    call = greeted_call().wait(1).caller_makes_a_sound().wait(1).caller_falls_silent().caller_ends("")

    assert call.lines[-1] == LINES.repeat


def test_a_turn_without_words_and_without_a_sound_is_nothing() -> None:
    call = greeted_call().wait(1).caller_ends("")

    assert call.lines == [LINES.greeting]
    assert call.ignored == ["unintelligible"]


def test_a_turn_whose_words_vanish_is_asked_for_again() -> None:
    assert greeted_call().wait(1).caller_begins("book").caller_ends("").lines[-1] == LINES.repeat


def test_a_turn_without_words_does_nothing_to_a_voice_that_is_not_held_back() -> None:
    call = greeted_call().caller_says("When are you open?").agent_begins("From nine. ")

    assert call.caller_begins(" ").asked == []
    assert call.caller_ends("").asked == []


def test_an_unclear_turn_over_the_voice_takes_the_floor() -> None:
    call = greeted_call().caller_says("When are you open?").agent_begins("From nine. ")

    call.caller_ends("mmph grzl", confidence=0.1)

    assert call.replies[0].fate == "stopped"
    assert call.state == "listening"
    assert call.lines[-1] == LINES.repeat


def test_a_turn_without_words_over_the_voice_lets_it_go_on() -> None:
    call = greeted_call().caller_says("When are you open?").agent_begins("From nine. ")

    call.caller_makes_a_sound().caller_falls_silent().caller_ends("")

    assert call.replies[0].fate == "speaking"


def test_after_two_such_turns_the_keypad_is_offered() -> None:
    call = greeted_call()
    for _ in range(3):
        caller_mumbles(call).agent_says_the_line()

    assert call.lines[1:] == [LINES.repeat, LINES.repeat, LINES.keypad]


def test_a_caller_who_is_never_understood_is_bidden_goodbye() -> None:
    call = greeted_call()
    for _ in range(5):
        caller_mumbles(call).agent_says_the_line()

    assert call.lines[-2:] == [LINES.keypad, LINES.silence_goodbye]
    assert call.ended == ("silence", "none")


def test_a_turn_that_is_understood_restarts_the_count() -> None:
    call = greeted_call()
    for _ in range(4):
        caller_mumbles(call).agent_says_the_line()
    call.caller_says("Book a table").agent_says("Done.")

    assert caller_mumbles(call).lines[-1] == LINES.repeat


def test_a_request_that_waits_is_not_replaced_by_another_noise() -> None:
    call = caller_mumbles(greeted_call().wait(1))

    call.caller_makes_a_sound().caller_ends("")

    assert call.last("prompt").fate == "waiting"
    assert len(call.lines) == 2


def test_a_caller_may_speak_over_the_request() -> None:
    call = caller_mumbles(greeted_call()).agent_begins()

    assert call.caller_says("Book a table").turns == [("Book a table", "speech")]
