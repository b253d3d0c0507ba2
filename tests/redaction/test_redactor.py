from app.redaction.finder import Finder
from app.redaction.numbers import regions_of
from app.redaction.redactor import Redactor

CARD = "4539 5787 6362 1486"
REGIONS = regions_of(["ru", "en"], [])


def a_redactor(*categories: str) -> Redactor:
    return Redactor(Finder(categories or ("cards", "phones", "emails"), REGIONS))  # type: ignore[arg-type]  # the names


def test_only_what_was_asked_for_is_taken_out() -> None:
    said = f"{CARD}; +1 415 555 2671; john.smith@gmail.com"

    assert a_redactor("cards").plain(said) == "[card]; +1 415 555 2671; john.smith@gmail.com"
    assert a_redactor("phones").plain(said) == f"{CARD}; [phone]; john.smith@gmail.com"
    assert a_redactor("emails").plain(said) == f"{CARD}; +1 415 555 2671; [email]"


def test_interim_words_show_too_little_rather_than_too_much() -> None:
    redactor = a_redactor()
    interims = ["order 4539 57", "order 4539 5787", "my e-mail is john", "my e-mail is john dot"]

    assert [redactor.interim(text) for text in interims] == [
        "order 4539 57",
        "order [digits]",
        "my e-mail is [email]",
        "my e-mail is [email]",
    ]
    assert redactor.ended("order 4539 5787") == "order 4539 5787"


def test_a_number_goes_on_in_the_next_turn() -> None:
    redactor = a_redactor()

    assert [
        redactor.taken(text) for text in ("It is 4539 57", "87 63", "one second", "and then 62 1486", "Thanks")
    ] == [
        "It is 4539 57",
        "[digits]",
        "one second",
        "and then [card]",
        "Thanks",
    ]


def test_a_few_words_between_the_pieces_hide_nothing() -> None:
    redactor = a_redactor()
    said = ("It is 4539 57 for now", "the second part is 8763", "another bit: 6214", "and finally 86")

    assert [redactor.taken(text) for text in said] == [
        "It is 4539 57 for now",
        "the second part is [digits]",
        "another bit: [digits]",
        "and finally [card]",
    ]


def test_a_telephone_number_goes_on_in_the_next_turn() -> None:
    redactor = a_redactor("phones")

    assert [redactor.taken(text) for text in ("мой номер 8 916", "123 45 67")] == ["мой номер 8 916", "[phone]"]


def test_an_address_goes_on_in_the_next_turn() -> None:
    redactor = a_redactor("emails")
    redactor.heard("What is your e-mail?", goes_on=True, asks_for_email=True)

    said = ("john dot smith", "at gmail dot com", "yes")
    assert [redactor.taken(text) for text in said] == ["[email]", "[email]", "yes"]


def test_a_turn_that_was_heard_in_parts_is_one() -> None:
    redactor = a_redactor()

    assert [redactor.ended(text) for text in ("4539 57", "87 6362 1486")] == ["4539 57", "[card]"]
    assert redactor.taken("4539 57 87 6362 1486") == "[card]"
    assert redactor.taken("I am 45") == "I am 45"


def test_a_short_turn_is_the_same_whether_it_was_heard_or_taken() -> None:
    redactor = a_redactor()

    assert redactor.ended("4539 57") == redactor.taken("4539 57") == "4539 57"


def test_the_last_four_digits_may_be_said_and_no_others() -> None:
    redactor = a_redactor()
    redactor.taken(CARD)

    assert redactor.plain("It ends in 1486.") == "It ends in 1486."
    assert redactor.plain("There is 5787 in it, 36 too.") == "There is [card] in it, 36 too."
    assert redactor.plain("forty five thirty nine") == "[card]"


def test_the_name_of_a_known_address_is_taken_out_alone_too() -> None:
    redactor = a_redactor()
    redactor.plain("john.smith@gmail.com")

    assert redactor.plain("Is john.smith right, John?") == "Is [email] right, John?"


def test_small_numbers_in_several_turns_are_not_one() -> None:
    redactor = a_redactor()
    said = ("Мне 45", "запишите на 15 мая", "к 10 часам", "нас будет 3")

    assert [redactor.taken(text) for text in said] == list(said)


def test_numbers_in_the_answers_of_an_agent_are_not_one() -> None:
    redactor = a_redactor()
    said = ("Your room is 214.", "Your ticket has the number 5031.", "It is at 10 45.")

    assert [redactor.spoken(number, text, text)[1] for number, text in enumerate(said)] == list(said)


def test_a_telephone_number_stays_where_only_cards_go() -> None:
    redactor = a_redactor("cards")
    redactor.heard("Наберите номер телефона, по которому с вами связаться.", goes_on=True, asks_for_email=False)

    assert redactor.taken("[keypad] 9161234567") == "[keypad] 9161234567"
    assert a_redactor("cards").taken("мой телефон 916 123 45 67") == "мой телефон 916 123 45 67"


def test_menus_are_no_numbers() -> None:
    redactor = a_redactor()

    assert [redactor.key(digit) for digit in "12*#"] == ["1", "2", "*", "#"]
    assert a_redactor("emails").key("1") == "1"


def test_a_long_list_of_numbers_is_no_card() -> None:
    listed = ", ".join(str(number) for number in range(10, 60))

    assert a_redactor().plain(listed) == listed


def test_what_is_no_json_is_a_plain_text() -> None:
    assert a_redactor().json_text(f"paid with {CARD}") == "paid with [card]"
    assert a_redactor().json_text('{"a":  1}') == '{"a":  1}'
