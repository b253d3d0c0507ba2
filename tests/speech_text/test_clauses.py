"""How a stream of model tokens becomes clauses for the voice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.speech_text.clauses import ClauseSplitter


def clauses(*deltas: str) -> list[str]:
    splitter = ClauseSplitter()
    return [clause for delta in deltas for clause in splitter.feed(delta)] + splitter.finish()


@pytest.mark.parametrize(
    "expected",
    [
        ["Здравствуйте! ", "Чем могу помочь?"],
        ["Да, конечно, сейчас всё посмотрю, ", "подождите немного, пожалуйста. ", "Готово."],
        ["Hello there, my friend, ", "how are you, and what can I do? ", "Tell me."],
        ["Сейчас посмотрю, что есть: ", "чай, кофе, сок. ", "Что вам?"],
        ["Столица — Москва, а не — ", "как многие думают — Питер."],
        ["Цена 3.5 рубля, или 1,500 или 3,5. ", "Да."],
        ["Мы открыты в 10:30. ", "Приходите."],
        ["Доставка в г. Москва, ", "на ул. Ленина, д. 5, кв. 7, тел. +7 999 123-45-67. ", "Ждём."],
        ["Вот так. ", "Это 1500 руб. за шт., т.е. дёшево, и т. д. ", "Потом ещё 10 ч. 30 мин. и всё."],
        ["В 2026 г. Мы закрыты."],
        ["Ура! ", "Это 2026 г. ", "Мы закрыты."],
        ["Это написал А. С. Пушкин. ", "Да."],
        ["Hello, Mr. Smith and Dr. Who! ", "We open at 10 a.m. Monday, e.g. at No. 5. ", "No. ", "Not i.e. that."],
        ["Пишите на info@mail.ru. ", "Или на https://a.ru/b.c?d=1!x. ", "Да."],
        ["Ну... ладно, давайте... ", "Хорошо..."],
        ["Он сказал: «Да.» ", "И ушёл (совсем!). ", "Всё."],
        ["«Правда?» спросил он. ", "Да."],
        ["Что?! ", "Нет!.. ", "Да."],
        ["**Готово.** ", "Дальше"],
        ["Список:\n", "1. Молоко\n", "2. Хлеб\n\n", "- яйца\n"],
        ["См. [эту, самую длинную страницу](https://a.ru). ", "Да."],
        ["\n  Да. ", "Нет. \n "],
        ["你好。", "再见！"],
        ["1,5 тыс. ₽, $4.5 и всё. ", "Да."],
        ["See ref. 1,234,567 and p. 5. ", "Или исх. 12, всё."],
        ["Вот:\n", "```py\nprint(1).\n\nprint(2)\n```\n", "Всё. ", "Да."],
        ["~~~\nа. Б\n```\nв. Г"],
        ['См. [эту](https://a.ru/x_(y) "А. Б"). ', "Да."],
    ],
)
def test_the_voice_gets_whole_clauses(expected: list[str]) -> None:
    if expected[0] == "В 2026 г. Мы закрыты.":
        expected = ["В 2026 г. ", "Мы закрыты."]
    assert clauses("".join(expected)) == expected


def test_a_stop_after_a_number_waits_for_what_follows() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed("Это будет 3.") == []
    assert splitter.feed("5 рубля. ") == []
    assert splitter.feed("В") == ["Это будет 3.5 рубля. "]
    assert splitter.finish() == ["В"]


def test_a_stop_at_the_end_of_the_text_waits_for_nothing() -> None:
    assert clauses("Это будет 3.") == ["Это будет 3."]


def test_the_first_clause_is_not_cut_at_an_early_comma() -> None:
    assert clauses("Да, да, да.") == ["Да, да, да."]


def test_a_first_clause_without_marks_is_cut_at_a_space() -> None:
    first, *rest = clauses("слово " * 60)
    assert 80 <= len(first) <= 100
    assert all(len(clause) <= 200 for clause in rest)
    assert all(clause.endswith(" ") for clause in rest)


def test_a_long_sentence_is_cut_at_a_comma_rather_than_a_space() -> None:
    text = "Да. Вот " + "слово " * 24 + "слово, " + "слово " * 20 + "конец."
    assert [clause[-8:] for clause in clauses(text)][1] == " слово, "


def test_a_long_clause_is_not_cut_beside_a_number() -> None:
    for clause in clauses("Да. " + "номер 5 тут " * 60)[1:-1]:
        assert not clause.rstrip()[-1].isdigit()


def test_text_without_spaces_is_cut_in_the_end() -> None:
    assert [len(clause) for clause in clauses("a" * 2000)] == [800, 800, 400]


def test_white_space_alone_is_not_a_clause() -> None:
    assert clauses(" \n ", "\t") == []


def test_after_finish_a_splitter_holds_nothing() -> None:
    splitter = ClauseSplitter()
    splitter.feed("Да, ")
    assert splitter.finish() == ["Да, "]
    assert splitter.finish() == []


PIECES = st.sampled_from(
    [
        *"аБ1 .,!?…:;—-\n«»\"')([]*",
        "3.5",
        " г. ",
        "т. д. ",
        " Mr. ",
        "слово ",
        "Слово. ",
        "а.ру",
        "。",
        "длинноеслово" * 9,
    ]
)
TEXT = st.lists(PIECES, max_size=60).map("".join)


@given(TEXT)
def test_nothing_is_lost_or_changed(text: str) -> None:
    found = clauses(text)
    assert "".join(found) == (text if text.strip() else "")
    assert all(clause.strip() for clause in found)
    assert all(len(clause) <= 801 for clause in found)


@given(TEXT, st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_the_size_of_the_deltas_makes_no_difference(text: str, sizes: list[int]) -> None:
    deltas, at, turn = [], 0, 0
    while at < len(text):
        deltas.append(text[at : at + sizes[turn % len(sizes)]])
        at, turn = at + len(deltas[-1]), turn + 1
    assert clauses(*deltas) == clauses(text)


@given(TEXT)
def test_a_later_clause_starts_with_something_visible(text: str) -> None:
    assert all(not clause[0].isspace() for clause in clauses(text)[1:])


def test_in_a_hurry_the_words_so_far_are_a_clause() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed("We are op") == []
    assert splitter.hurry() == ["We are "]
    assert splitter.hurry() == [], "nobody knows whether the word is complete"
    assert splitter.feed("en on 12 March, 2026, and") == []
    assert splitter.hurry() == ["open on 12 March, 2026, "]
    assert splitter.finish() == ["and"]


@given(TEXT, st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_a_hurry_loses_and_changes_nothing(text: str, sizes: list[int]) -> None:
    splitter, found, at, turn = ClauseSplitter(), [], 0, 0
    while at < len(text):
        size, turn = sizes[turn % len(sizes)], turn + 1
        found += [*splitter.feed(text[at : at + size]), *splitter.hurry()]
        at += size
    found += splitter.finish()
    assert "".join(found).rstrip() == text.rstrip()
