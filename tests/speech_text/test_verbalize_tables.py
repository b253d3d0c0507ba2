"""What the caller hears of what a model writes, in tables to be read aloud: ``russian.txt`` and ``english.txt``."""

from pathlib import Path

import pytest

from app.speech_text.clauses import ClauseSplitter
from app.speech_text.verbalize import speakable


def table(language: str, name: str) -> list[tuple[str, str, str]]:
    lines = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" → ") for line in lines if not line.startswith("#")]
    return [(language, written.replace("⏎", "\n"), heard) for written, heard in pairs]


SENTENCES = [*table("ru", "russian"), *table("en", "english")]


def test_there_are_as_many_sentences_as_promised() -> None:
    assert len({(language, written) for language, written, _ in SENTENCES}) == len(SENTENCES) >= 270


@pytest.mark.parametrize("delta", [1, 3, 1000], ids=["by character", "by three", "at once"])
@pytest.mark.parametrize(("language", "written", "heard"), SENTENCES)
def test_a_sentence_is_heard_as_the_table_says(language: str, written: str, heard: str, delta: int) -> None:
    splitter = ClauseSplitter()
    pieces = [written[at : at + delta] for at in range(0, len(written), delta)]
    clauses = [clause for piece in pieces for clause in splitter.feed(piece)] + splitter.finish()

    assert "".join(clauses) == written
    assert " ".join("".join(speakable(clause, language).text for clause in clauses).split()) == heard
