"""A film, music on hold or another machine is not answered for ever."""

import pytest

from app.conversation.progress import Progress, ProgressWatch
from tests.conversation.script import LINES, Call, greeted_call
from tests.conversation.tool_script import CallWithTools

FILM = ("I told you never to come back to this town.", "You cannot scare me, sheriff.")


def play(call: Call, *sentences: str, turns: int = 50) -> int:
    """Say these sentences again and again, with an answer of its own to each; returns how many were said."""
    for number in range(turns):
        if call.ended or call.core.phase == "closing":
            return number
        call.caller_says(sentences[number % len(sentences)])
        if call.waiting and call.waiting[0].kind == "reply":
            call.agent_says(f"{ANSWERS[number % len(ANSWERS)]} {number}.")
        elif call.waiting:
            call.agent_says_the_line()
    return turns


ANSWERS = ["Apples", "Birds run", "Cold tea for all", "Doors", "Every Friday at noon", "Frost", "Good news from home"]
"""Each unlike the others."""


def test_two_sentences_of_a_film_lead_to_a_question_and_then_to_a_goodbye() -> None:
    call = greeted_call()

    said = play(call, *FILM)

    assert said == 8
    assert call.lines == [LINES.greeting, LINES.stalled, LINES.stalled_goodbye]
    assert call.ended == ("agent_hangup", "none")


WORDS = ["cat", "king", "sheriff", "moon", "army", "bell", "choir", "dragon", "empress", "fog", "ghost", "hunter"]


@pytest.mark.parametrize("length", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("stall_turns", [4, 8])
def test_a_loop_of_any_length_ends_within_the_limit_of_turns_that_move_nothing(length: int, stall_turns: int) -> None:
    loop = [f"The {word} went over the hill of the town again" for word in WORDS[:length]]
    call = greeted_call(stall_turns=stall_turns)

    said = play(call, *loop)

    assert said <= length + stall_turns
    assert LINES.stalled in call.lines
    assert call.lines[-1] == LINES.stalled_goodbye


def test_the_limit_can_be_switched_off() -> None:
    assert play(greeted_call(stall_turns=0), *FILM, turns=30) == 30


def test_a_film_cannot_talk_the_goodbye_down() -> None:
    call = greeted_call()
    play(call, *FILM)

    call.caller_says(FILM[0])

    assert call.lines[-1] == LINES.stalled_goodbye
    assert len(call.replies) == 6


@pytest.mark.parametrize("answer", ["yes", "no", "nine", "да"])
def test_a_caller_who_answers_one_question_after_another_with_the_same_word_moves_the_call(answer: str) -> None:
    call = greeted_call().caller_says("I want an appointment")
    for number in range(12):
        call.agent_says(f"Do you {ANSWERS[number % len(ANSWERS)]} {number} and {number * 7}?").caller_says(answer)

    assert LINES.stalled not in call.lines
    assert call.replies[-1].text == answer


def test_questions_that_differ_in_one_word_move_the_call() -> None:
    call = greeted_call()
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "today")
    for number, day in enumerate(days):
        call.caller_says(f"Could you please tell me from when until when you are open on {day}")
        call.agent_says(f"{ANSWERS[number % len(ANSWERS)]} {number}.")

    assert LINES.stalled not in call.lines


def test_what_the_recogniser_hears_a_little_differently_is_the_same() -> None:
    watch = ProgressWatch(4)
    told = [
        watch.turn_taken(text, "") for text in ("the old sherif rides into town", "the old sheriff rides into town") * 2
    ]

    assert told[-1] is Progress.IS_OVER


def test_the_same_small_word_to_the_same_question_moves_nothing() -> None:
    call = greeted_call().caller_says("I want an appointment")
    for _ in range(3):
        call.agent_says("Which day would suit you best?").caller_says("yes")

    assert call.lines[-1] == LINES.stalled


def test_new_words_after_the_question_are_answered_and_the_count_restarts() -> None:
    call = greeted_call()
    play(call, *FILM, turns=4)
    assert call.lines[-1] == LINES.stalled

    for text, answer in (
        ("Oh, I am sorry", "Never mind that."),
        ("The television was loud", "A good film, was it?"),
        ("I want to move my appointment", "To which day?"),
        ("Tuesday is better for me", "It is done, thank you."),
    ):
        call.caller_says(text).agent_says(answer)
    play(call, *FILM, turns=1)
    assert [reply.text for reply in call.replies[3:]][::3] == ["Oh, I am sorry", "Tuesday is better for me"]
    assert len(call.replies) == 8

    play(call, *FILM[::-1], turns=1)
    assert call.lines[-1] == LINES.stalled


def test_a_tool_that_runs_moves_the_call() -> None:
    watch = ProgressWatch(8)
    for _ in range(20):
        assert watch.turn_taken("look up my order again please", "") is not Progress.IS_OVER
        watch.moved()


def test_a_run_of_a_tool_is_noticed() -> None:
    call = CallWithTools()
    call.is_greeted()
    for _ in range(12):
        call.caller_says("look up my order again please")
        call.model_wants("lookup").tool_gives("sent").agent_says("Here it is.")

    assert LINES.stalled not in call.lines


def test_keys_move_the_call() -> None:
    call = greeted_call()
    for _ in range(12):
        call.caller_presses("1#").wait(0.1).agent_says("You have pressed one.")

    assert LINES.stalled not in call.lines


def test_an_agent_that_gives_the_same_answer_for_the_third_time_moves_nothing() -> None:
    watch = ProgressWatch(8)
    texts = [
        "so it begins",
        "who goes there",
        "up the hill we ran",
        "all the king's men",
        "dust over the plain",
        "rain",
    ]
    texts += ["never say never", "fog on the river", "lights in the window", "a horse for the lady"]

    told = [watch.turn_taken(text, "I am afraid I did not understand that." if text else "") for text in texts]

    assert told.index(Progress.STALLS) < told.index(Progress.IS_OVER) <= 9


ASKED_AGAIN = [
    ("What is your phone number?", "Could you repeat the number, please?", "eight nine one six five five five twelve"),
    ("What is your phone number?", "Sorry, could you say that again?", "It is 8 916 555 12 34"),
    ("Назовите, пожалуйста, номер телефона.", "Повторите, пожалуйста, номер ещё раз.", "восемь девятьсот шестнадцать"),
    ("Назовите номер заказа.", "Простите, ещё раз, пожалуйста.", "сорок два семьсот три"),
    ("What is your name?", "Could you spell your name once more?", "S M I T H"),
    ("Как вас зовут?", "Повторите, пожалуйста, фамилию.", "Анна Петрова"),
    ("What is your e-mail address?", "Could you repeat the e-mail address?", "anna at example dot com"),
    ("Куда доставить заказ?", "Повторите адрес, пожалуйста.", "улица Ленина, дом 5"),
]


@pytest.mark.parametrize(("question", "again", "answer"), ASKED_AGAIN)
def test_a_caller_who_repeats_what_the_agent_asks_for_is_not_told_that_the_call_has_stalled(
    question: str, again: str, answer: str
) -> None:
    watch = ProgressWatch(8)
    assert watch.turn_taken("I want to order", "Hello!") is Progress.GOES_ON

    told = [watch.turn_taken(answer, said) for said in (question, again, again, again)]

    assert set(told) == {Progress.GOES_ON}


def test_an_agent_and_a_machine_do_not_go_on_for_ever_about_a_number() -> None:
    watch = ProgressWatch(8)

    told = [watch.turn_taken("one two three four", "Could you repeat the number, please?") for _ in range(20)]

    assert told.index(Progress.STALLS) < told.index(Progress.IS_OVER) <= 14


@pytest.mark.parametrize("said", ["Could you say that again, please?", "What is your phone number?"])
def test_a_film_that_the_agent_asks_to_repeat_itself_still_leads_to_the_question(said: str) -> None:
    watch = ProgressWatch(8)

    told = [watch.turn_taken(FILM[number % 2], said) for number in range(9)]

    assert told.index(Progress.STALLS) <= 4
    assert told.index(Progress.IS_OVER) <= 8
