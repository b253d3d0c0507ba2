"""Numbers and dates in languages other than Russian and English."""

import pytest

from app.speech_text.verbalize import speakable

SAID = [
    ("de", "Es kostet 1.500 Euro, also 3,5 mehr.", "Es kostet eintausendfünfhundert Euro, also drei Komma fünf mehr."),
    ("de", "Zimmer 7, Etage 2", "Zimmer sieben, Etage zwei"),
    ("de-AT", "am 2026-12-03", "am 3. Dezember zweitausendsechsundzwanzig"),
    ("fr", "21 euros, 1 500 francs", "vingt et un euros, mille cinq cents francs"),
    ("es", "Hay 3 citas", "Hay tres citas"),
    ("pl", "Masz 5 wizyt", "Masz pięć wizyt"),
]
AS_WRITTEN = [
    ("de", "Am 1. Dezember um 14:30"),
    ("de", "Nummer 0170 1234567"),
    ("de", "Tel. +49 30 123"),
    ("de", "Code 12 34 56"),
    ("de", "Version 1.2.3.4.5.6.7.8"),
    ("de", "2026-13-45"),
    ("xx", "5 y"),
    ("gsw", "5 Minute"),
]


@pytest.mark.parametrize(("language", "written", "said"), SAID)
def test_numbers_are_read_by_the_rules_of_their_language(language: str, written: str, said: str) -> None:
    assert speakable(written, language).text == said


@pytest.mark.parametrize(("language", "written"), AS_WRITTEN)
def test_what_the_rules_do_not_know_stays_for_the_voice(language: str, written: str) -> None:
    assert speakable(written, language).text == written


def test_the_written_text_is_covered_word_by_word() -> None:
    spoken = speakable("Zimmer 21 ist frei", "de")

    assert spoken.text == "Zimmer einundzwanzig ist frei"
    assert [spoken.written_length(words) for words in range(5)] == [0, 6, 9, 13, 18]
