"""A caller who is made to wait says that they will, or asks whether anybody is there: the answer is still wanted."""

import pytest

from app.conversation.commands import Say
from app.conversation.patience import asks_whether_there, is_patient
from tests.conversation.script import LINES
from tests.conversation.tool_script import CallWithTools

WILL_WAIT = [
    "Жду.", "Хорошо, жду", "Да, я подожду", "Ладно, не торопитесь", "Ничего страшного, жду", "Да-да, конечно",
    "Без проблем.", "Я никуда не тороплюсь", "Хорошо, смотрите", "Остаюсь на линии",
    "Okay, I'll wait", "Sure, take your time", "No problem", "That's fine, I can wait", "Yes, I'm here", "No rush.",
    "All right, I'll hold", "Of course", "Thank you, I'll stay on the line",
]  # fmt: skip
WHETHER_THERE = [
    "Алло?", "Алло, вы тут?", "Вы ещё здесь?", "Ну что там?", "Долго ещё?", "Вы меня слышите?", "Алло, алло!",
    "Hello?", "Are you still there?", "Hello, can you hear me?", "Hey, anybody there?", "How much longer?",
]  # fmt: skip
NEW = [
    "Подождите, я передумал", "Хорошо, а сколько стоит?", "Я жду уже час, соедините с человеком", "Нет", "Не надо",
    "Отмените запись", "А вы работаете в субботу?", "Вы где находитесь?",
    "Wait, I changed my mind", "I can't wait", "Okay, and what does it cost?", "Cancel it", "No", "Never mind",
    "Hello, I want to book a table", "How long is the visit?", "",
]  # fmt: skip


@pytest.mark.parametrize("text", WILL_WAIT)
def test_a_patient_caller(text: str) -> None:
    assert is_patient(text)
    assert not asks_whether_there(text)


@pytest.mark.parametrize("text", WHETHER_THERE)
def test_a_caller_who_asks_whether_anybody_is_there(text: str) -> None:
    assert is_patient(text)
    assert asks_whether_there(text)


@pytest.mark.parametrize("text", NEW)
def test_a_caller_who_wants_something_else(text: str) -> None:
    assert not is_patient(text)
    assert not asks_whether_there(text)


@pytest.mark.parametrize("text", [*WILL_WAIT, *WHETHER_THERE])
def test_words_are_known_from_the_first_one_on(text: str) -> None:
    """The recogniser reports them one by one."""
    words = text.split()
    assert [is_patient(" ".join(words[:count]), is_whole=False) for count in range(1, len(words) + 1)] == [True] * len(
        words
    )


def waiting_call(*, timeout: float = 60.0) -> CallWithTools:
    """The tool runs, and the caller has heard its phrase."""
    call = CallWithTools()
    call.is_greeted()
    call.caller_says("When do you have time?").model_wants("find_times", line="Let me look.", timeout=timeout)
    return call.agent_says_the_line()


@pytest.mark.parametrize("text", ["Okay, I'll wait", "Хорошо, жду", "Take your time", "Hello?", "Вы тут?"])
def test_the_answer_is_not_dropped_for_words_about_the_wait(text: str) -> None:
    call = waiting_call()
    reply = call.replies[-1]

    call.wait(2.0).caller_says(text)
    assert call.ignored == ["acknowledgement"]
    assert reply.live

    call.tool_gives("at ten").agent_says("At ten.")
    assert reply.fate == "finished"


def test_whoever_asks_whether_anybody_is_there_hears_the_next_line_at_once() -> None:
    call = waiting_call().wait(2.0).caller_says("Hello, are you there?").wait(0.1)

    assert call.asked == [Say(2, call.utterances[-1].number, "filler", "en", LINES.long_wait[0])]
    assert call.agent_says_the_line().wait(5.0).lines[-1] == LINES.long_wait[0], "the next one has its time"


def test_words_about_the_wait_over_a_line_do_not_stop_it() -> None:
    call = CallWithTools()
    call.is_greeted()
    call.caller_says("When do you have time?").model_wants("find_times", line="Let me look.").agent_begins()

    call.caller_says("okay, I'll wait").wait(1.0)

    assert call.replies[-1].live
    assert call.last("filler").fate == "speaking"


def test_something_new_is_a_turn_all_the_same() -> None:
    call = waiting_call().wait(2.0).caller_says("Okay, and is there a car park?")

    assert call.replies[-1].text == "Okay, and is there a car park?"


def test_nobody_is_patient_before_they_were_told_to_wait() -> None:
    call = CallWithTools()
    call.is_greeted()
    call.caller_says("When do you have time?").caller_says("Hello, are you there?")

    assert call.replies[-1].text == "Hello, are you there?"
