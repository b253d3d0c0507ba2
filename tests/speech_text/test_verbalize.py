"""What the voice is given instead of what the model wrote, and the way back to the written text."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.speech_text.verbalize import speakable

RUSSIAN = [
    # plain
    ("Здравствуйте! Чем могу помочь?", "Здравствуйте! Чем могу помочь?"),
    # numbers, their gender and case
    ("0, 7 и 21", "ноль, семь и двадцать один"),
    ("1 минута, 2 минуты, 21 книга", "одна минута, две минуты, двадцать одна книга"),
    ("2 тысячи, 2 дня, 1 место", "две тысячи, два дня, одно место"),
    ("на 1 минуту, за 1 день", "на одну минуту, за один день"),
    ("2 свободные комнаты, 2 свободных места", "две свободные комнаты, два свободных места"),
    ("от 5 до 10, без 15, около 3", "от пяти до десяти, без пятнадцати, около трёх"),
    ("с 5 друзьями, к 5 часам, в 5 магазинах", "с пятью друзьями, к пяти часам, в пяти магазинах"),
    ("между 5 и 10", "между пятью и десятью"),
    ("2 или 3", "два или три"),
    ("№ 21 на сумму", "номер двадцать один на сумму"),
    ("по 1 таблетке, в течение 15 мин", "по одной таблетке, в течение пятнадцати минут"),
    ("1 500 и 1 000 000", "одна тысяча пятьсот и один миллион"),
    ("-5 и −7", "минус пять и минус семь"),
    ("007", "ноль ноль семь"),
    ("в 2 ночи, в 1 дня, в 9 утра", "в два ночи, в час дня, в девять утра"),
    # decimals and fractions
    ("3,5 и 0.05", "три целых пять десятых и ноль целых пять сотых"),
    ("1,5 часа, 1,5 минуты", "полтора часа, полторы минуты"),
    ("1/2 стакана, 3/4", "одна вторая стакана, три четвёртых"),
    ("½ стакана", "одна вторая стакана"),
    ("д. 5/2, 24/7", "дом пять дробь два, двадцать четыре на семь"),
    # money
    ("1500 ₽", "одна тысяча пятьсот рублей"),
    ("1 ₽, 2 ₽, 5 ₽", "один рубль, два рубля, пять рублей"),
    ("Стоит 1 500 руб. Доставка бесплатно.", "Стоит одну тысячу пятьсот рублей. Доставка бесплатно."),
    ("500 руб. за штуку", "пятьсот рублей за штуку"),
    ("99,01 ₽", "девяносто девять рублей одна копейка"),
    ("от 1000 ₽ до 2000 ₽", "от одной тысячи рублей до двух тысяч рублей"),
    ("$5, €10.50", "пять долларов, десять евро пятьдесят центов"),
    ("5 тыс. руб., 1,5 млн ₽", "пять тысяч рублей, полтора миллиона рублей"),
    ("500 ₽/мес", "пятьсот рублей в месяц"),
    # dates
    ("12.03.2026", "двенадцатое марта две тысячи двадцать шестого года"),
    ("2026-03-12", "двенадцатое марта две тысячи двадцать шестого года"),
    ("12 марта", "двенадцатое марта"),
    ("Приём 12 марта в 10:30", "Приём двенадцатого марта в десять тридцать"),
    ("Сегодня 12 марта.", "Сегодня двенадцатое марта."),
    ("Сегодня, 12 марта, скидки", "Сегодня, двенадцатого марта, скидки"),
    ("до 12 марта, к 12 марта, на 12 марта", "до двенадцатого марта, к двенадцатому марта, на двенадцатое марта"),
    ("с 12 по 15 марта", "с двенадцатого по пятнадцатое марта"),
    ("12-14 марта", "с двенадцатого по четырнадцатое марта"),
    ("вам 12 или 13 марта", "вам двенадцатого или тринадцатого марта"),
    ("до 31.12.2025 г.", "до тридцать первого декабря две тысячи двадцать пятого года."),
    ("в 2026 году", "в две тысячи двадцать шестом году"),
    ("к 2030 году", "к две тысячи тридцатому году"),
    ("на среду, 12 марта", "на среду, двенадцатое марта"),
    ("5 числа, до 10 числа", "пятого числа, до десятого числа"),
    ("в 2025-2026 гг.", "в две тысячи двадцать пятом — две тысячи двадцать шестом годах."),
    ("1 мая 1999", "первого мая тысяча девятьсот девяносто девятого года"),
    # times
    ("в 10:30", "в десять тридцать"),
    ("18:00, до 18:00, к 18:00", "восемнадцать часов, до восемнадцати часов, к восемнадцати часам"),
    ("10:05", "десять ноль пять"),
    ("обед 13:00–14:00", "обед с тринадцати до четырнадцати часов"),
    # ranges
    ("9-18", "от девяти до восемнадцати"),
    ("2-3 дня", "два-три дня"),
    ("через 10–15 минут", "через десять-пятнадцать минут"),
    ("5-10%", "от пяти до десяти процентов"),
    ("1500-2000 руб", "от одной тысячи пятисот до двух тысяч рублей"),
    # units
    ("5 кг, 2 км, 1 мин, 3 шт.", "пять килограммов, два километра, одна минута, три штуки."),
    ("-5 °C, +20°C", "минус пять градусов Цельсия, плюс двадцать градусов Цельсия"),
    ("15%, 1%, 2,5%", "пятнадцать процентов, один процент, две целых пять десятых процента"),
    ("в 5 км от метро, 50 м²", "в пяти километрах от метро, пятьдесят квадратных метров"),
    ("60 км/ч", "шестьдесят километров в час"),
    # ordinals and compounds
    ("1-й, 2-я, 3-е место", "первый, вторая, третье место"),
    ("с 5-го этажа, на 3 этаже", "с пятого этажа, на третьем этаже"),
    ("90-е годы", "девяностые годы"),
    ("3-комнатная, 24-часовой", "трёхкомнатная, двадцатичетырёхчасовой"),
    # telephone numbers
    (
        "+7 999 123-45-67",
        "плюс семь, девятьсот девяносто девять, сто двадцать три, сорок пять, шестьдесят семь",
    ),
    (
        "+79991234567",
        "плюс семь, девятьсот девяносто девять, сто двадцать три, сорок пять, шестьдесят семь",
    ),
    (
        "8 (800) 555-05-00 доб. 12",
        "восемь, восемьсот, пятьсот пятьдесят пять, ноль пять, ноль ноль добавочный двенадцать",
    ),
    ("123-45-67", "сто двадцать три, сорок пять, шестьдесят семь"),
    ("заказ 12345678", "заказ сто двадцать три, четыреста пятьдесят шесть, семьдесят восемь"),
    # signs, addresses, abbreviations
    ("№ 5, #7", "номер пять, номер семь"),
    ("1,5 тыс. ₽, $4.5", "полторы тысячи рублей, четыре доллара пятьдесят центов"),
    (
        "3,5 ₽, 1 250,5 ₽, 0,5 ₽",
        "три рубля пятьдесят копеек, одна тысяча двести пятьдесят рублей пятьдесят копеек, пятьдесят копеек",
    ),
    ("98.6°F", "девяносто восемь целых шесть десятых градуса Фаренгейта"),
    ("Сб: с 9:00, ср, пт", "суббота: с девяти часов, среда, пятница"),
    ("в ср и пт, до вс, во вт", "в среду и пятницу, до воскресенья, во вторник"),
    ("5 < 6, день/ночь, и/или, а/б", "пять меньше шести, день или ночь, и или, а дробь б"),
    ("исх. 12", "исходящий двенадцать"),
    ("R&B, 2+2=4, 3×4", "R и B, два плюс два равно четыре, три на четыре"),
    ("ул. Ленина, д. 5, кв. 12", "улица Ленина, дом пять, квартира двенадцать"),
    ("Пишите на info@mail.ru!", "Пишите на info собака mail точка ру!"),
    ("https://www.example.com/path?x=1.", "example точка ком слэш path."),
    ("А4, COVID-19", "А четыре, COVID-девятнадцать"),
    ("1.2.3", "один точка два точка три"),
    ("г. Москва, в г. Тверь", "город Москва, в городе Тверь"),
    ("пн-пт 9:00–20:00, сб 10:00", "с понедельника по пятницу с девяти до двадцати часов, суббота десять часов"),
    (
        "полис 7700 1234 5678",
        "полис семьдесят семь, ноль ноль, двенадцать, тридцать четыре, пятьдесят шесть, семьдесят восемь",
    ),
]

ENGLISH = [
    ("Hello! How can I help?", "Hello! How can I help?"),
    ("1,500 and 0.05 and -7", "one thousand five hundred and zero point zero five and minus seven"),
    ("$1,500.50, $1, $10k", "one thousand five hundred dollars and fifty cents, one dollar, ten thousand dollars"),
    ("€5 million, 3 USD, $5/month", "five million euros, three dollars, five dollars per month"),
    ("1500 ₽, 15%", "one thousand five hundred rubles, fifteen percent"),
    ("March 12, 2026", "March twelfth, twenty twenty-six"),
    ("Mar 12 and 12 March", "March twelfth and the twelfth of March"),
    ("2026-03-12", "March twelfth, twenty twenty-six"),
    ("03/12/2026 or 31/12/2026", "March twelfth, twenty twenty-six or December thirty-first, twenty twenty-six"),
    ("in 1999, 1999 people", "in nineteen ninety-nine, one thousand nine hundred and ninety-nine people"),
    ("the 1990s", "the nineteen nineties"),
    ("10:30, 10:05, 9:00, 18:00", "ten thirty, ten oh five, nine o'clock, eighteen hundred"),
    ("at 10 a.m. Monday, 9am-5pm", "at ten a.m. Monday, nine a.m. to five p.m."),
    ("+1 (555) 123-4567", "plus one, five five five, one two three, four five six seven"),
    ("1-800-555-3535", "one, eight zero zero, five five five, three five three five"),
    ("2nd, the 21st", "second, the twenty-first"),
    ("9-18, 5–10 minutes", "nine to eighteen, five to ten minutes"),
    ("5 kg, 1 km, -5 °C", "five kilograms, one kilometer, minus five degrees Celsius"),
    ("1/2, 3/4, 2/3", "one half, three quarters, two thirds"),
    ("No. 5, #7, R&B, 2+2=4", "number five, number seven, R and B, two plus two equals four"),
    ("info@example.com", "info at example dot com"),
    ("www.example.com/a-b", "example dot com slash a dash b"),
    ("B2B", "B two B"),
    ("$3.5, €2.5, $0.5", "three dollars fifty cents, two euros fifty cents, fifty cents"),
    ("$3.5/month, $3.5 million", "three dollars fifty cents per month, three point five million dollars"),
    ("Sat: closed. Tue & Thu", "Saturday: closed. Tuesday and Thursday"),
    ("He Sat down in the Sun.", "He Sat down in the Sun."),
    ("5 < 6, x >= 3, he/she, a/b", "five is less than six, x is at least three, he or she, a slash b"),
    ("ref. 1,234", "reference one thousand two hundred and thirty-four"),
    ("Mon-Fri until 6:00 PM.", "Monday to Friday until six p.m."),
    ("from 2020 to 2025", "from twenty twenty to twenty twenty-five"),
    ("99¢, ext. 12", "ninety-nine cents, extension twelve"),
    ("1234 5678 9012", "one two three four, five six seven eight, nine zero one two"),
]

MARKUP = [
    ("**Жирный**, *курсив*, ~~нет~~ и `код`", "Жирный, курсив, нет и код"),
    ("**Незакрытый жирный. ", "Незакрытый жирный. "),
    ("# Заголовок\nТекст", "Заголовок. Текст"),
    ("Есть:\n- чай\n- кофе\n", "Есть: чай. кофе. "),
    ("Строка, которая\nпродолжается", "Строка, которая продолжается"),
    ("[Ссылка](https://ya.ru/x) и ![вид](a.png)", "Ссылка и вид"),
    ("| Чай | сто |\n|---|---|\n| Сок | двести |", "Чай, сто. Сок, двести"),
    ("Вот так:\n```python\nкод\n```\nДа.", "Вот так: Да."),
    ("~~~\nкод", ""),
    ("[условия](https://ru.wikipedia.org/wiki/Право_(значения)) и [б [в] г](<a b> 'т (у)')", "условия и б в г"),
    ('[текст][1] и ![к](a.png "t (x)")', "текст и к"),
    ("<b>да</b><br>нет", "да нет"),
    ("Привет! 👍🏽 Как дела? 👨‍👩‍👧", "Привет! Как дела? "),
    ("snake_case", "snake case"),
    ("один\u00a0два\u200bтри", "один дватри"),
]


@pytest.mark.parametrize(("written", "said"), RUSSIAN)
def test_russian_is_read_as_people_read_it(written: str, said: str) -> None:
    assert speakable(written, "ru").text == said


@pytest.mark.parametrize(("written", "said"), ENGLISH)
def test_english_is_read_as_people_read_it(written: str, said: str) -> None:
    assert speakable(written, "en").text == said


@pytest.mark.parametrize("language", ["ru", "en-US", "de"])
@pytest.mark.parametrize(("written", "said"), MARKUP)
def test_markup_and_pictures_are_not_read_in_any_language(written: str, said: str, language: str) -> None:
    assert speakable(written, language).text == said


def test_other_languages_keep_their_digits_and_signs() -> None:
    assert speakable("**Preis**: 5,50 € & 3 % 👍", "de").text == "Preis: 5,50 € & 3 % "
    assert speakable("**Цена** 5 ₽", "multi").text == "Цена 5 ₽"


def test_a_region_does_not_change_the_language() -> None:
    assert speakable("5", "ru-RU").text == "пять"


@pytest.mark.parametrize(
    ("written", "covered"),
    [
        ("Да, конечно", ["", "Да,", "Да, конечно"]),
        ("1500 ₽ хватит", ["", "1500 ₽", "1500 ₽", "1500 ₽", "1500 ₽", "1500 ₽ хватит"]),
        ("**Да**, это так", ["", "**Да**,", "**Да**, это", "**Да**, это так"]),
        ("Да 👍 нет 👍", ["", "Да", "Да 👍 нет 👍"]),
        ("чай\n- сок\n", ["", "чай", "чай\n- сок\n"]),
        ("в 10:30, да", ["", "в", "в 10:30", "в 10:30,", "в 10:30, да"]),
        ("👍", ["👍"]),
        ("...", ["..."]),
        ("", [""]),
    ],
)
def test_words_begun_tell_how_much_of_the_writing_was_heard(written: str, covered: list[str]) -> None:
    spoken = speakable(written, "ru")
    assert [written[: spoken.written_length(count)] for count in range(len(spoken.text.split()) + 1)] == covered


@pytest.mark.parametrize(
    ("written", "language", "covered"),
    [
        ("Card 4242 4242 4242 4242.", "en", {5: "Card 4242", 6: "Card 4242", 9: "Card 4242 4242"}),
        ("+7 495 123-45-67", "ru", {1: "", 2: "+7", 3: "+7", 5: "+7 495", 8: "+7 495 123", 12: "+7 495 123-45-67"}),
        ("заказ 12345678", "ru", {1: "заказ", 2: "заказ ", 4: "заказ 123", 9: "заказ 12345678"}),
        ("call 5551234567", "en", {4: "call 555", 7: "call 555123"}),
    ],
)
def test_a_number_read_in_groups_is_heard_group_by_group(written: str, language: str, covered: dict[int, str]) -> None:
    spoken = speakable(written, language)
    assert {count: written[: spoken.written_length(count)] for count in covered} == covered


def test_where_nothing_is_said_the_writing_counts_as_covered() -> None:
    spoken = speakable(" 👍\n", "ru")
    assert spoken.text == ""
    assert spoken.written_length(0) == 3


ODD = "".join(chr(code) for code in (0, 7, 27, 0x200B, 0x200C, 0x200F, 0x202E, 0xFE0F, 0x20E3, 0xD800, 0x661, 0xBD))
WRITTEN = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from([*"0123456789", *" \n.,:;-+/%*#_`|[]()<>@№₽$°~", *ODD, "👍", "12", "1500", "٣", "²"]),
        st.sampled_from([" 12 марта ", " руб.", " кг", " 2026 г.", " March ", " am ", "-й", "https://", "a.ru", " в "]),
    ),
    max_size=14,
).map("".join)
LANGUAGE = st.sampled_from(["ru", "en", "de"])


@settings(max_examples=300)
@given(WRITTEN, LANGUAGE)
@example("1" * 5000, "ru")
@example("9" * 400 + "." + "9" * 400 + "%", "en")
@example("25 м² 31 шт к 21 м²", "ru")
def test_every_text_is_spoken_without_digits_markup_or_pictures(written: str, language: str) -> None:
    text = speakable(written, language).text
    assert not set(text) & set("*#_`|[]{}<>~^\\")
    assert not [char for char in text if unicodedata.category(char) in {"So", "Cs", "Cc"} and char not in "№°℃℉"]
    assert "  " not in text
    if language != "de":
        assert not [char for char in text if char.isdigit()]


@settings(max_examples=200)
@given(WRITTEN, LANGUAGE)
def test_what_was_heard_is_always_a_growing_beginning_of_the_writing(written: str, language: str) -> None:
    spoken = speakable(written, language)
    words = len(spoken.text.split())
    lengths = [spoken.written_length(count) for count in range(-1, words + 2)]
    assert lengths == sorted(lengths)
    assert lengths[-1] == spoken.written_length(words) == len(written)
    assert words == 0 or lengths[0] == lengths[1] == 0
    assert len(spoken.word_ends) == words


WEEKDAYS = {"пн", "вт", "ср", "чт", "пт", "сб", "вс"}
WORD = st.text("абвгдежзиклмнопрстуabcdefgh", min_size=1, max_size=8).filter(lambda word: word not in WEEKDAYS)
WORDS = st.lists(WORD, min_size=1, max_size=12)


@settings(max_examples=100)
@given(WORDS, LANGUAGE)
def test_words_map_one_to_one(words: list[str], language: str) -> None:
    written = " ".join(words)
    spoken = speakable(written, language)
    assert spoken.text == written
    assert [written[: spoken.written_length(n)] for n in range(len(words) + 1)] == [
        " ".join(words[:n]) for n in range(len(words) + 1)
    ]


TOKENS = st.sampled_from(
    [
        "слово",
        "word,",
        "да.",
        "—",
        "12",
        "1500 ₽",
        "12 марта",
        "10:30",
        "в",
        "от",
        "5-10",
        "кг",
        "№ 5",
        "&",
        "👍",
        "**",
        "a.ru",
    ]
)


@settings(max_examples=100)
@given(st.lists(TOKENS, max_size=12).map(" ".join), st.sampled_from(["ru", "en"]))
@example("Пишите на info@mail.ru, т. е. 2-3 шт. к 31.12.2025 г.!", "ru")
@example("Call 555-1234 at 9am-5pm, e.g. on Mar 12: $1.50/min.", "en")
def test_what_is_spoken_already_is_not_changed_again(written: str, language: str) -> None:
    once = speakable(written, language).text
    assert speakable(once, language).text == once
