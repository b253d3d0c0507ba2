"""The words of a turn that several connections have heard: none that was known gets lost."""

from app.clients.fallback.open_turn import is_shorter, with_rest_of
from app.ports.streams import HeardWord, Transcript

KNOWN = "when do you open"


def heard(text: str, *, begins: float = 1.0, timed: bool = True) -> Transcript:
    """Each word takes 0.3 s."""
    words = [HeardWord(word, begins + 0.3 * at, begins + 0.3 * at + 0.3, 0.9) for at, word in enumerate(text.split())]
    return Transcript(text, tuple(words) if timed else (), way="second")


def test_what_was_known_stays_behind_what_is_heard_again() -> None:
    for again in ("", "when", "When do", "When do you"):
        for timed in (True, False):
            together = with_rest_of(heard(KNOWN), heard(again, timed=timed))
            assert is_shorter(heard(again, timed=timed), heard(KNOWN))
            assert (together.text.lower(), together.way) == (KNOWN, "second")


def test_words_that_are_heard_differently_replace_the_known_ones_by_their_place() -> None:
    together = with_rest_of(heard(KNOWN), heard("then you"))

    assert together.text == "then you you open"
    assert [word.text for word in together.words] == together.text.split()


def test_nothing_is_missing_when_as_much_was_heard() -> None:
    assert not is_shorter(heard("when do you open"), heard(KNOWN))
    assert not is_shorter(heard("when do you open on Sunday"), heard(KNOWN))
    assert not is_shorter(heard("where", begins=3.0), heard(KNOWN))
