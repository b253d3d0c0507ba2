"""When the words on the line are the agent's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversation.echo_text import heard_words, is_echo

GREETING = "Здравствуйте! Вас приветствует клиника «Ёлочка». Меня зовут Анна, я помогу вам записаться на приём."
OFFER = "Вам удобно во вторник в десять или в среду в двенадцать часов дня?"


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("вас приветствует клиника елочка", GREETING),
        ("меня зовут анна я помогу", GREETING),
        ("Меня зовут Ана, я помогу вам", GREETING),
        ("приветствуют клиника ёлочка меня зовут", GREETING),
        ("зовут анна помогу вам записаться", GREETING),
        ("вам удобно во вторник в десять или в среду", OFFER),
        ("your order will arrive tomorrow", "Okay. Your order will arrive tomorrow morning."),
    ],
)
def test_a_run_of_the_agents_words_is_an_echo(heard: str, said: str) -> None:
    assert is_echo(heard, said)


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("", GREETING),
        ("меня зовут анна", ""),
        ("Во вторник?", OFFER),
        ("во вторник в десять", OFFER),
        ("в среду в двенадцать часов", OFFER),
        ("меня зовут", GREETING),
        ("меня зовут пётр", GREETING),
        ("здравствуйте", GREETING),
        ("вас клиника анна вам приём", GREETING),
        ("анна зовут меня", GREETING),
        ("я хочу записаться на понедельник", GREETING),
    ],
)
def test_a_callers_own_words_are_not_an_echo(heard: str, said: str) -> None:
    assert not is_echo(heard, said)


def test_only_what_was_said_lately_can_come_back() -> None:
    assert not is_echo("меня зовут анна я помогу", GREETING + " слово" * 80)


def test_words_compare_without_case_marks_and_dots() -> None:
    assert heard_words("«Ёлка», да-да! 12") == ["елка", "да", "да", "12"]


SAID = st.lists(st.text("абвгде", min_size=3, max_size=8), min_size=6, max_size=30)


@given(SAID, st.data())
def test_any_run_of_what_was_stated_is_an_echo(words: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(words) - 3))
    stop = data.draw(st.integers(start + 3, len(words)))
    assert is_echo(" ".join(words[start:stop]), " ".join(words).capitalize() + ".")


@given(st.text(max_size=60), st.text(max_size=200))
def test_fewer_than_three_words_are_never_an_echo(heard: str, said: str) -> None:
    assert len(heard_words(heard)) >= 3 or not is_echo(heard, said)
