"""What counts as the caller's agreement to be recorded."""

import pytest

from app.conversation.consent import agrees, asks_for_more

YES = [
    "да", "Да, конечно.", "Ага", "согласна", "Не против", "Я не возражаю", "Нет проблем", "можно", "Хорошо, давайте",
    "Да, я хочу записаться на приём", "yes", "Yeah sure", "I don't mind", "No problem.", "okay", "Okay, go ahead.",
    "Ja, gerne", "Kein Problem", "Sí, claro", "D'accord", "Oui", "[keypad] 1",
]  # fmt: skip
NO = [
    "нет", "Нет, не надо", "Да нет", "Не согласен", "Я против", "Да, но без записи", "Да, только не записывайте",
    "no", "No, thank you", "I don't want that", "Yes, but do not record me", "Nein danke", "Non", "[keypad] 2",
]  # fmt: skip
NEITHER = [
    "", "Что?", "А зачем?", "Можно записаться на завтра?", "Okay, I need an appointment", "Алло",
    "I want to book a table", "Good morning", "[keypad] 12", "[keypad] 3", "I don't mind, no", "well",
]  # fmt: skip


@pytest.mark.parametrize(("said", "means"), [*((t, True) for t in YES), *((t, False) for t in NO)])
def test_a_clear_answer(said: str, means: bool) -> None:
    assert agrees(said) is means


@pytest.mark.parametrize("said", NEITHER)
def test_no_answer(said: str) -> None:
    assert agrees(said) is None


def test_a_long_answer_asks_for_something_too() -> None:
    assert asks_for_more("Да, я хочу записаться на завтра", agreed=True)
    assert not asks_for_more("Да, да, конечно, можно", agreed=True)
    assert not asks_for_more("Нет, я не хочу, чтобы меня записывали", agreed=False)
