"""What a caller will answer, in tables: ``expected_answers_russian.txt`` and ``expected_answers_english.txt``."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversation.expected_answers import AnswerKind, expected_answer
from app.conversation.questions import Asked, what_was_asked


def table(name: str) -> list[tuple[str, str]]:
    lines = (Path(__file__).parent / f"expected_answers_{name}.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" | ") for line in lines if not line.startswith("#")]
    return [(sentence, kind) for kind, sentence in pairs]


RUSSIAN, ENGLISH = table("russian"), table("english")


@pytest.mark.parametrize("sentences", [RUSSIAN, ENGLISH], ids=["russian", "english"])
def test_a_language_has_forty_sentences_of_all_kinds(sentences: list[tuple[str, str]]) -> None:
    assert len(dict(sentences)) == len(sentences) >= 40
    assert {kind for _, kind in sentences} == set(AnswerKind)


@pytest.mark.parametrize(("sentence", "kind"), [*RUSSIAN, *ENGLISH])
def test_a_sentence_makes_the_caller_say_what_the_table_says(sentence: str, kind: str) -> None:
    assert expected_answer(sentence).kind == kind


@pytest.mark.parametrize(("sentence", "kind"), [*RUSSIAN, *ENGLISH])
@pytest.mark.parametrize("before", ["Хорошо, я записала номер. ", "What is your name? ", "Okay, that's booked. "])
def test_the_sentences_before_the_last_one_change_nothing(before: str, sentence: str, kind: str) -> None:
    assert expected_answer(before + sentence).kind == kind


@pytest.mark.parametrize(
    ("sentence", "digits"),
    [
        ("Назовите номер телефона.", (10, 11)),
        ("What is your phone number?", (10, 11)),
        ("Назовите последние четыре цифры карты.", (4,)),
        ("What are the last four digits of your card?", (4,)),
        ("Please enter the 6-digit code.", (6,)),
        ("Назовите номер вашей карты.", (16,)),
        ("Подскажите почтовый индекс.", (6,)),
        ("What is your order number?", ()),
        ("Как вас зовут?", ()),
        ("Is this your phone number?", ()),
    ],
)
def test_some_numbers_have_a_known_length(sentence: str, digits: tuple[int, ...]) -> None:
    assert expected_answer(sentence).digits == digits


@given(st.text(max_size=60))
def test_an_answer_is_expected_when_something_was_asked_and_only_then(text: str) -> None:
    assert (expected_answer(text).kind is AnswerKind.NOTHING) is (what_was_asked(text) is Asked.NOTHING)
