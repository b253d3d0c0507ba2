"""Estimates of tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clients.text_tokens import estimate_text_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),  # counted with the vocabulary o200k_base
    [
        ("", 0),
        ("Здравствуйте! Вы позвонили в клинику. Подскажите, пожалуйста, на какое время вас записать?", 23),
        ("К сожалению, на эту дату свободных мест нет. Могу предложить вторник или среду.", 23),
        ("Please put me through to an operator, this is the third time I'm calling.", 17),
        ('{"to": "+79215551234", "reason": "caller asked for a human"}', 22),
        ("+7 (921) 555-12-34", 13),
    ],
)
def test_the_estimate_is_within_a_third_of_the_vocabulary(text: str, tokens: int) -> None:
    assert estimate_text_tokens(text) == pytest.approx(tokens, rel=0.34)


def test_half_a_surrogate_pair_can_be_estimated() -> None:
    assert estimate_text_tokens("\ud83d") >= 0


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(text: str, more: str) -> None:
    assert estimate_text_tokens(text + more) >= estimate_text_tokens(text)
