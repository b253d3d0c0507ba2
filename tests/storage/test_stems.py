"""Words without what differs between a question and its answer."""

from app.storage.stems import SearchedWord, searched_words


def stems(text: str, language: str) -> list[str]:
    return [word.stem for word in searched_words(text, language)]


def test_endings_case_and_marks_do_not_matter() -> None:
    assert stems("Стоянкой, СТОЯНКИ", "ru") == stems("стоянка стоянку", "en") == ["стоянк", "стоянк"]
    assert stems("Bookings: booked", "en") == ["book", "book"]


def test_words_that_every_question_has_are_left_out() -> None:
    assert stems("Скажите, пожалуйста, сколько у вас стоит МРТ?", "ru") == ["сто", "мрт"]
    assert stems("Could you tell me what the X-ray costs?", "en") == ["x", "ray", "cost"]


def test_numbers_stay() -> None:
    assert stems("кабинет 12", "ru") == ["кабинет", "12"]


def test_a_long_word_has_a_beginning_where_its_stemmer_errs() -> None:
    visit, visits = searched_words("приём приёмами", "ru")

    assert visit == SearchedWord("прием", "при")
    assert visit.stem != visits.stem
    assert visit.beginning == "прие"
    assert visits.word.startswith("прие")
    assert SearchedWord("цена", "цен").beginning is None
