"""Who says goodbye, in tables to be read aloud: ``farewells_russian.txt`` and ``farewells_english.txt``."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversation.farewells import AGENT, CALLER, Farewells, is_farewell, is_thanks, says_farewell


def table(name: str) -> list[tuple[str, str]]:
    lines = (Path(__file__).parent / f"farewells_{name}.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" | ") for line in lines if not line.startswith("#")]
    return [(sentence, kind) for kind, sentence in pairs]


RUSSIAN, ENGLISH = table("russian"), table("english")


def kind_of(text: str) -> str:
    if is_farewell(text):
        return "farewell"
    return "thanks" if is_thanks(text) else "more"


@pytest.mark.parametrize("sentences", [RUSSIAN, ENGLISH], ids=["russian", "english"])
def test_a_language_has_sixty_sentences_of_all_kinds(sentences: list[tuple[str, str]]) -> None:
    assert len(dict(sentences)) == len(sentences) >= 60
    assert {kind for _, kind in sentences} == {"farewell", "thanks", "more"}


@pytest.mark.parametrize(("sentence", "kind"), [*RUSSIAN, *ENGLISH])
def test_a_sentence_is_of_the_kind_that_the_table_says(sentence: str, kind: str) -> None:
    assert kind_of(sentence) == kind


@pytest.mark.parametrize(("sentence", "kind"), [*RUSSIAN, *ENGLISH])
def test_the_marks_and_the_letters_of_the_recogniser_change_nothing(sentence: str, kind: str) -> None:
    if "?" not in sentence and "нет пока" not in sentence.lower():
        assert kind_of(sentence.lower().replace("!", ".")) == kind


SAID_BY_AGENT = [
    ("Всего доброго, до свидания!", True),
    ("Спасибо за звонок, хорошего вам дня. До свидания!", True),
    ("Записала вас на десять. Ждём вас, до встречи!", True),
    ("Рада была помочь. Хорошего дня!", True),
    ("До свидания! Если появятся вопросы, звоните.", True),
    ("Спасибо. Пока!", True),
    ("До завтра!", True),
    ("Мы работаем до пятницы.", False),
    ("Пока мест нет.", False),
    ("Хорошего врача зовут Анна.", False),
    ("До свидания мы обычно говорим в конце разговора, а сейчас только начало.", False),
    ("Thank you for calling, and have a good day. Goodbye!", True),
    ("You're welcome. Take care!", True),
    ("Great, see you tomorrow at ten.", True),
    ("Goodbye! We look forward to your visit.", True),
    ("Have a nice day, Anna.", True),
    ("We take care of that for you.", False),
    ("You can say goodbye to long waits with our new booking service.", False),
    ("It will be ready later.", False),
    ("", False),
]


@pytest.mark.parametrize(("text", "farewell"), SAID_BY_AGENT)
def test_what_the_agent_says_is_a_goodbye_if_it_ends_in_one(text: str, farewell: bool) -> None:
    assert says_farewell(text) is farewell


@pytest.mark.parametrize(
    ("sides", "exchanges"),
    [
        ((AGENT,), 0),
        ((AGENT, AGENT), 0),
        ((AGENT, CALLER), 1),
        ((CALLER, AGENT), 1),
        ((AGENT, CALLER, CALLER), 1),
        ((AGENT, CALLER, AGENT), 1),
        ((AGENT, CALLER, AGENT, CALLER), 2),
        ((CALLER, AGENT, CALLER, AGENT), 2),
    ],
)
def test_an_exchange_is_a_goodbye_of_each_side(sides: tuple[str, ...], exchanges: int) -> None:
    farewells = Farewells()
    for number, side in enumerate(sides, start=1):
        if side == AGENT:
            farewells.note_agent(number, "Thank you. Goodbye!")
        else:
            farewells.note_caller()

    assert farewells.exchanges == exchanges


@given(st.text(max_size=80))
def test_any_text_can_be_asked_about(text: str) -> None:
    assert not (is_farewell(text) and not text.strip())
    says_farewell(text)
    is_thanks(text)
