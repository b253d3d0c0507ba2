"""What people say in Russian and English, and what is stored of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.redaction.finder import Finder
from app.redaction.numbers import regions_of
from app.redaction.redactor import Redactor

REGIONS = regions_of(["ru", "en"], [])
FINDER = Finder(("cards", "phones", "emails"), REGIONS)


def _read() -> Iterator[tuple[str, str]]:
    """Each with what is stored of it."""
    for language in ("russian", "english"):
        for line in Path(__file__).with_name(f"{language}.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                said, _, stored = line.partition(" => ")
                yield said, stored or said


SENTENCES = list(_read())


@pytest.mark.parametrize(("said", "stored"), SENTENCES)
def test_of_what_a_caller_says_this_is_stored(said: str, stored: str) -> None:
    assert Redactor(FINDER).ended(said) == stored


@pytest.mark.parametrize(("said", "stored"), SENTENCES)
def test_what_is_redacted_once_stays_as_it_is(said: str, stored: str) -> None:
    assert Redactor(FINDER).ended(stored) == stored


def test_there_are_enough_of_each_kind() -> None:
    every = SENTENCES
    changed = sum(said != stored for said, stored in every)

    assert len(every) >= 100
    assert changed >= 40
    assert len(every) - changed >= 40
