"""Which small words mean "go on", and which mean "be silent"."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.conversation.backchannels import is_backchannel, is_stop_word

LISTENING = [
    "угу", "Ага.", "да", "Да-да", "да-да-да-да", "так", "хорошо", "ок", "Понятно!", "ясно", "мм", "Ммм...", "мгм",
    "даааа",    "да, хорошо", "угу угу", "так, хорошо, понятно", "всё ясно", "Все понятно", "ну да",
    "yes", "Yeah", "uh-huh", "Uh huh.", "mhm", "mm-hmm", "right", "Okay", "sure", "got it", "I see", "all right",
    "ok, got it",
]  # fmt: skip
NOT_LISTENING = [
    "", "...", "нет", "да, но сколько", "да нет", "стоп", "подожди", "подождите", "wait", "stop", "no", "не хорошо",
    "хорошо а сколько стоит", "yes but", "во вторник", "алло", "да хорошо понятно ясно", "not right", "ja", "vale",
]  # fmt: skip
STOPPING = [
    "стоп", "Стоп!", "подожди", "Подождите, а сколько стоит?", "хватит", "погодите", "да подождите вы", "нет, стоп",
    "минуточку", "одну секунду", "stop", "Wait", "hold on", "Hold on a second", "ok, stop", "please wait", "hang on",
]  # fmt: skip
NOT_STOPPING = [
    "",
    "нет",
    "стопка книг",
    "я не могу подождать",
    "I can't wait",
    "остановка",
    "no",
    "hold",
]


@pytest.mark.parametrize("language", ["ru", "en", "de", None])
@pytest.mark.parametrize("text", LISTENING)
def test_a_listener_is_not_taken_for_a_speaker(text: str, language: str | None) -> None:
    assert is_backchannel(text, language)


@pytest.mark.parametrize("language", ["ru", "en", None])
@pytest.mark.parametrize("text", NOT_LISTENING)
def test_words_with_a_meaning_are_no_acknowledgement(text: str, language: str | None) -> None:
    assert not is_backchannel(text, language)


def test_the_words_of_the_calls_language_count_too() -> None:
    assert is_backchannel("ja, genau", "de-DE")
    assert is_backchannel("vale", "es")
    assert not is_backchannel("nein", "de")


@pytest.mark.parametrize("text", STOPPING)
def test_a_command_to_be_silent_is_one(text: str) -> None:
    assert is_stop_word(text)
    assert not is_backchannel(text, "ru")


@pytest.mark.parametrize("text", [*NOT_STOPPING, *LISTENING])
def test_other_words_are_no_command(text: str) -> None:
    assert not is_stop_word(text)


SAID = st.lists(st.sampled_from([*LISTENING, *STOPPING, "нет", "ja", "но"]), min_size=1, max_size=4).map(" ".join)


@settings(max_examples=200)
@given(SAID, st.sampled_from(["ru", "en", "de", None]))
def test_no_text_is_both_an_acknowledgement_and_a_command(text: str, language: str | None) -> None:
    assert not (is_backchannel(text, language) and is_stop_word(text))


@settings(max_examples=50)
@given(st.text(max_size=30))
def test_any_text_can_be_asked_about(text: str) -> None:
    answers = (is_backchannel(text, text), is_stop_word(text))
    assert not any(answers) or text.strip()
