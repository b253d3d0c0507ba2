"""What the agent has asked, in tables to be read aloud: ``questions_russian.txt`` and ``questions_english.txt``."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversation.questions import Asked, is_question, what_was_asked


def table(name: str) -> list[tuple[str, str]]:
    lines = (Path(__file__).parent / f"questions_{name}.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" | ") for line in lines if not line.startswith("#")]
    return [(sentence, asked) for asked, sentence in pairs]


RUSSIAN, ENGLISH = table("russian"), table("english")


@pytest.mark.parametrize("sentences", [RUSSIAN, ENGLISH], ids=["russian", "english"])
def test_a_language_has_fifty_sentences_of_all_kinds(sentences: list[tuple[str, str]]) -> None:
    assert len(dict(sentences)) == len(sentences) >= 50
    assert {asked for _, asked in sentences} == set(Asked)


@pytest.mark.parametrize(("sentence", "asked"), [*RUSSIAN, *ENGLISH])
def test_a_sentence_asks_what_the_table_says(sentence: str, asked: str) -> None:
    assert what_was_asked(sentence) == asked


@pytest.mark.parametrize(("sentence", "asked"), [*RUSSIAN, *ENGLISH])
@pytest.mark.parametrize("before", ["Хорошо, я посмотрела расписание. ", "Okay, I have looked it up. ", "Really? "])
def test_the_sentences_before_the_last_one_change_nothing(before: str, sentence: str, asked: str) -> None:
    assert what_was_asked(before + sentence) == asked


@pytest.mark.parametrize(
    "text", ["Да?", "«Да?»", "Верно? 👍 ", 'So "why?"', "Правда?!", "Что?..", "(Да?)", "**Да?**", "?", "什么？"]
)
def test_a_question_is_one_whatever_marks_follow(text: str) -> None:
    assert is_question(text)
    assert what_was_asked(text) is Asked.QUESTION


@pytest.mark.parametrize("text", ["", "Да.", "Да? Хорошо.", "?!а", " "])
def test_a_statement_is_not_a_question(text: str) -> None:
    assert not is_question(text)
    assert what_was_asked(text) is Asked.NOTHING


@given(st.text(max_size=60))
def test_any_text_can_be_asked_about(text: str) -> None:
    assert not is_question(text.strip()) or what_was_asked(text) is Asked.QUESTION
