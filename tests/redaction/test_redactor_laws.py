"""Laws of redaction, whatever is said and however it is cut."""

import re

from hypothesis import given
from hypothesis import strategies as st

from app.redaction.finder import KEPT_DIGITS, Finder
from app.redaction.marks import is_marked
from app.redaction.numbers import CARD_DIGITS, is_card, regions_of
from app.redaction.redactor import Redactor

FINDER = Finder(("cards", "phones", "emails"), regions_of(["ru", "en"], []))
_NAMES = {
    "ru": ["ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять"],
    "en": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
}
_PLAIN = [
    "я",
    "хотел",
    "бы",
    "записаться",
    "к",
    "врачу",
    "на",
    "пятницу",
    "утром",
    "please",
    "could",
    "you",
    "tell",
    "me",
    "about",
    "a",
    "visit",
    "on",
    "friday",
    "thanks",
]


@st.composite
def cards(draw: st.DrawFn) -> str:
    """Digits that pass Luhn. They begin like a card: no card of people begins with a zero."""
    size = draw(st.sampled_from(CARD_DIGITS))
    begun = draw(st.sampled_from("23456")) + draw(st.text("0123456789", min_size=size - 2, max_size=size - 2))
    return next(number for last in "0123456789" if is_card(number := begun + last))


@st.composite
def pieces(draw: st.DrawFn, digits: str) -> list[str]:
    """The digits cut anywhere."""
    cuts = sorted(draw(st.sets(st.integers(1, len(digits) - 1), max_size=6)))
    return [digits[first:last] for first, last in zip([0, *cuts], [*cuts, len(digits)], strict=True)]


def written(digits: str, draw: st.DrawFn) -> str:
    """The same, in figures or in words, with pauses."""
    match draw(st.sampled_from(["figures", "spaces", "groups", "ru", "en"])):
        case "figures":
            return digits
        case "spaces":
            return " ".join(digits)
        case "groups":
            return "-".join(re.findall(r"\d{1,4}", digits))
        case language:
            return draw(st.sampled_from([" ", ", "])).join(_NAMES[language][int(digit)] for digit in digits)


def digits_in(text: str) -> str:
    """The digits that can be read in it."""
    for names in _NAMES.values():
        for digit, name in enumerate(names):
            text = re.sub(rf"\b{name}\b", str(digit), text)
    return "".join(re.findall(r"\d", text))


@given(st.data())
def test_of_a_card_in_several_turns_at_most_the_first_six_digits_are_stored(data: st.DataObject) -> None:
    card = data.draw(cards())
    redactor = Redactor(FINDER)
    before = data.draw(st.sampled_from(["", "моя карта ", "it is "]))
    stored = ""
    for number, piece in enumerate(data.draw(pieces(card))):
        text = ("" if number else before) + written(piece, data.draw)
        interims = [redactor.interim(text[:size]) for size in range(0, len(text), 5)]
        ended, taken = redactor.ended(text), redactor.taken(text)
        assert ended == taken or is_marked(ended + taken)
        assert all(len(digits_in(interim)) <= KEPT_DIGITS for interim in interims)
        stored += digits_in(taken)

    assert len(stored) <= KEPT_DIGITS
    assert card.startswith(stored)


@given(st.data())
def test_keys_of_a_card_are_not_stored_either(data: st.DataObject) -> None:
    card = data.draw(cards())
    redactor = Redactor(FINDER)
    stored, taken = "", ""
    for piece in data.draw(pieces(card)):
        stored += "".join(redactor.key(digit) for digit in piece)
        taken += redactor.taken(f"[keypad] {piece}")

    assert len(digits_in(stored)) <= KEPT_DIGITS
    assert len(digits_in(taken)) <= KEPT_DIGITS


@given(st.data())
def test_a_known_card_is_taken_out_of_everything_that_follows(data: st.DataObject) -> None:
    card = data.draw(cards())
    redactor = Redactor(FINDER)
    redactor.taken(card)
    cut = data.draw(pieces(card))
    clauses = "".join(redactor.clause(1, f"{piece}, ") for piece in cut)
    _, generated = redactor.spoken(1, "", f"Ваша карта {' '.join(cut)}, верно?")
    arguments = redactor.json_text(f'{{"card": "{card}", "number": {card}, "part": "{card[2:9]}"}}')

    assert len(digits_in(clauses)) <= KEPT_DIGITS
    assert digits_in(generated) == ""
    assert digits_in(arguments) == ""


@given(st.lists(st.sampled_from(_PLAIN), max_size=12), st.sampled_from(["ended", "taken", "interim", "plain"]))
def test_words_without_digits_and_signs_are_never_changed(said: list[str], how: str) -> None:
    text = " ".join(said)

    assert getattr(Redactor(FINDER), how)(text) == text


_TEXTS = st.lists(
    st.one_of(
        st.sampled_from([*_PLAIN, *_NAMES["ru"], *_NAMES["en"], "собака", "точка", "at", "dot", "gmail", "ru", "com"]),
        st.sampled_from(
            ["почта", "my email is", "заказ", "order", "карта", "телефон", "[card]", "+7", "(495)", "@", "."]
        ),
        st.integers(0, 10**6).map(str),
        cards(),
        st.text(max_size=6),
    ),
    max_size=12,
).map(" ".join)


@given(_TEXTS)
def test_what_is_redacted_is_not_redacted_again(text: str) -> None:
    once = Redactor(FINDER).ended(text)

    assert Redactor(FINDER).ended(once) == once


@given(_TEXTS, st.integers(0, 80))
def test_what_was_heard_stays_a_beginning_of_what_was_generated(generated: str, size: int) -> None:
    redactor = Redactor(FINDER)
    redactor.generated(1, generated)
    paused = redactor.beginning(1, generated[:size])
    heard, whole = redactor.spoken(1, generated[:size], generated)

    assert whole.startswith(heard)
    assert paused == heard


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
        max_leaves=8,
    )
)
def test_json_of_any_shape_stays_json(value: object) -> None:
    kept = Redactor(FINDER).value(value)

    assert type(kept) is type(value) or isinstance(kept, str)
