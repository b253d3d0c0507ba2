from app.clients.cartesia_context import SpokenContext, letters
from app.clients.streams import SpokenWord


def context_given(text: str, *, now: float = 0.0) -> SpokenContext:
    context = SpokenContext("c", starts_at=0.0, now=now)
    context.given(text, now)
    return context


def words(text: str) -> tuple[SpokenWord, ...]:
    return tuple(SpokenWord(word, 0.0, 0.1) for word in text.split())


def test_only_letters_and_digits_make_a_sound() -> None:
    assert letters("Да, 25 ₽!") == 4


def test_text_without_sound_is_owed() -> None:
    assert context_given("Привет.").owes


def test_text_whose_words_came_is_not_owed() -> None:
    context = context_given("Привет, мир!")
    context.gave_audio(1.0)
    context.gave_words(words("Привет, мир!"), 1.0)
    assert not context.owes


def test_the_second_clause_is_owed_while_only_the_first_was_spoken() -> None:
    context = context_given("Привет, ")
    context.given("как у вас дела?", 0.1)
    context.gave_audio(0.2)
    context.gave_words(words("Привет,"), 0.2)
    assert context.owes


def test_a_word_written_in_the_vendors_own_way_is_not_owed_for_ever() -> None:
    context = context_given("Подтверждаю вашу запись на четверг, 5-го.")
    context.gave_audio(1.0)
    context.gave_words(words("Подтверждаю вашу запись на четверг, 5"), 1.0)
    assert not context.owes


def test_without_any_word_times_sound_after_the_text_pays_for_it() -> None:
    context = context_given("Привет.")
    context.gave_audio(1.0)
    assert not context.owes
    context.given("Ещё.", 1.1)
    assert context.owes


def test_the_end_is_owed_even_when_all_was_spoken() -> None:
    context = context_given("Да.")
    context.gave_audio(1.0)
    context.gave_words(words("Да."), 1.0)
    context.ended(2.0)
    assert context.owes
    assert context.progress_at == 2.0


def test_patience_counts_from_the_text_after_a_pause_and_not_from_the_sound_before_it() -> None:
    context = context_given("Да.", now=0.0)
    context.gave_audio(1.0)
    context.gave_words(words("Да."), 1.0)
    context.given("Нет.", 9.0)
    assert context.progress_at == 9.0


def test_more_text_does_not_prolong_the_patience_for_what_is_owed() -> None:
    context = context_given("Да.", now=0.0)
    context.given("Нет.", 1.0)
    assert context.progress_at == 0.0


def test_a_context_is_idle_when_it_has_spoken_and_then_been_silent() -> None:
    context = context_given("Да.")
    assert not context.is_idle(5.0, 0.8)
    context.gave_audio(5.0)
    context.gave_words(words("Да."), 5.0)
    assert not context.is_idle(5.5, 0.8)
    assert context.is_idle(6.0, 0.8)
