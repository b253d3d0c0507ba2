"""When a turn is over: by what the agent has asked, and by how complete the caller's words are."""

from collections.abc import Callable

import pytest

from app.conversation import events as ev
from app.conversation.policy import CallPolicy
from app.models import Patience
from tests.conversation.script import Call, greeted_call

POLICY = CallPolicy()
SLOW_END = 1.2
"""So much later a slow recogniser ends a turn, in seconds."""


def asked(question: str, language: str = "en") -> Call:
    """A call in which the agent has asked something."""
    call = Call(language).is_greeted() if language != "en" else greeted_call()
    return call.caller_says("Hello, I have a question for you.").agent_says(question)


# --- the recogniser's patience ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "patience"),
    [
        ("Does Tuesday suit you?", Patience.QUICK),
        ("Подтвердите, пожалуйста, запись.", Patience.QUICK),
        ("What is your phone number?", Patience.PATIENT),
        ("Назовите номер телефона.", Patience.PATIENT),
        ("May I have your name?", Patience.PATIENT),
        ("Как вас зовут?", Patience.PATIENT),
        ("What is your address?", Patience.PATIENT),
        ("Какая у вас почта?", Patience.PATIENT),
    ],
)
def test_the_recogniser_is_as_patient_as_the_question_demands(question: str, patience: Patience) -> None:
    assert asked(question).patience == [patience]


@pytest.mark.parametrize("said", ["How can I help you?", "We are open until eight.", "На какое время вас записать?"])
def test_it_is_left_alone_when_nothing_special_is_expected(said: str) -> None:
    assert asked(said).patience == []


def test_it_is_told_before_the_question_has_been_heard_to_its_end() -> None:
    call = greeted_call().caller_says("Book me in.").agent_begins("Gladly. ").agent_goes_on("Does Tuesday suit you?")
    assert call.patience == []

    call.agent_has_written("Gladly. Does Tuesday suit you?")

    assert call.patience == [Patience.QUICK]


def test_it_follows_the_words_of_the_turn() -> None:
    call = asked("How can I help you?")

    call.caller_begins("I would like a table").caller_begins("I would like a table for")
    assert call.patience == [Patience.PATIENT]
    call.caller_begins("I would like a table for two")
    assert call.patience == [Patience.PATIENT, Patience.NORMAL]


def test_after_the_answer_it_is_what_the_next_question_demands() -> None:
    call = asked("What is your name?").caller_says("Ann Smith").agent_says("Thank you. Is that with an e?")
    call.caller_says("Yes").agent_says("Your visit is booked.")

    assert call.patience == [Patience.PATIENT, Patience.NORMAL, Patience.QUICK, Patience.NORMAL]


def test_an_agent_that_does_not_speak_tells_it_nothing() -> None:
    call = Call(speaks=False).is_answered().caller_begins("My number is").caller_ends("My number is")

    assert call.patience == []
    assert call.turns == [("My number is", "speech")]


# --- at once ----------------------------------------------------------------------------------------------------------


def answers(call: Call, text: str, confidence: float | None = 0.9) -> Call:
    """The caller's sound and words, and the silence after them; the recogniser has not ended the turn yet."""
    call.caller_makes_a_sound().wait(0.4).caller_begins(text, confidence).wait(0.3)
    return call.caller_falls_silent()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Does Tuesday suit you?", "yes"),
        ("Does Tuesday suit you?", "No, thank you."),
        ("Вам удобно во вторник?", "да"),
        ("Скажите, подойдёт ли вам вторник.", "Нет, не подходит."),
        ("What is your phone number?", "415 555 2671"),
        ("Назовите номер телефона.", "девятьсот шестнадцать пятьсот двадцать три сорок пять шестьдесят семь"),
        ("What are the last four digits of your card?", "1234"),
        ("Какая у вас почта?", "ivan.petrov@mail.ru"),
    ],
)
def test_all_that_was_asked_for_is_answered_at_once(question: str, answer: str) -> None:
    call = answers(asked(question), answer)
    assert call.turns[1:] == []

    call.wait(POLICY.whole_pause_seconds)

    assert call.turns[1:] == [(answer, "speech")]
    assert call.state == "processing"


def test_the_late_end_of_such_a_turn_is_not_a_second_turn_and_stops_nothing() -> None:
    call = answers(asked("Does Tuesday suit you?"), "yes").wait(0.3).agent_begins("Good. ")

    call.caller_ends("Yes.")

    assert [text for text, _ in call.turns[1:]] == ["yes"]
    assert call.audible is not None


def test_the_late_end_of_a_turn_that_began_with_an_echo_is_not_a_second_turn() -> None:
    call = asked("Does Tuesday suit you?").wait(0.4).caller_begins("Tuesday suit you")
    call.caller_makes_a_sound().wait(0.3).caller_begins("Tuesday suit you yes").wait(0.2).caller_falls_silent()
    call.wait(0.3).caller_ends("Tuesday suit you? Yes.")

    assert call.turns[1:] == [("yes", "speech")]
    assert call.ignored == ["repeated"]


def test_a_caller_who_goes_on_after_all_is_answered_to_everything() -> None:
    call = answers(asked("Does Tuesday suit you?"), "yes").wait(0.3)

    call.caller_makes_a_sound().wait(0.3).caller_begins("yes but not before ten")
    call.caller_ends("Yes, but not before ten.")

    assert call.remembers[-2:] == [("user", "yes"), ("user", "but not before ten.")], "nothing stands there twice"
    assert [reply.fate for reply in call.replies[-2:]] == ["stopped", "waiting"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Does Tuesday suit you?", "yes but"),
        ("Does Tuesday suit you?", "Wednesday"),
        ("How can I help you?", "yes"),
        ("We are open on Tuesday.", "yes"),
        ("What is your phone number?", "415 555"),
    ],
)
def test_other_words_are_not_answered_at_once(question: str, answer: str) -> None:
    call = answers(asked(question), answer).wait(SLOW_END)

    assert call.turns[1:] == []


def test_words_that_were_hardly_understood_wait_for_the_recogniser() -> None:
    call = answers(asked("Does Tuesday suit you?"), "yes", confidence=0.2).wait(SLOW_END)

    assert call.turns[1:] == []


def test_a_caller_who_is_still_making_a_sound_is_not_answered() -> None:
    call = asked("Does Tuesday suit you?").caller_makes_a_sound().wait(0.4).caller_begins("yes").wait(SLOW_END)
    assert call.turns[1:] == []

    call.caller_falls_silent().caller_makes_a_sound().wait(SLOW_END)
    assert call.turns[1:] == []


def test_words_of_which_the_detector_has_noticed_nothing_wait_for_the_recogniser() -> None:
    call = asked("Does Tuesday suit you?").caller_begins("yes").wait(SLOW_END)

    assert call.turns[1:] == []


@pytest.mark.parametrize(
    ("question", "answer", "seconds"),
    [
        ("Which day suits you?", "Wednesday", POLICY.likely_pause_seconds),
        ("We are open on Tuesday.", "yes", POLICY.likely_pause_seconds),
        ("What is your order number?", "15 42", POLICY.dictation_pause_seconds),
        ("Какой у вас номер заказа?", "пятнадцать сорок два", POLICY.dictation_pause_seconds),
        ("Which day suits you?", "Wednesday or", POLICY.unfinished_pause_seconds),
    ],
)
def test_no_recogniser_keeps_a_caller_waiting_for_longer_than_their_words_need(
    question: str, answer: str, seconds: float
) -> None:
    call = answers(asked(question), answer).wait(seconds - 0.01)
    assert call.turns[1:] == []

    call.wait(0.02)

    assert call.turns[1:] == [(answer, "speech")]


def test_the_same_words_again_do_not_begin_the_pause_again() -> None:
    call = answers(asked("Which day suits you?"), "Wednesday").wait(1.2).caller_begins("Wednesday")

    call.caller_seems_to_end("Wednesday").wait(POLICY.likely_pause_seconds - 1.2)

    assert call.turns[1:] == [("Wednesday", "speech")]


def test_other_words_that_come_late_are_waited_for() -> None:
    call = answers(asked("Which day suits you?"), "Wednesday").wait(1.2).caller_begins("Wednesday at ten")

    call.wait(0.5).caller_begins("Wednesday at ten o'clock").wait(0.5)
    assert call.turns[1:] == []
    call.caller_ends("Wednesday at ten o'clock")

    assert call.turns[1:] == [("Wednesday at ten o'clock", "speech")]


def test_a_recogniser_that_is_slow_to_end_keeps_no_caller_waiting_after_its_last_words() -> None:
    call = answers(asked("Which day suits you?"), "Wednesday").wait(1.2).caller_begins("Wednesday at ten")

    assert call.wait(0.59).turns[1:] == []
    assert call.wait(0.02).turns[1:] == [("Wednesday at ten", "speech")]


def test_a_turn_that_its_pause_ends_is_in_the_language_of_its_words() -> None:
    call = asked("Which day suits you?").caller_makes_a_sound().wait(0.4)
    call.tell(ev.CallerWords("mittwoch", language="de"))
    call.caller_falls_silent().wait(POLICY.likely_pause_seconds)

    assert [row.data["language"] for row in call.rows if row.type == "turn.taken"][-1] == "de"


def test_words_that_come_late_and_are_not_all_wait_for_the_rest() -> None:
    call = answers(asked("Which day suits you?"), "Wednesday").wait(1.2).caller_begins("Wednesday or")

    assert call.wait(POLICY.unfinished_pause_seconds - 0.01).turns[1:] == []
    assert call.wait(0.02).turns[1:] == [("Wednesday or", "speech")]


# --- waiting on -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "first", "second"),
    [
        ("How can I help you?", "I would like a table for", "two at eight"),
        ("How can I help you?", "I would like a table and", "a room"),
        ("Чем могу помочь?", "Я хочу записаться, то есть", "перенести запись"),
        ("Чем могу помочь?", "во вторник и", "в среду"),
        ("What is your phone number?", "415 555", "2671"),
        ("Назовите номер телефона.", "девять один шесть", "пятьсот двадцать три сорок пять шестьдесят семь"),
        ("Какая у вас почта?", "иван собака", "почта точка ру"),
        ("Please spell your surname.", "S M I", "T H"),
        ("What is your address?", "12 Baker Street", "London"),
    ],
)
def test_a_turn_that_the_recogniser_ends_in_the_middle_goes_on(question: str, first: str, second: str) -> None:
    call = asked(question).caller_says(first)
    assert call.turns[1:] == []
    assert call.state == "listening"

    call.wait(0.4).caller_says(second).wait(POLICY.unfinished_pause_seconds)

    assert call.turns[1:] == [(f"{first} {second}", "speech")]


@pytest.mark.parametrize(
    "between",
    [
        lambda call: call.wait(POLICY.idle_prompt_seconds).agent_says_the_line(),
        lambda call: call.caller_says("mumbling", confidence=0.1).agent_says_the_line(),
        lambda call: call.operator_says("Your table is ready.").agent_says_the_line(),
    ],
    ids=["are you still there", "say that again", "an operator's line"],
)
@pytest.mark.parametrize(
    ("language", "question"), [("en", "What is your phone number?"), ("ru", "Назовите номер телефона.")]
)
def test_a_line_in_between_does_not_take_the_question_for_a_number_back(
    between: Callable[[Call], Call], language: str, question: str
) -> None:
    call = between(asked(question, language)).caller_says("415 555").wait(0.4)
    assert call.turns[1:] == []

    call.caller_says("2671")

    assert call.turns[1:] == [("415 555 2671", "speech")]


def test_yes_to_whether_they_are_still_there_is_answered_at_once() -> None:
    call = asked("We are open on Tuesday.").wait(POLICY.idle_prompt_seconds).agent_says_the_line()

    answers(call, "yes").wait(POLICY.whole_pause_seconds)

    assert call.turns[1:] == [("yes", "speech")]


def test_it_does_not_go_on_for_ever() -> None:
    call = asked("How can I help you?").caller_says("I would like a table for")
    last_voiced_t = call.now - 0.3

    call.wait(POLICY.unfinished_pause_seconds - 0.31)
    assert call.turns[1:] == []
    call.wait(0.02)

    assert call.turns[1:] == [("I would like a table for", "speech")]
    assert call.facts("turn.taken")[-1]["ended_t"] == last_voiced_t


def test_the_answer_is_prepared_meanwhile_and_given_as_soon_as_the_pause_is_long_enough() -> None:
    call = asked("How can I help you?").caller_says("I would like a table for")
    assert call.replies[-1].held

    call.wait(POLICY.unfinished_pause_seconds)

    assert not call.replies[-1].held
    assert len(call.replies) == 2


def test_no_filler_is_said_in_the_stead_of_the_prepared_answer() -> None:
    call = asked("How can I help you?").caller_says("I would like a table for")
    call.wait(POLICY.unfinished_pause_seconds).agent_begins("For how many? ")

    assert [utterance.kind for utterance in call.utterances] == ["greeting", "reply", "reply"]


def test_an_answer_to_half_a_sentence_is_dropped_when_the_caller_goes_on() -> None:
    call = asked("How can I help you?").caller_says("I would like a table for").caller_begins("two")

    assert [reply.fate for reply in call.replies[1:]] == ["stopped"]


def test_no_answer_is_prepared_when_the_recogniser_thinks_that_half_a_sentence_may_be_all() -> None:
    call = asked("How can I help you?").caller_begins("I would like a table for")

    call.caller_seems_to_end("I would like a table for")

    assert len(call.replies) == 1


def test_silence_that_the_recogniser_has_waited_for_counts() -> None:
    call = asked("How can I help you?").caller_makes_a_sound().wait(0.5).caller_begins("a table for")
    call.caller_falls_silent().wait(POLICY.unfinished_pause_seconds)
    silent_since = call.now - POLICY.unfinished_pause_seconds

    call.caller_ends("a table for", last_voiced_t=silent_since)

    assert call.turns[1:] == [("a table for", "speech")]


def test_a_sound_after_the_pause_gets_time_for_its_words() -> None:
    call = asked("How can I help you?").caller_says("I would like a table for").wait(1.6)

    call.caller_makes_a_sound().wait(0.5)
    assert call.turns[1:] == []
    call.caller_begins("two").wait(0.3).caller_ends("two")

    assert call.turns[1:] == [("I would like a table for two", "speech")]


def test_a_noise_after_the_pause_does_not_hold_the_turn_open_for_ever() -> None:
    call = asked("How can I help you?").caller_says("I would like a table for").wait(1.6)

    call.caller_makes_a_sound().wait(3)

    assert call.turns[1:] == [("I would like a table for", "speech")]


def test_an_end_without_words_and_words_that_come_again_change_nothing() -> None:
    call = asked("How can I help you?").caller_says("I would like a table for")

    call.caller_ends("").caller_begins("I would like a table for").caller_ends("I would like a table for two")

    assert call.turns[1:] == [("I would like a table for two", "speech")]
    assert call.ignored == []


def test_a_caller_who_hangs_up_in_the_middle_is_gone() -> None:
    call = asked("How can I help you?").caller_says("I would like a table for").caller_hangs_up()

    assert call.ended == ("caller_hangup", "none")


def test_the_answer_that_is_being_made_is_dropped_for_words_that_end_in_the_middle() -> None:
    call = asked("How can I help you?").caller_says("What do you have?")

    call.caller_ends("and I want a table for")

    assert [reply.fate for reply in call.replies[-2:]] == ["stopped", "waiting"]
    assert call.replies[-1].held


def test_words_that_end_in_the_middle_over_the_agent_stop_it_and_wait() -> None:
    call = asked("How can I help you?").caller_says("What do you have?").agent_begins("We have a table at eight, ")

    call.caller_says("no I want a table for")

    assert call.state == "listening"
    assert call.turns[-1] == ("What do you have?", "speech")
    call.wait(POLICY.unfinished_pause_seconds)
    assert call.turns[-1] == ("no I want a table for", "speech")
