"""The keys of the telephone."""

import pytest

from app.conversation.commands import StopUtterance
from tests.conversation.script import LINES, Call, greeted_call


def test_digits_become_a_turn_after_a_pause() -> None:
    call = greeted_call(digits_seconds=2.0).caller_presses("42").wait(1.9)
    assert call.turns == []

    call.wait(0.1)

    assert call.turns == [("[keypad] 42", "keypad")]
    assert call.replies[0].text == "[keypad] 42"
    assert call.state == "processing"


def test_every_key_prolongs_the_pause() -> None:
    call = greeted_call(digits_seconds=2.0)
    for digit in "123":
        call.caller_presses(digit).wait(1.5)
    assert call.turns == []

    assert call.wait(1).turns == [("[keypad] 123", "keypad")]


def test_the_hash_key_ends_the_entry_at_once() -> None:
    assert greeted_call().caller_presses("42#").wait(0).turns == [("[keypad] 42", "keypad")]


@pytest.mark.parametrize("keys", ["0", "*9", "A1", "*"])
def test_every_other_key_is_a_part_of_it(keys: str) -> None:
    assert greeted_call().caller_presses(keys).wait(2).turns == [(f"[keypad] {keys}", "keypad")]


def test_a_hash_key_alone_says_nothing() -> None:
    call = greeted_call().caller_presses("#").wait(0)

    assert call.turns == []
    assert call.state == "listening"
    assert call.wait(8).lines[-1] == LINES.idle[0]


def test_each_entry_restarts() -> None:
    call = greeted_call().caller_presses("1#").wait(0).agent_says("One.").caller_presses("2#").wait(0)

    assert call.turns == [("[keypad] 1", "keypad"), ("[keypad] 2", "keypad")]


def test_an_entry_that_is_longer_than_any_number_is_cut() -> None:
    call = greeted_call().caller_presses("12" * 100 + "#").wait(0)

    assert call.turns == [("[keypad] " + "12" * 32, "keypad")]


def test_a_key_that_is_stuck_does_not_keep_the_agent_waiting() -> None:
    call = greeted_call(digits_seconds=2.0)
    for _ in range(70):
        call.caller_presses("1").wait(0.1)

    assert call.turns == [("[keypad] " + "1" * 64, "keypad")]


def test_keys_interrupt_the_agent() -> None:
    call = greeted_call().caller_says("Book a table").agent_begins("For how many? ").caller_presses("4")

    assert call.asked == [StopUtterance(2)]
    assert call.state == "listening"
    assert call.wait(2).replies[-1].text == "[keypad] 4"


def test_keys_void_an_answer_that_is_owed() -> None:
    call = greeted_call().caller_says("Book a table").caller_presses("4")

    assert call.replies[0].fate == "stopped"
    assert call.wait(2).remembers[-2:] == [("user", "Book a table"), ("user", "[keypad] 4")]


def test_keys_let_a_greeting_that_has_not_begun_be_said() -> None:
    call = Call().is_answered().caller_presses("4")

    assert call.last("greeting").fate == "waiting"


def test_keys_do_nothing_against_a_forced_goodbye() -> None:
    call = greeted_call().service_stops().agent_begins().caller_presses("4#").wait(1)

    assert call.turns == []
    assert call.last("goodbye").fate == "speaking"


def test_words_between_keys_and_their_turn_lose_neither() -> None:
    call = greeted_call().caller_presses("42").caller_says("that is my number")
    assert call.turns == [("that is my number", "speech")]

    call.wait(1)

    assert call.turns == [("that is my number", "speech"), ("[keypad] 42", "keypad")]
    assert [reply.fate for reply in call.replies] == ["stopped", "waiting"]


def test_the_tones_of_the_keys_are_no_mumbling() -> None:
    call = greeted_call().wait(1).caller_makes_a_sound().caller_presses("4").caller_falls_silent().caller_ends("")

    assert call.lines == [LINES.greeting]
    assert call.wait(2).turns == [("[keypad] 4", "keypad")]


def test_the_turn_began_with_the_first_key() -> None:
    call = greeted_call().wait(3)
    began = call.now

    taken = call.caller_presses("4").wait(1).caller_presses("2").wait(2).facts("turn.taken")[0]

    assert (taken["started_t"], taken["ended_t"]) == (began, began + 3)


def test_keys_are_no_silence() -> None:
    call = greeted_call(idle_prompt_seconds=8.0, digits_seconds=2.0).wait(7.9).caller_presses("4").wait(1.9)

    assert call.lines == [LINES.greeting]


def asked_for_a_code() -> Call:
    return greeted_call().caller_says("I want to log in").agent_says("What is your code?")


def test_what_was_said_before_the_keys_is_kept_and_one_answer_is_for_both() -> None:
    call = asked_for_a_code().caller_says("My code is").wait(0.3).caller_presses("1234#").wait(0)

    assert call.turns[1:] == [("My code is", "speech"), ("[keypad] 1234", "keypad")]
    assert [reply.text for reply in call.live] == ["[keypad] 1234"]


def test_words_behind_half_a_sentence_cost_none_of_it_when_keys_come_first() -> None:
    call = asked_for_a_code().caller_says("My code is").caller_begins("one two").caller_presses("12#").wait(0)

    call.caller_ends("one two").wait(call.policy.dictation_pause_seconds)

    assert [text for text, _ in call.turns[1:]] == ["My code is one two", "[keypad] 12"]
    assert call.replies[-1].live, "the late end of the words stops no answer"
    assert call.replies[-1].text == "[keypad] 12"


@pytest.mark.parametrize("eager", [False, True])
def test_words_that_no_end_of_turn_has_followed_stand_before_the_keys_and_are_answered_with_them(eager: bool) -> None:
    call = asked_for_a_code().caller_begins("my code is")
    if eager:
        call.caller_seems_to_end("my code is")
    call.caller_presses("1234#").wait(0).wait(0.4)

    call.caller_ends("My code is.")

    assert call.turns[1:] == [("my code is", "speech"), ("[keypad] 1234", "keypad")]
    assert call.ignored == ["repeated"]
    assert [reply.text for reply in call.live] == ["[keypad] 1234"]


def test_words_that_follow_the_keys_are_a_turn_without_those_before_them() -> None:
    call = asked_for_a_code().caller_begins("my code is").caller_presses("1234#").wait(0)

    call.caller_ends("My code is... did you get it?")

    assert [text for text, _ in call.turns[1:]] == ["my code is", "[keypad] 1234", "did you get it?"]


def test_nobody_answers_between_two_keys() -> None:
    call = asked_for_a_code().caller_says("My code is").wait(1.2)

    call.caller_presses("12").wait(1.5).caller_presses("34").wait(2)

    assert call.turns[1:] == [("My code is", "speech"), ("[keypad] 1234", "keypad")]
    assert [reply.text for reply in call.replies[1:] if not reply.held] == ["[keypad] 1234"]


def test_a_hash_key_alone_after_words_lets_their_turn_end() -> None:
    call = asked_for_a_code().caller_says("My code is").caller_presses("#").wait(3.5)

    assert call.turns[1:] == [("My code is", "speech")]


@pytest.mark.parametrize("waited", [0.0, 1.5])
def test_a_hash_key_alone_does_not_cost_the_answer_that_is_being_made(waited: float) -> None:
    """Who has waited too long before the hash key: the pause has ended the entry already."""
    call = greeted_call().caller_presses("42").wait(2).wait(waited)
    if waited:
        call.agent_begins()  # a filler

    call.caller_presses("#").wait(0)

    assert call.replies[-1].fate == "waiting"
    assert call.turns == [("[keypad] 42", "keypad")]


# --- keys that the agent presses -------------------------------------------------------------------------------------


def at_a_menu() -> Call:
    """A machine has asked for keys, and the agent wants to press some."""
    return greeted_call().caller_says("For sales, press one").model_calls("send_dtmf", '{"digits": "1w2#"}')


def test_the_agent_presses_keys_after_its_last_word() -> None:
    call = at_a_menu().agent_begins("One moment. ")
    assert call.pressed == ""

    assert call.agent_falls_silent().pressed == "1w2#"
    assert call.state == "listening"


def test_an_agent_without_a_word_presses_them_at_once_and_listens() -> None:
    call = at_a_menu().agent_has_nothing_to_say()

    assert call.pressed == "1w2#"
    assert call.state == "listening"
    assert call.lines == [LINES.greeting]
    assert call.wait(8).lines[-1] == LINES.idle[0]


def test_the_model_is_told_which_keys_it_pressed() -> None:
    call = at_a_menu().agent_says("One moment.").caller_says("Thank you")

    assert call.remembers[-3:] == [
        ("assistant", "One moment."),
        ("system", "You pressed these keys: 1w2#"),
        ("user", "Thank you"),
    ]


def test_words_over_the_agents_void_its_keys() -> None:
    assert at_a_menu().agent_begins("One moment. ").caller_says("For support, press two").pressed == ""


def test_several_wishes_are_pressed_in_their_order() -> None:
    call = at_a_menu().model_calls("send_dtmf", '{"digits": "3"}').agent_has_nothing_to_say()

    assert call.pressed == "1w2#3"


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ('{"digits": "1-2 w a"}', "12wA"),
        ('{"digits": "W*"}', "w*"),
        ('{"digits": "' + "1" * 500 + '"}', "1" * 32),
    ],
)
def test_only_keys_are_pressed_and_no_more_than_an_entry_has(arguments: str, keys: str) -> None:
    call = greeted_call().caller_says("Press one").model_calls("send_dtmf", arguments).agent_says("Yes.")

    assert call.pressed == keys


@pytest.mark.parametrize("arguments", ["", "[]", '{"digits": 5}', '{"digits": "hello"}'])
def test_a_wish_without_keys_is_not_an_answer(arguments: str) -> None:
    call = greeted_call().caller_says("Press one").model_calls("send_dtmf", arguments).agent_has_nothing_to_say()

    assert call.pressed == ""
    assert call.lines[-1] == LINES.apology


def test_keys_are_pressed_before_the_agent_hangs_up() -> None:
    call = at_a_menu().model_asks_to_hang_up().agent_says("Goodbye.")

    assert (call.pressed, call.ended) == ("1w2#", ("agent_hangup", "none"))


def test_a_broken_answer_presses_nothing() -> None:
    assert at_a_menu().agent_begins("One. ").speaking_fails().agent_falls_silent().pressed == ""
