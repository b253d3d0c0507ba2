"""How complete a caller's words are, in tables: ``completeness_russian.txt`` and ``completeness_english.txt``."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversation.completeness import Completeness, completeness, is_bare_answer
from app.conversation.expected_answers import NO_ANSWER, expected_answer


def table(name: str) -> list[tuple[str, str, str]]:
    lines = (Path(__file__).parent / f"completeness_{name}.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if not line.startswith("#")]
    return [(asked, said, how) for how, asked, said in rows]


RUSSIAN, ENGLISH = table("russian"), table("english")


@pytest.mark.parametrize("rows", [RUSSIAN, ENGLISH], ids=["russian", "english"])
def test_a_language_has_fifty_rows_of_all_kinds(rows: list[tuple[str, str, str]]) -> None:
    assert len(set(rows)) == len(rows) >= 50
    assert {how for _, _, how in rows} == set(Completeness)


@pytest.mark.parametrize(("asked", "said", "how"), [*RUSSIAN, *ENGLISH])
def test_words_are_as_complete_as_the_table_says(asked: str, said: str, how: str) -> None:
    assert completeness(said, expected_answer(asked)) == how


@pytest.mark.parametrize(("asked", "said", "how"), [row for row in [*RUSSIAN, *ENGLISH] if "?" not in row[1]])
def test_capitals_and_the_full_stop_of_a_recogniser_change_nothing(asked: str, said: str, how: str) -> None:
    written = said.rstrip(".") if said.endswith(("…", ",")) else f"{said.rstrip('.').capitalize()}."
    assert completeness(written, expected_answer(asked)) == how


@pytest.mark.parametrize(
    "text", ["да", "Да-да.", "нет", "да, хорошо, давайте", "no", "Yes, please!", "no no", "okay sure", "Нет, не надо."]
)
def test_a_bare_answer(text: str) -> None:
    assert is_bare_answer(text)


@pytest.mark.parametrize(
    "text", ["", "...", "да во вторник", "нет но", "я не знаю", "yes on Tuesday", "no one", "yes but", "наверное"]
)
def test_no_bare_answer(text: str) -> None:
    assert not is_bare_answer(text)


@given(st.text(max_size=60))
def test_any_words_can_be_judged(text: str) -> None:
    assert completeness(text, NO_ANSWER) is not Completeness.WHOLE or "@" in text or "." in text or " " in text
