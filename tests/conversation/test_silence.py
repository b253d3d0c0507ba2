"""Nobody speaks; or nobody but a noisy line."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversation import events as ev
from tests.conversation.script import LINES, Call, greeted_call

_NOISE_HOLDS_A_CALL_SECONDS = 240


def listen(call: Call, seconds: float) -> Call:
    """Time passes, and every line that the agent is to say is said."""
    until = call.now + seconds
    while call.ended is None and call.now < until:
        call.wait(0.25)
        while call.waiting:
            call.agent_says_the_line()
    return call


def test_a_silent_caller_is_asked_whether_he_is_there() -> None:
    call = greeted_call(idle_prompt_seconds=8.0).wait(7.9)
    assert call.lines == [LINES.greeting]

    assert call.wait(0.1).lines[-1] == LINES.idle[0]


def test_after_two_questions_comes_a_goodbye() -> None:
    call = listen(greeted_call(), 60)

    assert call.lines == [LINES.greeting, *LINES.idle, LINES.silence_goodbye]
    assert call.ended == ("silence", "none")
    assert call.remembers[-1] == ("assistant", LINES.silence_goodbye)


def test_without_questions_a_silent_call_ends_as_well() -> None:
    call = greeted_call(idle_prompts=0, idle_end_seconds=30.0).wait(29.9)
    assert call.lines == [LINES.greeting]

    call.wait(0.1)

    assert call.lines[-1] == LINES.silence_goodbye
    assert call.agent_says_the_line().ended == ("silence", "none")


def test_more_questions_than_there_are_lines_repeat_the_last_one() -> None:
    call = listen(greeted_call(idle_prompts=4), 100)

    assert call.lines[1:-1] == [*LINES.idle, LINES.idle[-1], LINES.idle[-1]]


def test_a_caller_who_answers_the_question_restarts_the_count() -> None:
    call = listen(greeted_call(), 9).caller_says("I am here, one moment").agent_says("Take your time.")

    assert listen(call, 9).lines[-1] == LINES.idle[0]


def test_an_unanswered_question_of_the_agent_is_followed_by_silence_as_well() -> None:
    call = greeted_call().caller_says("Book a table").agent_says("For how many?")

    assert call.wait(8).lines[-1] == LINES.idle[0]


def test_a_caller_who_is_speaking_is_not_asked() -> None:
    call = greeted_call(idle_prompt_seconds=8.0).wait(7).caller_makes_a_sound().caller_begins("I would like").wait(3)

    assert call.lines == [LINES.greeting]


def test_words_count_although_no_sound_was_noticed() -> None:
    call = greeted_call(idle_prompt_seconds=8.0).wait(7).caller_begins("I would like").wait(3)

    assert call.lines == [LINES.greeting]


def test_a_short_answer_to_a_question_that_has_not_begun_is_a_turn() -> None:
    assert greeted_call().wait(8).caller_ends("I'm here").turns == [("I'm here", "speech")]


def test_a_sound_without_words_puts_the_question_off_once() -> None:
    call = greeted_call(idle_prompt_seconds=8.0).wait(7).caller_makes_a_sound().wait(8.9)
    assert call.lines == [LINES.greeting]

    assert call.wait(0.1).lines[-1] == LINES.idle[0]


def test_a_caller_may_avert_the_goodbye() -> None:
    call = listen(greeted_call(), 20).wait(7).agent_begins()
    assert call.last("goodbye").fate == "speaking"

    call.caller_says("no, wait, I am here")

    assert call.ended is None
    assert call.turns == [("no, wait, I am here", "speech")]


def test_a_goodbye_that_cannot_be_said_ends_the_call_all_the_same() -> None:
    call = greeted_call(idle_prompts=0).wait(30).speaking_fails()

    assert call.ended == ("silence", "provider:cartesia")


def test_turns_that_are_ignored_do_not_put_the_question_off() -> None:
    call = greeted_call(idle_prompt_seconds=8.0)
    for _ in range(7):
        call.wait(1).caller_ends("")

    assert call.wait(1).lines[-1] == LINES.idle[0]


def test_every_question_is_put_off_once() -> None:
    call = greeted_call(idle_prompt_seconds=8.0).caller_makes_a_sound().wait(16).agent_says_the_line().wait(15.9)

    assert call.lines[1:] == [LINES.idle[0]]
    assert call.wait(0.2).lines[1:] == list(LINES.idle)


NOISES: dict[str, Callable[[Call], Call]] = {
    "sound": lambda call: call.caller_makes_a_sound(),
    "quiet": lambda call: call.caller_falls_silent(),
    "empty turn": lambda call: call.caller_ends(""),
    "mumbling": lambda call: call.caller_ends("grzl", confidence=0.1),
    "a moment": lambda call: listen(call, 0.5),
    "a while": lambda call: listen(call, 5),
}


@given(st.lists(st.sampled_from(sorted(NOISES)), min_size=1, max_size=8))
def test_no_noise_holds_a_call_for_long(noises: list[str]) -> None:
    call = greeted_call(max_duration_seconds=7200.0)

    while call.ended is None:
        for noise in noises:
            NOISES[noise](call)
        listen(call, 0.3)
        assert call.now < _NOISE_HOLDS_A_CALL_SECONDS

    assert call.ended[0] == "silence"


@pytest.mark.parametrize("idle_prompts", [0, 1, 2])
def test_a_steady_noise_holds_it_hardly_longer_than_silence(idle_prompts: int) -> None:
    call = listen(greeted_call(idle_prompts=idle_prompts).caller_makes_a_sound(), 80)

    assert call.ended == ("silence", "none")


def test_a_held_caller_is_asked_nothing_until_they_are_back_for_as_long_as_any_other() -> None:
    call = greeted_call(idle_prompt_seconds=8.0).wait(3)
    call.tell(ev.CallerHeld(call.now))
    call.wait(100)
    assert call.lines == [LINES.greeting]

    call.tell(ev.CallerReturned(100.0))
    call.wait(7.9)
    assert call.lines == [LINES.greeting]

    assert call.wait(0.1).lines[-1] == LINES.idle[0]
